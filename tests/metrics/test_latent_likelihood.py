"""Laws of log p(x) by annealing over latents: a linear generator's is known, and a bound is one."""

import pytest
import torch
from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.generators.energy_prior import EnergyPrior
from energy_gan.generators.output_noise import GaussianLikelihood, add_noise
from energy_gan.generators.priors import NormalPrior
from energy_gan.inference.short_run import posterior_energy
from energy_gan.metrics.latent_likelihood import fit, log_marginal
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.mala import MALA

D, L, SIGMA = 60, 6, 0.3


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


class Slope(nn.Module):
    """U(z) = −b·z: the prior is N(b, I), and log Z = ½ |b|²."""

    b = torch.linspace(-1, 1, L)

    def forward(self, latent):
        return -latent @ self.b


def linear(prior):
    """x = W z + b + σ ε."""
    torch.manual_seed(0)
    return Generator(nn.Linear(L, D), prior, GaussianLikelihood(SIGMA))


def marginal(generator, mean=0.0):
    weight, bias = (p.detach() for p in generator.network.parameters())
    covariance = weight @ weight.T + SIGMA**2 * torch.eye(D)
    return torch.distributions.MultivariateNormal(bias + weight @ (mean * torch.ones(L)), covariance)


@pytest.mark.parametrize("start", ["far", "exact"])
def test_both_bounds_of_a_linear_generator_are_within_a_tenth_of_a_nat(start):
    generator = linear(NormalPrior(L))
    latent = torch.randn(8, L, generator=rng())
    with torch.no_grad():
        x = add_noise(*generator.moments(latent), rng(1))
    begin = 2 * torch.randn(2, 8, L, generator=rng(2)) if start == "far" else latent[None]
    exact = marginal(generator).log_prob(x)
    known = latent if start == "exact" else None
    found = log_marginal(lambda x: posterior_energy(generator, x), x, begin, known, 4, 30, rng(3))
    torch.testing.assert_close(found.below, exact, atol=0.1, rtol=0)
    torch.testing.assert_close(found.above, exact, atol=0.1, rtol=0)


def test_a_prior_s_energy_adds_its_normaliser():
    generator = linear(EnergyPrior(Slope(), L, Chains(MALA(), 1, 0.1)))
    x = marginal(generator, Slope.b).sample((8,))
    found = log_marginal(
        lambda x: posterior_energy(generator, x), x, torch.zeros(1, 8, L), None, 4, 30, rng()
    )
    exact = marginal(generator, Slope.b).log_prob(x) + 0.5 * Slope.b.square().sum()
    torch.testing.assert_close(found.below, exact, atol=0.1, rtol=0)


def test_of_a_posterior_that_is_not_normal_the_bounds_hold_the_integral_between_them():
    """By a grid over two latents; both come nearer with more temperatures."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
    generator = Generator(network, NormalPrior(2), GaussianLikelihood(0.4))
    latent = torch.randn(12, 2, generator=rng())
    with torch.no_grad():
        x = add_noise(*generator.moments(latent), rng(1))
        line = torch.linspace(-6, 6, 241)
        grid = torch.cartesian_prod(line, line)
        cells = [generator.log_joint(row.expand(len(grid), 3), grid).logsumexp(0) for row in x]
    exact = torch.stack(cells) + 2 * torch.log(line[1] - line[0])
    gaps = []
    for n_temperatures in (10, 100):
        found = log_marginal(
            lambda x: posterior_energy(generator, x), x, latent[None], latent, 16, n_temperatures, rng(2)
        )
        gaps.append(float((found.above - found.below).mean()))
        assert float((found.below - exact).mean()) < 0.03
        assert float((found.above - exact).mean()) > -0.03
    assert gaps[1] < max(gaps[0], 0.05)
    torch.testing.assert_close(found.below, exact, atol=0.2, rtol=0)


def test_the_law_fitted_to_a_linear_posterior_is_the_posterior():
    generator = linear(NormalPrior(L))
    x = marginal(generator).sample((3,))
    found = fit(lambda x: posterior_energy(generator, x), x, torch.zeros(1, 3, L))
    weight = generator.network.weight.detach()
    precision = torch.eye(L) + weight.T @ weight / SIGMA**2
    mean = (x - generator.network.bias.detach()) @ weight / SIGMA**2 @ precision.inverse()
    torch.testing.assert_close(found.mean, mean, atol=0.01, rtol=0)
    covariance = found.factor @ found.factor.mT
    torch.testing.assert_close(covariance, precision.inverse().expand(3, L, L), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.standard(found.latent(mean)), mean)


def test_the_best_of_several_starts_is_the_mode():
    """Of a G that takes z and −z to nearly one point, the start on the right side decides."""
    generator = Generator(Folded(), NormalPrior(1), GaussianLikelihood(0.1))
    x = torch.tensor([[1.0, 0.2]])
    found = fit(lambda x: posterior_energy(generator, x), x, torch.tensor([[[-1.0]], [[1.0]]]))
    assert found.mean.item() > 0.9


class Folded(nn.Module):
    """z ↦ (z², z / 5)."""

    def forward(self, latent):
        return torch.cat([latent.square(), latent / 5], 1)
