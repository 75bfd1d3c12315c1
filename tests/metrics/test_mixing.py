"""Split R̂, autocorrelation and visits of chains whose law is known."""

import math

import pytest
import torch

from energy_gan.metrics.mixing import mixing, modes_visited, quantities


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def autoregressive(rho, chains=32, steps=2_000):
    """x_t = ρ x_{t−1} + √(1 − ρ²) ε, from its own law: (C, T, 1)."""
    x = [torch.randn(chains, generator=rng())]
    for e in torch.randn(steps - 1, chains, generator=rng(1)):
        x.append(rho * x[-1] + math.sqrt(1 - rho**2) * e)
    return torch.stack(x, 1)[..., None]


@pytest.mark.parametrize("rho", [0.9, 0.5, 0.0, -0.4])
def test_an_autoregressive_chain_has_its_time(rho):
    """1 + 2 Σ ρᵏ = (1 + ρ) / (1 − ρ) draws count as one."""
    found = mixing(autoregressive(rho))
    assert found["autocorrelation"] == pytest.approx((1 + rho) / (1 - rho), rel=0.1)
    assert found["rhat"] == pytest.approx(1, abs=0.01)


def test_chains_that_differ_have_the_ratio_of_their_spreads():
    """Two laws N(±a, 1): the quantity's R̂ is that of ranks, above 1.5, and few draws count."""
    x = torch.randn(32, 500, 1, generator=rng())
    x[::2] += 6
    found = mixing(x)
    assert found["rhat"] > 1.5
    assert found["autocorrelation"] > 10
    worst = mixing(torch.cat([torch.randn(32, 500, 1, generator=rng(1)), x], 2))
    assert worst == found


def test_chains_that_stay_do_not_mix_and_those_that_run_away_say_so():
    stay = torch.randn(8, 1, 1, generator=rng()).expand(8, 100, 1)
    assert mixing(stay)["rhat"] > 100
    away = autoregressive(0.0, 8, 100)
    away[0, -1] = math.inf
    assert all(math.isnan(value) for value in mixing(away).values())


def test_visits_count_each_mode_once_and_the_first_moves_not():
    modes = torch.tensor([[3, 0, 0, 1, 0], [3, 2, 2, 2, 2]])
    assert modes_visited(modes, torch.full((4,), 0.25)) == pytest.approx((2 + 1) / 2 / 4)


def test_the_axes_are_those_along_which_points_vary_most():
    like = torch.randn(500, 20, generator=rng()) * torch.cat([torch.ones(12), torch.tensor([9.0] * 8)])
    x = torch.randn(3, 4, 20, generator=rng(1))
    found = quantities(x, torch.zeros(3, 4), like)
    assert found.shape == (3, 4, 9)
    kept = found[..., :8].square().sum(-1)
    torch.testing.assert_close(kept, x[..., 12:].square().sum(-1), rtol=0.3, atol=1.0)
