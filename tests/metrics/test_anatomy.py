"""The diagnostics of an energy's own chains, on traces of known correlations; the divergence over blocks."""

import math

import pytest
import torch

from energy_gan.metrics.alignment import block_divergence
from energy_gan.metrics.anatomy import Anatomy, correlation, failed
from energy_gan.numerics.quadrature import Grid

T = 40_000
GOOD = {
    "anatomy_gap": 0.01,
    "anatomy_gap_correlation": 0.2,
    "anatomy_gradient": 3.0,
    "anatomy_gradient_range": 1.2,
    "long_chains_data": 0.1,
    "long_chains_noise": -0.1,
    "long_chains_kl": 0.01,
}


def autoregressive(rho, mean=0.0):
    """x_t = ρ x_{t−1} + √(1 − ρ²) ε: its correlation at lag k is ρ^k."""
    noise, x = torch.randn(T, generator=torch.Generator().manual_seed(0)).tolist(), [0.0]
    for e in noise[1:]:
        x.append(rho * x[-1] + math.sqrt(1 - rho**2) * e)
    return torch.tensor(x) + mean


@pytest.mark.parametrize("rho", [0.8, -0.6, 0.0])
def test_an_autoregressive_gap_has_its_correlations(rho):
    gaps = autoregressive(rho)
    found = Anatomy.of(torch.stack([gaps, torch.ones(T)], 1)).numbers()
    assert found["anatomy_gap_correlation"] == pytest.approx(rho, abs=0.02)
    assert correlation(gaps, gaps, 3) == pytest.approx(rho**3, abs=0.02)
    assert found["anatomy_gradient_range"] == 1.0


def test_a_gap_that_stays_is_correlated_with_itself():
    """d is not centred: of independent values about a mean of 2 the correlation is 4 / 5."""
    gaps = autoregressive(0.0, mean=2.0)
    found = Anatomy.of(torch.stack([gaps, torch.ones(T)], 1))
    assert found.numbers()["anatomy_gap_correlation"] == pytest.approx(0.8, abs=0.01)


def test_what_follows_is_found_at_its_lag():
    """r_t = d_{t−4}: the correlation of d with later r is 1 at lag 4 and 0 elsewhere."""
    gaps = autoregressive(0.0)
    found = Anatomy.of(torch.stack([gaps, gaps.roll(4)], 1)).correlations()["d, then r"]
    assert found[15 + 4] == pytest.approx(1.0, abs=0.01)
    assert max(abs(value) for lag, value in enumerate(found) if lag != 15 + 4) < 0.03


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"anatomy_gap": 3.0}, ["in training its samples lie 1.5 sd below the data"]),
        ({"anatomy_gap": -3.0}, ["in training its samples lie 1.5 sd above the data"]),
        (
            {"anatomy_gap_correlation": -0.8},
            ["the gap of the phases oscillates, correlation -0.80 from step"],
        ),
        ({"anatomy_gap_correlation": math.nan}, ["the gap of the phases drifts, correlation nan"]),
        ({"anatomy_gradient_range": 5.0}, ["the gradient strength moves by a factor of 5.0"]),
        ({"long_chains_noise": 0.7}, ["long chains from noise end 0.7 sd above the data"]),
        ({"long_chains_kl": 0.2}, ["long chains are 0.2 nats from the energy's law"]),
        (
            {"long_chains_data": -2.0, "long_chains_kl": math.nan},
            ["long chains from data end 2 sd below the data", "long chains are nan nats"],
        ),
    ],
)
def test_the_verdict_says_which_test_failed(changed, said):
    found = failed(GOOD | changed, spread=2.0)
    assert len(found) == len(said)
    assert all(there.startswith(expected) for there, expected in zip(found, said, strict=True))


def test_the_divergence_over_blocks_is_that_of_two_normals():
    """KL(N(0.5, 1) ‖ N(0, 1)) = 0.125 in each coordinate, from 20,000 samples."""
    rng = torch.Generator().manual_seed(0)
    grid = Grid(torch.full((2,), -5.0), torch.full((2,), 5.0), (64, 64), (4, 4), reach=2.0)
    log_masses = grid.log_masses(lambda x: -x.square().sum(1) / 2)
    x = torch.randn(20_000, 2, generator=rng)
    assert float(block_divergence(grid, log_masses, x)) == pytest.approx(0.0, abs=0.03)
    assert float(block_divergence(grid, log_masses, x + 0.5)) == pytest.approx(0.25, abs=0.03)
    beyond = torch.cat([x[:100] + 1e6, x[100:]])
    assert float(block_divergence(grid, log_masses, beyond)) > 0.05
