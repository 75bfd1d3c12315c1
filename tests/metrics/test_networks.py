"""Laws of the numbers of many networks: by hand, on few points."""

import math

import pytest
import torch

from energy_gan.metrics.calibration import of_classes
from energy_gan.metrics.networks import accuracies, agreement, distances, measured, together

LABELS = torch.tensor([0, 1, 1, 0])
NAMED = torch.tensor([[0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 1, 0]])  # by three networks
LOG_P = (0.8 * torch.nn.functional.one_hot(NAMED, 2) + 0.1).log()


def test_accuracies_and_agreement_by_hand():
    assert accuracies(LOG_P, LABELS).tolist() == [1.0, 0.75, 0.75]
    assert agreement(LOG_P) == pytest.approx((0.75 + 0.75 + 0.5) / 3)
    assert agreement(LOG_P[:1].expand(3, 4, 2)) == 1


def test_an_ensemble_of_all_is_their_mean_and_one_of_1_is_the_mean_over_all():
    whole = of_classes(LOG_P.exp().mean(0), LABELS)
    assert together(LOG_P, LABELS, 3) == pytest.approx(whole)
    assert whole["accuracy"] == 1  # two of three name each point rightly
    assert together(LOG_P, LABELS, 1)["accuracy"] == pytest.approx(2.5 / 3)
    assert together(LOG_P, LABELS, 2, seed=1) == together(LOG_P, LABELS, 2, seed=1)


def test_distances_by_hand():
    found = distances(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    assert found["network_nearest"] == pytest.approx((1 + math.sqrt(18) + 1) / 3)
    assert found["network_distance"] == pytest.approx((5 + 1 + math.sqrt(18)) / 3)


def test_one_network_has_no_distance_and_few_have_no_large_ensembles():
    assert measured(LOG_P[:1], LABELS, torch.zeros(1, 2)).keys() == {
        *("single_accuracy", "single_accuracy_worst", "single_calibration_error")
    }
    assert "ensemble_5_accuracy" not in measured(LOG_P, LABELS, torch.randn(3, 2))
