"""Walks along noise levels where the law is known at every one of them."""

import math

import pytest
import torch

from energy_gan.errors import InputError
from energy_gan.metrics.levels import level_likelihood
from energy_gan.samplers.ladder import denoised, down, flow_log_prob, gain, rungs

MEANS, SHARES, STD = torch.tensor([[-2.0, 0.0], [2.0, 1.0]]), torch.tensor([0.3, 0.7]), 0.4
HIGH = 20.0


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture(y, log_sigma):
    """−log of two normals with noise σ."""
    variance = STD**2 + (2 * log_sigma).exp()[:, None]
    squares = (y[:, None] - MEANS).square().sum(2)
    return -(SHARES.log() - squares / variance / 2 - (2 * math.pi * variance).log()).logsumexp(1)


def normal(variance):
    def energy(y, log_sigma):
        total = variance + (2 * log_sigma).exp()
        return y.square().sum(1) / total / 2 + y.shape[1] / 2 * (2 * math.pi * total).log()

    return energy


def draw(n, seed=0):
    g = rng(seed)
    k = (torch.rand(n, generator=g) < SHARES[1]).long()
    return MEANS[k] + STD * torch.randn(n, 2, generator=g)


def at(energy, y, sigma):
    return energy(y, torch.full((len(y),), math.log(sigma)))


def test_rungs_fall_in_equal_ratios_and_others_are_refused():
    levels = rungs(0.1, 10.0, 4)
    torch.testing.assert_close(levels, torch.tensor([10.0, 10**0.5, 1.0, 10**-0.5, 0.1]))
    for low, high, n in ((0.0, 1.0, 3), (2.0, 1.0, 3), (0.1, 1.0, 0)):
        with pytest.raises(InputError, match="a ladder goes from high to low in at least 1 step"):
            rungs(low, high, n)


@pytest.mark.parametrize(("n_steps", "correct"), [(60, False), (30, True)])
def test_the_walk_down_ends_at_the_law_of_the_lowest_level(n_steps, correct):
    n, sigma = 4_000, 0.3
    y = HIGH * torch.randn(n, 2, generator=rng(1)) + draw(n, 2)
    y = down(mixture, y, rungs(sigma, HIGH, n_steps), rng(3), correct)
    right = y[:, 0] > 0
    assert float(right.float().mean()) == pytest.approx(0.7, abs=0.03)  # 4 errors
    spread = (y[right] - MEANS[1]).square().mean().sqrt()
    assert float(spread) == pytest.approx(math.hypot(STD, sigma), rel=0.03)
    own, exact = (
        at(mixture, y, sigma),
        at(mixture, draw(n, 4) + sigma * torch.randn(n, 2, generator=rng(5)), sigma),
    )
    torch.testing.assert_close(own.mean(), exact.mean(), rtol=0, atol=0.1)


def test_what_an_energy_takes_a_point_for_is_the_mean_of_what_it_may_have_been():
    y = torch.randn(10, 2, generator=rng())
    torch.testing.assert_close(denoised(normal(1.0), y, 0.5), y / 1.25)


def test_the_bound_of_a_base_is_its_own_number_and_that_of_the_law_is_its_likelihood():
    x, sigma = draw(20_000), 0.3
    for base in (mixture, normal(3.0)):
        assert float(gain(base, base, x, sigma, HIGH, rng()).abs().max()) == 0
    y = x + sigma * torch.randn(x.shape, generator=rng(1))
    better = gain(mixture, normal(3.0), x, sigma, HIGH, rng(2))
    error = 4 * float(better.std()) / len(x) ** 0.5 + 0.01  # what is left at the upper end
    bound = float(better.mean() - at(normal(3.0), y, sigma).mean())
    assert bound == pytest.approx(-float(at(mixture, y, sigma).mean()), abs=error)
    worse = gain(normal(1.0), normal(3.0), x, sigma, HIGH, rng(2))
    assert float(worse.mean()) < float(better.mean()) - 0.5


def test_the_flow_of_a_normal_gives_its_density():
    y, sigma = torch.randn(20, 3, generator=rng()), 0.3
    found = flow_log_prob(normal(0.5), normal(0.5), y, rungs(sigma, 5.0, 60), rng())
    torch.testing.assert_close(found, -at(normal(0.5), y, sigma), rtol=0, atol=0.02)
    y = draw(400) + sigma * torch.randn(400, 2, generator=rng(1))
    found = flow_log_prob(mixture, mixture, y, rungs(sigma, HIGH, 80), rng(2)) + at(mixture, y, sigma)
    assert abs(float(found.mean())) < 0.15  # one direction each: right in the mean


def test_three_ways_to_the_likelihood_of_a_known_law_agree():
    numbers = level_likelihood(mixture, normal(3.0), draw(20_000), 0.3, HIGH, rng())
    assert max(numbers.values()) - min(numbers.values()) < 0.2
