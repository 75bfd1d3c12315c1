"""The page of an energy over noise levels and its generator: what each player descends."""

import math

import pytest
import torch
from small import ADAGRAD, Blobs, equal, fit, quiet_trainer, small_method, weights
from torch import nn

from energy_gan.energies.balanced import BalancedMixture
from energy_gan.energies.level_networks import MLPLevels
from energy_gan.energies.noise_levels import NoiseLevels
from energy_gan.energies.noised_mixture import NoisedMixture
from energy_gan.generators.base import Generator
from energy_gan.generators.level_scores import MLPScore
from energy_gan.generators.priors import NormalPrior
from energy_gan.generators.refined_mixture import ImagesFromMixture, PointsFromMixture
from energy_gan.methods.noise_levels import NoiseLevelGAN
from energy_gan.optim.learns import Learns
from energy_gan.optim.schedules import between
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.shapes import Batch

HERE, THERE = 1.0, 0.25  # the variances of the energy's law and of the generator's


class Exact(nn.Module):
    """E[ε | y] − σ ∂E/∂y of a generator's N(0, THERE) under an energy of N(0, HERE)."""

    def __init__(self):
        super().__init__()
        self.off = nn.Parameter(torch.zeros(()))

    def forward(self, y, denoised, log_sigma):
        sigma = log_sigma.exp()[:, None]
        return y * (sigma / (THERE + sigma**2) - sigma / (HERE + sigma**2)) + self.off


def method(generator=None, score=None, **settings):
    torch.manual_seed(0)
    energy = NoiseLevels(NoisedMixture([2], 1, 1), MLPLevels([2], 0.2, 3.0, [16]), 0.2, 0.2, 3.0)
    if generator is None:
        generator = Generator(nn.Linear(2, 2, bias=False), NormalPrior(2))
        with torch.no_grad():
            generator.network.weight.copy_(math.sqrt(THERE) * torch.eye(2))
    score = score or MLPScore([2], 0.2, 3.0, [16])
    learns = Learns(ADAGRAD)
    return NoiseLevelGAN([2], energy, learns, generator, learns, score, learns, **settings)


def test_the_generator_s_gradient_is_that_of_its_divergence_from_the_energy():
    pair = method(score=Exact(), n_generated=4_000)
    seen = pair.seen(True)
    sigma = seen.log_sigma.exp()[:, None]
    expected = sigma * (seen.y / (HERE + sigma**2) - seen.y / (THERE + sigma**2)) * sigma  # σ² (∇E + ∇ log q)
    off = (seen.x - seen.denoised).abs().mean(1, keepdim=True).clamp(min=0.02)
    (found,) = torch.autograd.grad(pair.generator_terms(seen)["matching"], seen.x, retain_graph=True)
    torch.testing.assert_close(found * 4_000 * math.sqrt(2), (expected / off).detach(), rtol=1e-4, atol=1e-5)
    (weight,) = torch.autograd.grad(pair.generator_terms(seen)["matching"], pair.generator.network.weight)
    assert (weight.diagonal() < -0.05).all()  # it is too narrow: descent widens it


def test_a_generator_of_the_energy_s_own_law_gets_no_gradient():
    pair = method(n_generated=64)
    seen = pair.seen(True)
    (gradient,) = torch.autograd.grad(pair.generator_terms(seen)["matching"], pair.generator.network.weight)
    assert torch.equal(gradient, torch.zeros(2, 2))  # r starts at 0, where both laws are one


def test_the_score_learns_what_the_energy_does_not_tell():
    exact = method(score=Exact(), n_generated=40_000)
    (slope,) = torch.autograd.grad(exact.score_terms(exact.seen(False))["denoising"], exact.score.off)
    assert abs(float(slope)) < 0.03
    with torch.no_grad():
        exact.score.off.fill_(0.3)
    (slope,) = torch.autograd.grad(exact.score_terms(exact.seen(False))["denoising"], exact.score.off)
    assert float(slope) > 0.2


def test_each_side_moves_while_its_schedule_gives_it_a_rate():
    first, last = (
        Learns(ADAGRAD, lambda p: between(p, 0.0, 0.5)),
        Learns(ADAGRAD, lambda p: between(p, 0.5, 1.0)),
    )
    pair = method()
    parts = (pair.energy, first), (pair.score, last), (pair.generator, last)
    pair = NoiseLevelGAN([2], *parts[0], *parts[2], *parts[1])
    data = Blobs([2], 16, 0)
    start = [p.clone() for p in pair.generator.parameters()]
    quiet_trainer(4).fit(pair, data)
    moved = [float(player.optimizer.state[player.parameters[-1]]["step"]) for player in pair.players]
    assert moved == [2, 2, 2]
    assert not torch.equal(start[0], next(pair.generator.parameters()))


def test_a_density_is_balanced_once_when_the_energy_rests_and_a_resumed_run_has_it(tmp_path):
    def fresh():
        pair = method()
        density = BalancedMixture(NoisedMixture([2], 3, 1), 0.3, chains=4, temperatures=5)
        pair.energy.density = density
        first = Learns(ADAGRAD, lambda p: between(p, 0.0, 0.6))
        parts = (pair.energy, first), (pair.generator, Learns(ADAGRAD)), (pair.score, Learns(ADAGRAD))
        return NoiseLevelGAN([2], *parts[0], *parts[1], *parts[2])

    whole, resumed = fresh(), fresh()
    fit(whole, 14, tmp_path)
    early = torch.load(tmp_path / "step_000000007.ckpt", weights_only=True)["state_dict"]
    assert not early["energy.density.balanced"]
    assert whole.energy.density.balanced
    fit(resumed, 14, resume=tmp_path / "step_000000007.ckpt")
    assert equal(weights(whole), weights(resumed))
    assert torch.equal(whole.energy.density.log_normalizers, resumed.energy.density.log_normalizers)
    found = whole.energy.density.log_normalizers.clone()
    whole.energy.balance()
    assert torch.equal(found, whole.energy.density.log_normalizers)


def test_a_schedule_rests_before_and_after_and_falls_between():
    values = [between(p / 100, 0.2, 0.6, warm_up=0.1, least=0.1) for p in range(101)]
    assert values[:20] == [0.0] * 20
    assert values[60:] == [0.0] * 41
    assert values[20] == pytest.approx(0.01)
    assert values[59] == pytest.approx(0.1, abs=0.01)
    assert max(values) > 0.9
    with pytest.raises(ValueError, match="shares must rise"):
        between(0.5, 0.6, 0.2)


def test_a_generator_begins_at_the_mixture():
    torch.manual_seed(0)
    x = torch.tanh(0.3 * torch.randn(500, 1, 8, 8) + torch.linspace(-1, 1, 8))
    generator = ImagesFromMixture([1, 8, 8], 3, 5, 0, [4, 8], 16)
    generator.network.fit(x)
    latent = generator.prior.sample(2_000)
    start = generator.network.start(latent)
    torch.testing.assert_close(generator(latent), start.clamp(-0.97, 0.97), rtol=0, atol=1e-5)
    torch.testing.assert_close(start.mean(0), x.mean(0), rtol=0, atol=0.05)
    x = torch.randn(5_000, 2) @ torch.tensor([[1.0, 0.5], [0.0, 0.3]])
    generator = PointsFromMixture([2], 4, 1, 5, [8])
    generator.network.fit(x)
    torch.testing.assert_close(
        generator(generator.prior.sample(20_000)).T.cov(), x.T.cov(), rtol=0.1, atol=0.02
    )


def test_an_energy_without_levels_is_refused():
    other, learns = small_method(), Learns(ADAGRAD)
    with pytest.raises(
        ValueError, match="needs an energy of all noise levels, and ProductOfExperts is one of"
    ):
        NoiseLevelGAN([2], other.energy, learns, other.generator, learns, nn.Identity(), learns)


@pytest.mark.parametrize("shape", [[3, 32, 32], [3, 64, 64]])
def test_the_recipe_for_colour_takes_a_step_at_small_width(shape):
    stages = 3 if shape[1] == 32 else 4
    widths, few = [8] * stages, ["method.n_generated=4", "data.batch_size=4"]
    few += [f"method.{part}.channels={widths}" for part in ("energy.network", "generator", "score")]
    few += ["method.energy.network.hidden=16", "method.generator.hidden=16", "method.score.hidden=16"]
    few += ["method.generator.rank=3", "method.energy.mixture.rank=3"]
    few += ["method.energy.density.mixture.rank=3", "method.energy.density.mixture.components=2"]
    config = compose(["data=celeba", f"data.shape={shape}", "method=noise_levels", "run_dir=run", *few])
    pair = build(config["method"], "method")
    with torch.autocast("cpu", torch.bfloat16):
        pair.training_step(Batch(torch.rand(4, *shape) * 2 - 1), 0)
    assert all(p.isfinite().all() for p in pair.parameters())
    assert pair.generator.draw(pair.generator.prior.sample(2)).samples.shape == (2, *shape)
