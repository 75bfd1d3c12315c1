"""Scores of anomalies: their numbers are right, a rate is kept, every detector finds what is far."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from energy_gan.metrics.anomaly import (
    DETECTORS,
    detectors,
    excess_and_slope,
    gaussian_energy,
    least_for,
    measure,
    precision_recall_f1,
    squared_gradient_norm,
    surprises,
    threshold_at_rate,
)

RNG = np.random.default_rng(0)


def test_scores_worked_out_by_hand():
    scores = np.array([9, 8, 1, 2, 3, 4, 5, 6, 7, 0])
    labels = np.array([1, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    assert precision_recall_f1(scores, labels, 0.2) == (0.5, 0.5, 0.5), "9 and 8 are flagged"
    assert precision_recall_f1(scores, labels, 0.1) == (1, 0.5, pytest.approx(2 / 3))
    assert precision_recall_f1(-scores, labels, 0.2) == (0.5, 0.5, 0.5), "0 and 1 are"
    assert precision_recall_f1(-scores, labels, 0.1) == (0, 0, 0)
    assert precision_recall_f1(np.ones(10), labels, 0.2)[:2] == (0.2, 1), "at the threshold is above it"


def test_the_areas_are_those_of_scikit_learn():
    labels = (RNG.random(500) < 0.2).astype(int)
    scores = RNG.normal(size=500) + labels
    numbers = measure(scores, labels, 0.2)
    assert numbers["average_precision"] == pytest.approx(average_precision_score(labels, scores))
    assert numbers["auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert numbers["base_rate"] == labels.mean()
    assert numbers["auprc_trapezoid"] == pytest.approx(numbers["average_precision"], abs=0.02)
    tied = measure(np.ones(500), labels, 0.2)
    assert tied["average_precision"] == pytest.approx(labels.mean())
    assert tied["auprc_trapezoid"] == pytest.approx((1 + labels.mean()) / 2), "optimistic where scores tie"


@pytest.mark.parametrize("rate", [0.01, 0.07, 0.3])
@pytest.mark.parametrize("n", [99, 100, 1000])
def test_the_threshold_has_the_wanted_rate_of_false_alarms(n, rate):
    scores = np.random.default_rng(1).permutation(n)
    above = (scores > threshold_at_rate(scores, rate)).sum() + 1
    assert above / (n + 1) <= rate + 1e-12, "of n + 1 that are exchangeable, the new one among them"
    assert (above + 1) / (n + 1) > rate, "and no lower threshold has it"


def test_the_rate_holds_for_new_scores():
    rng = np.random.default_rng(2)
    rates = [(rng.exponential(size=4000) > threshold_at_rate(rng.exponential(size=299), 0.05)).mean()
             for _ in range(200)]  # fmt: skip
    assert np.mean(rates) == pytest.approx(0.05, abs=4 * np.std(rates) / 200**0.5)


def test_a_rate_needs_as_many_scores():
    assert least_for(0.01) == 99
    for rate in (0.01, 0.03, 0.5, 0.07, 1 / 3, 0.999):
        threshold_at_rate(np.arange(least_for(rate)), rate)
        if least_for(rate) > 1:
            with pytest.raises(ValueError, match=f"needs {least_for(rate)} scores"):
                threshold_at_rate(np.arange(least_for(rate) - 1), rate)
    for rate in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            threshold_at_rate(np.arange(100), rate)
    with pytest.raises(ValueError, match="1 of 3 scores are not finite"):
        threshold_at_rate(np.array([1, np.nan, 2]), 0.5)


@pytest.mark.parametrize(
    ("scores", "labels", "ratio", "said"),
    [
        ([1, 2], [0, 1], 1.0, "ratio"),
        ([1, 2], [0, 0], 0.2, "both present"),
        ([1, 2], [0, 2], 0.2, "both present"),
        ([1, float("nan")], [0, 1], 0.2, "not finite"),
    ],
)
def test_wrong_scores_are_refused(scores, labels, ratio, said):
    with pytest.raises(ValueError, match=said):
        precision_recall_f1(np.array(scores), np.array(labels), ratio)


def test_the_gradient_s_norm_is_in_the_units_asked_for():
    a = torch.tensor([1.0, 2.0, 3.0])
    x = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))
    norm = squared_gradient_norm(lambda x: (a * x**2).sum(1) / 2, x)
    torch.testing.assert_close(norm, (a * x).square().sum(1))
    scale = torch.tensor([2.0, 1.0, 0.5])
    by_u = squared_gradient_norm(lambda u: (a * (scale * u) ** 2).sum(1) / 2, x / scale)
    by_x = squared_gradient_norm(lambda x: (a * x**2).sum(1) / 2, x, scale)
    torch.testing.assert_close(by_x, by_u)


def test_every_detector_finds_what_is_far_and_repeats():
    rng = np.random.default_rng(3)
    train = rng.normal(size=(600, 3)).round(2) * [1, 100, 1] + [0, 0, 5]
    train[:, 2] = 5  # constant
    test = np.concatenate(
        [train[:5], rng.normal(size=(195, 3)) * [1, 100, 0] + [0, 0, 5], train[:20] * [9, 9, 1]]
    )
    labels = np.repeat([0, 1], [200, 20])
    first, again = (detectors(train, test, 7, most=300) for _ in range(2))
    assert list(first) == list(DETECTORS)
    for name, scores in first.items():
        assert roc_auc_score(labels, scores) > 0.9, name
        np.testing.assert_array_equal(scores, again[name])
    assert (first["nearest neighbour"][:5] == 0).all()
    low, high = train.min(0), train.max(0)
    unit = (np.stack([train, train]) - low) / np.where(high > low, high - low, 1)
    far = (test[100] - low) / np.where(high > low, high - low, 1)
    assert first["nearest neighbour"][100] == pytest.approx(
        np.linalg.norm(unit[0] - far, axis=1).min(), rel=1e-4
    )
    with pytest.raises(ValueError, match="got crystal ball"):
        detectors(train, test, 0, ["crystal ball"])


def test_the_background_is_the_energy_of_a_gaussian_of_the_points_with_noise():
    mix = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    train, test = (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) @ mix for n in (3000, 20))
    law = torch.distributions.MultivariateNormal(train.mean(0), train.T.cov() + 0.5**2 * torch.eye(5))
    found = gaussian_energy(train, test, noise=0.5)
    torch.testing.assert_close(found, -law.log_prob(test).to(found), rtol=0.02, atol=0.05)


def test_excess_and_slope_count_in_standard_deviations_of_normal_points():
    normal = np.random.default_rng(0).normal(size=(1000, 2))
    excess = np.append(7 + 3 * normal[:, 0], [7, 10])
    slope = np.exp(np.append(5 * normal[:, 1] - 2, [3, -2]))
    found = excess_and_slope(excess, slope, 1000)
    np.testing.assert_allclose(found[:1000].std(), np.sqrt(1 + 1 / 4), rtol=0.1)
    np.testing.assert_allclose(found[1000:], [0.5, 1], atol=0.1)


def test_only_what_is_above_the_mean_of_normal_points_adds_up():
    first, second = np.array([0.0, 2.0, 11.0, -9.0]), np.array([10.0, 30.0, 10.0, 70.0])
    np.testing.assert_allclose(surprises([first, second], 2), [0, 2, 10, 5])
