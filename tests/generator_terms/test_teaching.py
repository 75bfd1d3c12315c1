"""Laws of cooperative learning: what chains make of the generator's proposals, and what it makes of that."""

from functools import partial

import pytest
import torch

from energy_gan.errors import InputError
from energy_gan.generator_terms.teaching import Teaching
from energy_gan.generators.base import Generator
from energy_gan.generators.mixed_prior import MixedPrior
from energy_gan.generators.priors import NormalPrior, UniformPrior
from energy_gan.methods.energy_gan import EnergyGAN
from energy_gan.methods.players import Draws, Step
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.generator import GeneratorNegatives
from energy_gan.negatives.memory import NoMemory, PersistentChains, WeightedChains
from energy_gan.negatives.starts import FromGenerator, FromNoise
from energy_gan.optim.learns import Learns
from energy_gan.randomness import set_seed
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.hmc import HMC
from energy_gan.samplers.langevin import Langevin
from energy_gan.shapes import Batch, Negatives

SPREAD = torch.tensor([[1.0, 0.5], [0.5, 0.6]])  # of the data, a normal around (1, −1)
MEAN = torch.tensor([1.0, -1.0])


class Quadratic(torch.nn.Module):
    """½ (x − μ)ᵀ A (x − μ)."""

    def __init__(self, precision=None):
        super().__init__()
        self.precision = torch.nn.Parameter(torch.eye(2) if precision is None else precision)
        self.mean = torch.nn.Parameter(torch.zeros(2))

    def forward(self, x):
        x = x - self.mean
        return 0.5 * ((x @ self.precision) * x).sum(1)


def linear(prior=None, n=2):
    torch.manual_seed(0)
    return Generator(torch.nn.Linear(n, n), prior or NormalPrior(n))


def revising(n_steps=5, step_size=0.02):
    return ChainNegatives(FromGenerator(in_order=True), NoMemory(256), n_steps, step_size, kernel=Langevin())


def cooperative(energy=None, teaching=None, negatives=None, rates=(0.1, 0.1), **settings):
    energy_learns, generator_learns = (Learns(partial(torch.optim.SGD, lr=rate)) for rate in rates)
    settings = {"draws": Draws(reuse="latents"), "generator_objective": None} | settings
    settings |= {"negatives": negatives or revising(), "terms": {"teaching": teaching or Teaching(1.0)}}
    energy = energy or Quadratic()
    return EnergyGAN([2], energy, energy_learns, linear(), generator_learns, **settings)


def data(n=256):
    return MEAN + torch.randn(n, 2) @ torch.linalg.cholesky(SPREAD).T


@pytest.mark.parametrize("reuse", ["latents", "forward"])
def test_without_a_step_there_is_nothing_to_learn(reuse):
    """K = 0: x̃ = G(z), and the generator's loss is zero in value and in slope."""
    method = cooperative(negatives=GeneratorNegatives(), draws=Draws(reuse=reuse))
    step = Step(data(), method.generator, method.draws)
    method.energy_terms(step)
    terms = method.generator_terms(step)
    assert list(terms) == ["teaching_loss"]
    assert terms["teaching_loss"] == 0
    slopes = torch.autograd.grad(terms["teaching_loss"], list(method.generator.parameters()))
    assert not any(slope.any() for slope in slopes)


def test_the_pair_comes_to_rest_where_the_revised_are_the_data():
    """Quadratic E, linear G: x̃ = μ + (I − εA)ᴷ (G(z) − μ) + noise of variance 2εK. G rests where A is flat,
    and E where the spread of x̃ is that of the data: G's is SPREAD − 2εK, the proposals lack the walk's noise.
    """
    method, found = cooperative(rates=(0.4, 0.1)), []
    for step in range(240):
        set_seed(step)
        method.training_step(Batch(data()), step)
        weight, bias = method.generator.network.weight.detach(), method.generator.network.bias.detach()
        found.append(torch.cat([weight @ weight.T, bias[None], method.energy.precision.detach()]))
    spread, bias, precision = torch.stack(found[100:]).mean(0).split([2, 1, 2])
    torch.testing.assert_close(bias[0], MEAN, atol=0.05, rtol=0)
    torch.testing.assert_close(spread, SPREAD - 2 * 0.02 * 5 * torch.eye(2), atol=0.08, rtol=0)
    assert precision.abs().max() < 0.5, "it was 1, that of the data has 2.9"


def test_with_latent_steps_the_generator_rests_at_the_energys_law():
    """Long walks make x̃ ~ exp(−E); G(z) + σ ε has that law where W Wᵀ = SPREAD − σ², and there no slope."""
    walk = Chains(HMC(5), 5, 0.08)
    term = Teaching(0.4, latent_steps=300, latent_step_size=0.01, chains=walk)
    energy, generator = Quadratic(SPREAD.inverse()), linear()
    energy.mean.data.copy_(MEAN)
    generator.network.bias.data.copy_(MEAN)
    slopes = {}
    for factor in (0.8, 1.0, 1.2):
        weight = generator.network.weight
        weight.data = factor * torch.linalg.cholesky(SPREAD - 0.16 * torch.eye(2))
        draw = generator.draw(torch.randn(4000, 2))
        value = term(generator, draw, term.learns_from(energy, draw, None))
        (slope,) = torch.autograd.grad(value, weight)
        slopes[factor] = float((slope * weight.detach()).sum())  # per unit of log W
    assert slopes[0.8] > 0.2
    assert slopes[1.0] == pytest.approx(0.0, abs=0.1)
    assert slopes[1.2] < -0.2


def test_latent_steps_lead_to_the_posterior():
    """Linear G: p(z | x̃) = N(C Wᵀ(x̃ − c)/σ², C), C = (I + WᵀW/σ²)⁻¹."""
    generator, sigma = linear(), 0.5
    x = torch.tensor([0.8, -0.3])
    term = Teaching(sigma, latent_steps=150, latent_step_size=0.02)
    z = term.follow(generator, torch.randn(8000, 2), x.expand(8000, 2))
    weight, bias = generator.network.weight.detach(), generator.network.bias.detach()
    spread = (torch.eye(2) + weight.T @ weight / sigma**2).inverse()
    torch.testing.assert_close(z.mean(0), spread @ weight.T @ (x - bias) / sigma**2, atol=0.03, rtol=0)
    torch.testing.assert_close(z.T.cov(), spread, atol=0.04, rtol=0)


def test_latents_stay_within_the_priors_walls():
    generator = linear(UniformPrior(1), 1)
    torch.nn.init.zeros_(generator.network.weight)
    z = Teaching(latent_steps=60, latent_step_size=0.05).follow(
        generator, torch.zeros(4000, 1), torch.zeros(4000, 1)
    )
    assert z.abs().max() <= 1
    assert z.var().item() == pytest.approx(1 / 3, abs=0.02), "of the uniform law, where G says nothing of z"
    with pytest.raises(InputError, match="latent_steps must be 0 where the latent holds bits"):
        Teaching(latent_steps=1).follow(linear(MixedPrior(2, 2), 4), torch.ones(1, 4), torch.ones(1, 4))


def test_own_chains_revise_the_batch_with_the_present_energy():
    method = cooperative(teaching=Teaching(chains=Chains(Langevin(), 3, 0.1)), draws=Draws())
    draw = method.generator.draw(torch.randn(7, 2))
    set_seed(1)
    revised = method.terms["teaching"].learns_from(method.energy, draw, Negatives(torch.zeros(3, 2)))
    set_seed(1)
    by_hand = Chains(Langevin(), 3, 0.1).run(method.energy, draw.samples.detach()).state.x
    assert torch.equal(revised.samples, by_hand)
    loss = -method.terms["teaching"](method.generator, draw, revised)
    expected = (by_hand - draw.clean).square().sum(1).mean() / (2 * 0.3**2)
    torch.testing.assert_close(loss, expected)
    assert torch.autograd.grad(loss, list(method.energy.parameters()), allow_unused=True) == (None, None)


@pytest.mark.parametrize(
    "settings",
    [
        {"draws": Draws(reuse="nothing")},
        {"negatives": ChainNegatives(FromGenerator(), NoMemory(256))},
        {"negatives": ChainNegatives(FromNoise(), NoMemory(256))},
    ],
)
def test_rows_that_do_not_belong_together_are_refused(settings):
    with pytest.raises(ValueError, match=r"row by row: give draws\.reuse=latents and"):
        cooperative(**settings)
    with pytest.raises(ValueError, match="in_order=true needs chains that nobody keeps"):
        ChainNegatives(FromGenerator(in_order=True), PersistentChains([2], 8, 2))
    weighted = ChainNegatives(FromNoise(), WeightedChains([2], 8, 4))
    own = Teaching(chains=Chains(Langevin(), 1, 0.1))
    cooperative(teaching=own, **{"negatives": weighted} | settings)


def test_impossible_settings_are_refused():
    for settings in ({"sigma": 0.0}, {"latent_steps": -1}, {"latent_step_size": 0.0}):
        with pytest.raises(ValueError, match="must be positive and latent_steps at least 0"):
            Teaching(**settings)
