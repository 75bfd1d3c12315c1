"""An energy over noise levels where it is known: mixtures with noise, derivatives and normalisers."""

import math

import pytest
import torch
from torch import nn

from energy_gan.energies.level_networks import ConvLevels, MLPLevels
from energy_gan.energies.noise_levels import NoiseLevels, derivatives, dual_score_matching
from energy_gan.energies.noised_mixture import NoisedMixture
from energy_gan.errors import InputError
from energy_gan.numerics.ppca import PPCAMixture


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def points(n=2_000, dim=2):
    x = torch.randn(n, dim, generator=rng())
    x[::2, 0] = x[::2, 0] * 0.3 + 4
    return x


def fitted(dim=2, components=2, rank=1):
    mixture = NoisedMixture([dim], components, rank)
    mixture.fit(points(dim=dim))
    return mixture


def normal(variance, dim=2):
    """−log N(y; 0, (variance + σ²) I)."""
    mixture = NoisedMixture([dim], 1, 1)
    mixture.variances.fill_(variance)
    return mixture


@pytest.mark.parametrize("sigma", [0.1, 1.0, 5.0])
def test_a_mixture_has_its_noise_exactly(sigma):
    x, y = points(dim=5), points(50, 5)
    mixture = NoisedMixture([5], 3, 2, n_iterations=2)
    mixture.fit(x)
    exact = PPCAMixture.fit(x, 3, 2, 2).noised(sigma**2).log_prob(y)
    torch.testing.assert_close(mixture.at(sigma)(y).double(), -exact, rtol=1e-4, atol=1e-3)
    drawn = mixture.sample(20_000, sigma, rng())
    own, of_data = (
        mixture.at(sigma)(drawn).mean(),
        mixture.at(sigma)(x + sigma * torch.randn(x.shape, generator=rng(1))),
    )
    torch.testing.assert_close(own, of_data.mean(), rtol=0, atol=0.15)


def test_a_mixture_obeys_the_heat_equation():
    """∂E/∂log σ = σ² (ΔE − ‖∇E‖²), with log Z at no level other than 0."""
    mixture, y, log_sigma = fitted().double(), points(20).double(), torch.linspace(-2, 1, 20).double()
    slope = derivatives(mixture, y, log_sigma)[1]
    y.requires_grad_()
    (gradient,) = torch.autograd.grad(mixture(y, log_sigma).sum(), y, create_graph=True)
    laplacian = sum(
        torch.autograd.grad(gradient[:, i].sum(), y, retain_graph=True)[0][:, i] for i in range(2)
    )
    expected = (2 * log_sigma).exp() * (laplacian - gradient.square().sum(1))
    torch.testing.assert_close(slope, expected.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("shape", [[3], [1, 8, 8], [3, 8, 8]])
def test_derivatives_are_those_of_finite_differences(shape):
    torch.manual_seed(0)
    network = (MLPLevels if len(shape) == 1 else ConvLevels)(shape, 0.1, 3.0)
    for part in network.parameters():  # none of them 0, as read-outs are at first
        nn.init.normal_(part, std=0.1)
    energy = NoiseLevels(NoisedMixture(shape, 2, 1), network, 0.2, 0.1, 3.0).double()
    y, log_sigma = torch.randn(3, *shape).double(), torch.tensor([-1.5, 0.0, 1.0]).double()
    gradient, slope = derivatives(energy.at, y, log_sigma)
    step, way = 1e-5, torch.randn(3, *shape).double()
    along = (energy.at(y + step * way, log_sigma) - energy.at(y - step * way, log_sigma)) / (2 * step)
    torch.testing.assert_close((gradient * way).flatten(1).sum(1), along.detach(), rtol=1e-5, atol=1e-6)
    along = (energy.at(y, log_sigma + step) - energy.at(y, log_sigma - step)) / (2 * step)
    torch.testing.assert_close(slope, along.detach(), rtol=1e-5, atol=1e-6)


def test_both_targets_are_right_in_the_mean_where_the_energy_is():
    """Of the law of the data the loss has no slope in the network; of another one it has."""
    torch.manual_seed(0)
    x = math.sqrt(0.5) * torch.randn(60_000, 2)
    log_sigma, noise = torch.empty(len(x)).uniform_(-1.5, 1), torch.randn_like(x)
    network, sizes = MLPLevels([2], 0.2, 3.0, [16]), []
    for variance in (0.5, 1.0):
        energy = NoiseLevels(normal(variance), network, 0.2, 0.2, 3.0)
        for term in dual_score_matching(energy, x, log_sigma, noise).values():
            sizes.append(
                float(torch.autograd.grad(term, network.readout.weight, retain_graph=True)[0].norm())
            )
    right, wrong = sizes[:2], sizes[2:]
    assert all(5 * a < b for a, b in zip(right, wrong, strict=True)), sizes


def test_it_learns_a_density_with_its_normaliser_at_every_level():
    torch.manual_seed(0)
    energy = NoiseLevels(normal(1.0), MLPLevels([2], 0.2, 3.0, [32, 32], 1.0), 0.2, 0.2, 3.0)
    optimizer = torch.optim.Adam(energy.parameters(), 0.01)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - step / 300)
        x = 0.5 * torch.randn(256, 2)
        log_sigma = math.log(0.2) + math.log(15) * torch.rand(256)
        optimizer.zero_grad()
        sum(dual_score_matching(energy, x, log_sigma, torch.randn_like(x)).values()).backward()
        optimizer.step()
    for sigma in (0.2, 0.5, 2.0):
        y = math.sqrt(0.25 + sigma**2) * torch.randn(2_000, 2, generator=rng(1))
        log_sigma = torch.full((2_000,), math.log(sigma))
        off = (energy.at(y, log_sigma) - normal(0.25)(y, log_sigma)).detach()
        assert abs(float(off.mean())) < 0.2  # log Z is 0 at each level
        assert float(off.std()) < 0.15
    before = normal(1.0).at(0.2)(y) - normal(0.25).at(0.2)(y)
    assert float(before.std()) > 1
    assert energy.integrable
    assert torch.equal(energy(y), energy.at(y, torch.full((2_000,), math.log(0.2))))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"noise": 0.0}, "noise must be a positive number"),
        ({"low": 0.3}, "the ladder must rise"),
        ({"high": 0.1}, "the ladder must rise"),
        ({"low": -1.0}, "the ladder must rise"),
    ],
)
def test_a_ladder_that_does_not_rise_is_refused(given, said):
    settings = {"noise": 0.2, "low": 0.1, "high": 3.0} | given
    with pytest.raises(ValueError, match=said):
        NoiseLevels(normal(1.0), MLPLevels([2], 0.1, 3.0), **settings)


def test_points_that_never_vary_are_refused():
    with pytest.raises(InputError, match="all 50 points are the same"):
        NoisedMixture([4], 2, 2).fit(torch.ones(50, 4))
    with pytest.raises(InputError, match=r"components must be at most the 3 points"):
        NoisedMixture([4], 5, 2).fit(torch.randn(3, 4))
    with pytest.raises(ValueError, match="divisible by 4"):
        ConvLevels([1, 10, 10], 0.1, 3.0)
