"""Moves that keep a mixture of Gaussians."""

import math

import pytest
import torch

from energy_gan.energies.noised_mixture import NoisedMixture

NOISE = 0.3


def law():
    """Two components that overlap, wide along one axis each."""
    found = NoisedMixture([2], 2, 1)
    found.log_weights.copy_(torch.tensor([0.3, 0.7]).log())
    found.means.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.5]]))
    found.axes.copy_(torch.tensor([[[1.0, 0.0]], [[math.sqrt(0.5), math.sqrt(0.5)]]]))
    found.spreads.copy_(torch.tensor([[4.0], [2.0]]))
    found.variances.fill_(0.05)
    return found.at(NOISE)


@pytest.mark.parametrize("size", [0.3, 1.0])
def test_moves_along_components_keep_the_mixture(size):
    """Its shares, and each component's mean and covariance; of points that begin as its samples."""
    base, rng = law(), torch.Generator().manual_seed(0)
    x = base.sample(20_000, rng)
    begin = base(x)
    for _ in range(4):
        x = base.proposal(x, size, rng)
    assert float(base(x).mean()) == pytest.approx(float(begin.mean()), abs=0.03)
    fresh = base.sample(20_000, rng)
    torch.testing.assert_close(x.mean(0), fresh.mean(0), rtol=0, atol=0.08)
    torch.testing.assert_close(x.T.cov(), fresh.T.cov(), rtol=0.05, atol=0.1)


def test_a_move_is_reversible():
    """E[h(x) k(y)] = E[k(x) h(y)] for x of the law and its move y."""
    base, rng = law(), torch.Generator().manual_seed(0)
    x = base.sample(50_000, rng)
    y = base.proposal(x, 0.6, rng)
    h, k = torch.tanh, lambda z: (z + 1).sin()
    difference = h(x[:, 0]) * k(y[:, 1]) - k(x[:, 1]) * h(y[:, 0])
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / len(x) ** 0.5
