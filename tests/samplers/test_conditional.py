"""Columns given others, against the conditional law of a mixture that is known."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from energy_gan.samplers.conditional import conditional, from_guess, log_normalizer

MEANS = torch.tensor([[-2.0, -1.0, 0.0], [2.0, 1.0, 1.0], [1.5, -1.5, -1.0]])
FACTORS = torch.tensor([[0.8, 0.3, 0.2], [0.5, 0.9, -0.3], [0.4, 0.2, 0.7]])
COVARIANCE = FACTORS @ FACTORS.T + 0.1 * torch.eye(3)
LOG_SHARES = torch.tensor([0.5, 0.3, 0.2]).log()
HELD, FREE = torch.tensor([1, 2]), 0


def law():
    normals = MultivariateNormal(MEANS, COVARIANCE.expand(3, 3, 3), validate_args=False)
    return MixtureSameFamily(Categorical(logits=LOG_SHARES), normals, validate_args=False)


def energy(x):
    return -law().log_prob(x)


def given(g):
    """p(v | g), and log p(g), by the normal's own formulas."""
    inverse = torch.linalg.inv(COVARIANCE[1:, 1:])
    means = MEANS[:, 0] + (g - MEANS[:, 1:]) @ inverse @ COVARIANCE[1:, 0]
    variance = COVARIANCE[0, 0] - COVARIANCE[0, 1:] @ inverse @ COVARIANCE[1:, 0]
    shares = LOG_SHARES + MultivariateNormal(MEANS[:, 1:], COVARIANCE[1:, 1:]).log_prob(g)
    return means, variance.sqrt(), shares


def wide(held, g, rng):
    """A guess: v ~ N(0, 3²) whatever g."""
    v = 3 * torch.randn(len(g), 1, generator=rng)
    return torch.cat([v, g], 1), torch.distributions.Normal(0.0, 3.0).log_prob(v[:, 0])


@pytest.mark.parametrize("by", ["chains", "guesses"])
@pytest.mark.parametrize("g", [[0.0, 0.0], [-1.2, -0.5]])
def test_samples_have_the_conditional_law(g, by):
    """KL of their histogram to p(v | g), at most 0.05: two modes whose shares are those of the law."""
    torch.manual_seed(0)
    rng, g = torch.Generator().manual_seed(0), torch.tensor(g)
    if by == "chains":
        found = conditional(energy, law().sample((4_000,)), HELD, g.expand(4_000, 2), 40, rng=rng)
    else:
        found = from_guess(energy, wide, HELD, g.expand(8_000, 2), 4_000, 5, rng=rng)
    assert (found.x[:, HELD] == g).all()
    assert found.ancestors > 100
    means, std, log_shares = given(g)
    assert (log_shares.softmax(0) > 0.15).sum() > 1
    edges = torch.linspace(-6, 6, 41)
    below = torch.special.ndtr((edges[:, None] - means) / std) @ log_shares.softmax(0)
    expected = below.diff()
    counts = torch.histc(found.x[:, FREE], 40, -6, 6) / 4_000
    kl = (counts * (counts / expected.clamp(min=1e-9)).clamp(min=1e-12).log()).sum()
    assert 0 <= kl < 0.05


def test_a_guess_that_is_far_off_is_no_sample():
    g = torch.tensor([[300.0, 300.0]]).expand(200, 2)
    assert from_guess(energy, wide, HELD, g, 100) is None


def test_the_normaliser_of_the_others_is_the_marginal():
    g = torch.tensor([0.3, -0.4])
    x = torch.cat([torch.zeros(1), g])[None]
    exact = float(given(g)[2].logsumexp(0))
    assert float(log_normalizer(energy, x, HELD)) == pytest.approx(exact, abs=1e-3)
    marginal = LOG_SHARES + torch.distributions.Normal(MEANS[:, 1], math.sqrt(COVARIANCE[1, 1])).log_prob(
        g[0]
    )
    annealed = log_normalizer(energy, x, torch.tensor([1]), torch.Generator().manual_seed(0))
    assert float(annealed) == pytest.approx(float(marginal.logsumexp(0)), abs=0.3)
