"""Laws of short runs: the walk's Jacobian, its law where that is known, whose weights it has, its starts."""

from functools import partial

import pytest
import torch

from energy_gan import sampling
from energy_gan.energies.experts import CentredQuadratic, LinearExperts, ProductOfExperts
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.energies.tempered import Tempered
from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.priors import NormalPrior, UniformPrior
from energy_gan.generators.short_run import ShortRun
from energy_gan.inference.nearest import NearestLatent, constant_jacobian, gradient
from energy_gan.methods.maximum_likelihood import MaximumLikelihood
from energy_gan.model import Model
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.memory import Buffer, NoMemory
from energy_gan.negatives.starts import FromData, FromNoise, FromUniform
from energy_gan.optim.learns import Learns
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.langevin import Langevin
from energy_gan.samplers.mala import MALA

SHAPE, STEP, K = [1, 4, 4], 5e-5, 8  # b = 0.01, and a = 1 with T = ε


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def energy_of(activation="leaky_relu", quadratic=False):
    torch.manual_seed(0)
    features = MLPFeatures(SHAPE, [32, 32], activation, activation, input_gain=3.0)
    bowl = CentredQuadratic(SHAPE, 0.1) if quadratic else None
    if bowl is not None:
        torch.nn.init.normal_(bowl.log_curvature, -2.0, 0.3)
    return Tempered(ProductOfExperts(SHAPE, features, 1, LinearExperts, bowl, linear=False), STEP)


class Bowl(torch.nn.Module):
    """½ c ‖x − 1‖², of which a short run has a law in closed form."""

    def forward(self, x):
        return 0.5 * 200.0 * (x - 1).square().flatten(1).sum(1)


def short_run(energy, prior=None, scale=1.0, step_size=STEP, n_steps=K):
    return ShortRun(SHAPE, energy, Chains(Langevin(), n_steps, step_size), prior or UniformPrior(16), scale)


def method_of(energy, **negatives):
    parts = {"start": FromUniform(), "memory": NoMemory(4), "n_steps": K, "step_size": STEP}
    negatives = ChainNegatives(**parts | {"kernel": Langevin()} | negatives)
    learns = Learns(partial(torch.optim.Adam, lr=1e-3))
    return MaximumLikelihood(SHAPE, energy, learns, negatives, inference=NearestLatent(5))


# ---- the Jacobian of the walk


def test_down_a_piecewise_linear_energy_the_residual_is_the_gradient():
    generator = short_run(energy_of())
    z, x = generator.prior.sample(5, rng()), torch.rand(5, *SHAPE, generator=rng(1))
    made = generator(z)
    assert (made.flatten(1) - z).abs().min() > 1e-3, "the walk moves every number"
    assert torch.equal(gradient(generator, z, x), (made - x).flatten(1))
    assert torch.equal(constant_jacobian(generator, z), torch.ones(16))


def test_down_a_smooth_energy_it_is_not():
    generator = short_run(energy_of("silu"))
    z, x = generator.prior.sample(5, rng()), torch.rand(5, *SHAPE, generator=rng(1))
    assert (gradient(generator, z, x) - (generator(z) - x).flatten(1)).abs().max() > 1e-2
    assert constant_jacobian(generator, z) is None


def test_a_quadratic_beside_it_is_a_factor():
    """J = scale · Π (1 − a c)^K, number by number."""
    energy = energy_of(quadratic=True)
    generator = short_run(energy, scale=2.0)
    curvature = energy.energy.quadratic.log_curvature.detach().exp().flatten()
    z, x = generator.prior.sample(5, rng()), torch.rand(5, *SHAPE, generator=rng(1))
    factor = constant_jacobian(generator, z)
    torch.testing.assert_close(factor, 2 * (1 - curvature) ** K)
    torch.testing.assert_close(gradient(generator, z, x, factor), gradient(generator, z, x))


def test_a_generator_with_fewer_latents_than_numbers_has_no_diagonal():
    generator = Generator(torch.nn.Linear(3, 4), UniformPrior(3))
    assert constant_jacobian(generator, generator.prior.sample(4)) is None


# ---- samples


@pytest.mark.parametrize(("prior", "variance"), [(UniformPrior(16), 1 / 3), (NormalPrior(16), 1.0)])
def test_in_a_bowl_the_law_of_a_short_run_is_known(prior, variance):
    """mean − 1 ← (1 − ε c)(mean − 1) and v ← (1 − ε c)² v + 2ε, from the start's."""
    step_size = 1e-3
    generator = short_run(Bowl(), prior, scale=0.5, step_size=step_size, n_steps=5)
    mean, variance = 0.0, 0.25 * variance
    for _ in range(5):
        mean, variance = 1 + 0.8 * (mean - 1), 0.64 * variance + 2 * step_size
    x = generator.draw(prior.sample(4000, rng()), rng(1)).samples
    assert x.mean() == pytest.approx(mean, abs=0.005)
    assert x.var() == pytest.approx(variance, rel=0.02)
    quiet = generator(torch.zeros(1, 16))
    torch.testing.assert_close(quiet, torch.full((1, *SHAPE), mean))


def test_samples_are_those_of_their_seed_in_blocks_as_at_once(monkeypatch):
    method = method_of(energy_of(quadratic=True))
    model = Model(method)
    assert torch.equal(model.sample(7, seed=3), model.sample(7, seed=3))
    assert not torch.equal(model.sample(7, seed=3), model.sample(7, seed=4))
    monkeypatch.setattr(sampling, "BLOCK", 3)
    assert torch.equal(torch.cat(list(model.sample_blocks(7, seed=3))), model.sample(7, seed=3))
    assert method.training, "it is trained on as it was"
    assert method.energy.training


def test_negatives_and_samples_are_of_one_law():
    method = method_of(energy_of(quadratic=True), memory=NoMemory(4000))
    torch.manual_seed(0)
    negatives = method.negatives(method.energy, None, torch.zeros(2, *SHAPE)).samples.flatten(1)
    samples = Model(method).sample(4000).flatten(1)
    torch.testing.assert_close(samples.mean(0), negatives.mean(0), rtol=0, atol=0.03)
    torch.testing.assert_close(samples.var(0), negatives.var(0), rtol=0.15, atol=0)


def test_its_weights_are_the_energy_s_and_are_kept_once():
    method = method_of(energy_of(quadratic=True))
    generator = method.learned.generator
    assert [id(p) for p in generator.parameters()] == [id(p) for p in method.energy.parameters()]
    assert sum(name.endswith("log_curvature") for name in method.state_dict()) == 1
    assert not any("generator" in name for name in method.state_dict())
    before = generator(torch.zeros(1, 16))
    with torch.no_grad():
        method.energy.energy.quadratic.mean.add_(1.0)
    assert not torch.equal(before, generator(torch.zeros(1, 16)))


@pytest.mark.parametrize(
    "parts",
    [
        {"start": FromData()},
        {"memory": Buffer(SHAPE, 8, 4)},
        {"kernel": MALA()},
    ],
)
def test_no_other_chains_are_a_generator(parts):
    with pytest.raises(ValueError, match="inference must be null where there is no generator"):
        method_of(energy_of(), **parts)


def test_normal_starts_interpolate_along_an_arc_and_latent_chains_walk():
    model = Model(method_of(energy_of(quadratic=True), start=FromNoise(0.5)).eval())
    assert model.interpolate(2, 3).shape == (2, 3, *SHAPE)
    samples, trace = model.sample_latent(4, n_steps=2, step_size=1e-3)
    assert samples.shape == (4, *SHAPE)
    assert trace.energy.isfinite().all()


# ---- the start that a walk comes nearest from


def test_with_a_normal_prior_it_is_the_mode_of_a_linear_gaussian_model():
    """G(z) = m + j z: z* = j (x − m) / (j² + σ²), and (x − m) / j without the prior."""
    generator = short_run(Bowl(), NormalPrior(16), step_size=1e-3, n_steps=5)
    x = torch.rand(3, *SHAPE, generator=rng())
    j, m = 0.8**5, 1 - 0.8**5
    inference = NearestLatent(100, learning_rate=0.3, std=0.5)
    apart = (x - m).flatten(1)
    torch.testing.assert_close(inference(generator, x).latent, j * apart / (j**2 + 0.25), rtol=0, atol=0.02)
    torch.testing.assert_close(inference.free()(generator, x).latent, apart / j, rtol=0, atol=0.02)


def test_it_stays_between_the_prior_s_walls_unless_it_is_free():
    model = Model(method_of(energy_of(quadratic=True)).eval())
    model.method.inference = NearestLatent(30)
    x = 1.5 * torch.rand(3, *SHAPE, generator=rng())
    held, free = model.reconstruct(x), model.reconstruct(x, free=True)
    assert held.latent.abs().max() <= 1
    assert free.latent.abs().max() > 1
    errors = [float((found.points - x).square().mean()) for found in (held, free)]
    assert errors[1] < 0.8 * errors[0]
    torch.testing.assert_close(held.start.flatten(1), held.latent, msg="the start is the latent as an image")
    again = model.learned.generator(free.latent)
    torch.testing.assert_close(again.detach(), free.points)


def test_a_method_without_inference_reconstructs_nothing():
    method = method_of(energy_of())
    method.inference = None
    with pytest.raises(InputError, match="no inference to reconstruct with"):
        Model(method).reconstruct(torch.zeros(1, *SHAPE))
