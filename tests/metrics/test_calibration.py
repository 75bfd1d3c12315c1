"""Laws of calibration: no error where confidence is the share that is right, a known one elsewhere."""

import pytest
import torch

from energy_gan.metrics.calibration import confusion, of_classes, reliability


def toy(confidence, n_right, n=20):
    """n points believed to be of class 0 with this confidence, of which so many are."""
    probabilities = torch.full((n, 3), (1 - confidence) / 2)
    probabilities[:, 0] = confidence
    return probabilities, (torch.arange(n) >= n_right).long()


def together(*toys):
    return (torch.cat(part) for part in zip(*toys, strict=True))


def test_what_is_right_as_often_as_it_is_believed_is_calibrated():
    probabilities, labels = together(toy(0.9, 18), toy(0.7, 14), toy(0.5, 10))
    found = of_classes(probabilities, labels)
    assert found["calibration_error"] == pytest.approx(0, abs=1e-6)
    assert found["accuracy"] == pytest.approx(0.7)
    confidence, accuracy, share = reliability(probabilities, labels)
    torch.testing.assert_close(accuracy, confidence, atol=1e-6, rtol=0)
    torch.testing.assert_close(share, torch.full((3,), 1 / 3, dtype=torch.double))


def test_the_error_is_the_mean_distance_of_confidence_and_accuracy():
    probabilities, labels = together(toy(0.9, 10), toy(0.6, 20))
    found = of_classes(probabilities, labels)
    assert found["calibration_error"] == pytest.approx((0.4 + 0.4) / 2)
    right = probabilities[torch.arange(40), labels].log()
    assert found["cross_entropy"] == pytest.approx(-right.mean().item())
    assert confusion(probabilities, labels).tolist() == [[30, 0, 0], [10, 0, 0], [0, 0, 0]]


def test_certainty_that_is_wrong_costs_much_and_no_infinity():
    found = of_classes(torch.eye(3)[[0, 1]], torch.tensor([0, 2]))
    assert found["accuracy"] == 0.5
    assert found["calibration_error"] == pytest.approx(0.5)
    assert 40 < found["cross_entropy"] < 100
