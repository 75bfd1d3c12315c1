"""A mixture tilted by experts: its normaliser, its samples, its likelihood, and the generator's critic."""

import math

import pytest
import torch
from small import ADAGRAD, Blobs, quiet_trainer, small_method

from energy_gan.data.digits import Digits
from energy_gan.energies.experts import LinearExperts, ProductOfExperts
from energy_gan.energies.mixture import MixtureBase
from energy_gan.energies.mlp import Identity, MLPFeatures
from energy_gan.generator_terms.critic import Critic
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.priors import NormalPrior
from energy_gan.methods.maximum_likelihood import MaximumLikelihood
from energy_gan.methods.players import Step
from energy_gan.metrics import likelihood
from energy_gan.metrics.likelihood import likelihood_yardsticks, log_likelihood
from energy_gan.model import Model
from energy_gan.negatives.base_samples import BaseNegatives
from energy_gan.numerics.ppca import PPCAMixture
from energy_gan.objectives import noise_contrast
from energy_gan.optim.learns import Learns
from energy_gan.reports.chains import Drift
from energy_gan.reports.images import ImageEnergies
from energy_gan.reports.section import Settings
from energy_gan.samplers.annealed_importance import anneal
from energy_gan.samplers.chains import Chains, tune
from energy_gan.samplers.mala import MALA


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def points(n=2000, dim=2, seed=0):
    x = torch.randn(n, dim, generator=rng(seed))
    x[::2, 0] += 4
    return x


def tilted(dim=2, tilt=0.0):
    """−log N(0, I) − b·x, whose log Z is |b|² / 2."""
    energy = ProductOfExperts([dim], Identity([dim]), 1, LinearExperts, MixtureBase([dim], 2, 1))
    with torch.no_grad():
        energy.experts.weight.zero_()
        energy.experts.bias.zero_()
        energy.linear.fill_(tilt)
    return energy.requires_grad_(False)


def test_annealing_asks_the_base_of_an_energy_once_a_move_and_says_the_same():
    """Of an energy that does not say what it tilts, the base is asked beside the whole."""
    energy, asked = tilted(2, 0.7), []
    energy.base.register_forward_hook(lambda *_: asked.append(1))
    told, plain = (
        anneal(law, torch.zeros(64, 2), 40, base=energy.base, rng=rng()) for law in (energy, energy.forward)
    )
    assert len(asked) == 41 + 2 * 41
    torch.testing.assert_close(told.log_weights, plain.log_weights, rtol=1e-4, atol=1e-4)
    assert told.log_normalizer == pytest.approx(0.49, abs=0.1)


def test_a_base_is_normalised_before_and_after_it_is_fitted():
    base = MixtureBase([2], components=3, rank=1, noise=0.3)
    x = torch.randn(50, 2, generator=rng())
    expected = x.square().sum(1) / 2 + math.log(2 * math.pi)
    torch.testing.assert_close(base(x), expected, rtol=1e-4, atol=1e-4)
    base.fit(points())
    low, high = -8.0, 12.0
    axis = torch.linspace(low, high, 400)
    mass = (-base(torch.cartesian_prod(axis, axis))).exp().sum() * ((high - low) / 399) ** 2
    assert float(mass) == pytest.approx(1, abs=1e-3)


def test_noise_is_added_exactly_to_what_was_fitted_without():
    bare, noisy = MixtureBase([2], 2, 1, noise=0.0), MixtureBase([2], 2, 1, noise=0.5)
    bare.fit(points())
    noisy.fit(points())
    x = torch.randn(20, 2, generator=rng(1))
    clean = PPCAMixture(bare.weights, bare.means, bare.factors, bare.variances)
    expected = PPCAMixture(clean.weights, clean.means, clean.factors, clean.noise + 0.25).log_prob(x)
    torch.testing.assert_close(-noisy(x), expected.float(), rtol=1e-4, atol=1e-4)
    samples = noisy.sample(20_000, rng(2))
    torch.testing.assert_close(samples.mean(0), points().mean(0), rtol=0, atol=0.1)
    torch.testing.assert_close(samples.T.cov(), points().T.cov() + 0.25 * torch.eye(2), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("wrong", [{"components": 0}, {"rank": 0}, {"noise": -1.0}, {"n_iterations": -1}])
def test_a_base_of_impossible_size_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MixtureBase([4], **wrong)


def test_a_base_needs_as_many_points_as_components():
    with pytest.raises(ValueError, match="at most the 5 points, got 9"):
        MixtureBase([2], components=9, rank=1).fit(points(5))


def test_samples_of_the_base_estimate_the_normaliser():
    energy = tilted(tilt=0.5)
    torch.manual_seed(0)
    negatives = BaseNegatives(50_000)(energy, None, torch.zeros(1, 2))
    found = torch.logsumexp(negatives.log_weights - energy(negatives.samples), 0)
    assert float(found) == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(
        negatives.log_density(negatives.samples), -negatives.log_weights - math.log(50_000)
    )


def test_an_energy_without_a_base_is_refused():
    energy = ProductOfExperts([2], MLPFeatures([2], hidden=[4]), 2)
    with pytest.raises(
        ValueError, match="a MixtureBase as its quadratic term: this ProductOfExperts has none"
    ):
        BaseNegatives(4)(energy, None, torch.zeros(1, 2))


class Shifted(Blobs):
    """N(½, I)."""

    def load(self):
        x = torch.randn(4000, 2, generator=rng(self.seed)) + 0.5
        return x, x[:50]

    def standardise(self, x):
        return x


def test_contrast_with_the_base_finds_the_tilt(monkeypatch):
    monkeypatch.setattr(MixtureBase, "fit", lambda base, x, seed: base.fitted.fill_(True))  # stays N(0, I)
    energy = tilted().requires_grad_(True)
    learns = Learns(lambda p: torch.optim.Adam(p, 0.02))
    method = MaximumLikelihood([2], energy, learns, BaseNegatives(256), noise_contrast)
    trainer = quiet_trainer(300)
    trainer.fit(method, Shifted([2], 256, 0))
    tilt = energy.linear - energy.experts.weight[0]
    torch.testing.assert_close(tilt.detach(), torch.full((2,), 0.5), rtol=0, atol=0.15)


def test_the_base_is_fitted_once_when_training_starts():
    energy = ProductOfExperts(
        [2], MLPFeatures([2], hidden=[8]), 2, quadratic=MixtureBase([2], 2, 1), linear=False
    )
    method = MaximumLikelihood([2], energy, Learns(ADAGRAD), BaseNegatives(16), noise_contrast)
    assert not method.energy.base.fitted
    trainer = quiet_trainer(2)
    trainer.fit(method, Blobs([2], 16, 0))
    assert method.energy.base.fitted
    before = energy.quadratic.means.clone()
    trainer.fit_loop.epoch_loop.max_steps = 4
    trainer.fit(method, Blobs([2], 16, 1))
    assert torch.equal(before, energy.quadratic.means)


def test_a_critic_sees_samples_without_noise_and_learns_to_tell_them():
    critic = Critic(torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0)), penalty_weight=0.5)
    clean, x = torch.randn(8, 2), torch.randn(8, 2) + 1
    draw = Draw(clean, clean, clean + 100, torch.ones(8, 1))
    value = critic(Generator(torch.nn.Identity(), NormalPrior(2)), draw, None)
    torch.testing.assert_close(value, -critic.critic(clean).mean())
    terms = critic.learning_terms(draw, x)
    gap = critic.critic(x).mean() - critic.critic(clean).mean()
    torch.testing.assert_close(terms["critic_positive_phase"] + terms["critic_negative_phase"], gap)
    torch.testing.assert_close(terms["critic_penalty"], 0.5 * critic.critic[0].weight.square().sum())
    assert "critic_penalty" not in Critic(critic.critic, penalty_weight=0.0).learning_terms(draw, x)
    with pytest.raises(ValueError, match="penalty_weight must be a number of at least 0, got -1"):
        Critic(critic.critic, penalty_weight=-1.0)


def test_the_energy_sees_data_with_noise_and_without_an_objective_the_generator_never_asks_it(monkeypatch):
    method, seen = small_method(data_noise=0.5, generator_objective=None), []
    forward = type(method.energy).forward
    monkeypatch.setattr(type(method.energy), "forward", lambda self, x: seen.append(x) or forward(self, x))
    step = Step(torch.zeros(4000, 2), method.generator, method.draws)
    method.energy_terms(step)
    assert float(seen[0][:4000].std()) == pytest.approx(0.5, rel=0.05)
    seen.clear()
    assert list(method.generator_terms(step)) == ["entropy_loss"]
    assert not seen
    with pytest.raises(ValueError, match="data_noise must be a number of at least 0, got -1"):
        small_method(data_noise=-1.0)


def test_refined_samples_of_the_energy_s_own_law_keep_it():
    """x ~ N(0, s²), y = x + σ ε: E[x | y] has the variance s⁴ / (s² + σ²), and the noise hides the rest."""
    s, noise = 1.0, 0.8
    method = small_method(data_noise=noise)
    method.energy = MixtureBase([2], 1, 1)
    method.energy._take(
        PPCAMixture(torch.ones(1), torch.zeros(1, 2), torch.zeros(1, 2, 1), torch.tensor([s**2 + noise**2]))
    )
    method.generator = Generator(torch.nn.Identity(), NormalPrior(2))
    model = Model(method.eval())
    raw, refined = model.sample(20_000), model.sample(20_000, refine=20)
    assert float(refined.var()) == pytest.approx(s**2, rel=0.05)
    hidden = noise**2 / (s**2 + noise**2)  # of the variance; as much of it as 20 moves leave alone
    assert float((raw * refined).mean()) == pytest.approx(hidden * s**2, abs=0.05)


def test_the_likelihood_of_a_tilted_base_is_the_known_one(monkeypatch):
    """N(b, I) in 20 dimensions."""
    monkeypatch.setattr(likelihood, "N_TEMPERATURES", 40)
    tilt, dim = 0.4, 20
    held_out = torch.randn(2000, dim, generator=rng(1)) + tilt
    energy = tilted(dim, tilt)
    numbers, reasons = log_likelihood(energy, energy.quadratic, held_out, rng(2))
    exact = -float((held_out - tilt).square().sum(1).mean()) / 2 - dim / 2 * math.log(2 * math.pi)
    assert not reasons
    assert numbers["log_likelihood"] == pytest.approx(exact, abs=0.3)
    assert numbers["log_likelihood_forward"] >= numbers["log_likelihood_reverse"]
    assert abs(numbers["drift_200"]) < 0.5
    base = -float(held_out.square().sum(1).mean()) / 2 - dim / 2 * math.log(2 * math.pi)
    assert numbers["log_likelihood_base"] == pytest.approx(base, abs=1e-3)


def test_chains_of_a_density_stay_and_those_from_elsewhere_join_them():
    energy, x = tilted(20), torch.randn(400, 20, generator=rng(1))
    chains = Chains(MALA(), 60, tune(MALA(), energy, x, rng(2)))
    stay = chains.run(energy, x, rng(2), along=True).energies
    assert stay.shape == (400, 61)
    torch.testing.assert_close(stay[:, 0], energy(x))
    torch.testing.assert_close(stay[:, -1].mean(), stay[:, 0].mean(), rtol=0, atol=0.6)  # 3 errors
    come = chains.run(energy, 3 * x, rng(3), along=True).energies
    assert float(come[:, 0].mean() - stay[:, 0].mean()) > 50
    torch.testing.assert_close(come[:, -1].mean(), stay[:, -1].mean(), rtol=0, atol=0.8)


def test_a_report_draws_the_chains_of_a_density_and_of_no_other_energy():
    data = Digits()
    data.setup()
    section, shape = Drift(Settings(100, 100, "features", 0)), data.shape
    section.prepare(data)
    energy = ProductOfExperts(shape, Identity(shape), 1, LinearExperts, MixtureBase(shape, 5, 5, noise=0.2))
    method = MaximumLikelihood(
        shape, energy, Learns(ADAGRAD), BaseNegatives(4), noise_contrast, data_noise=0.2
    )
    energy.quadratic.fit(data.standardise(data.points))
    with torch.no_grad():
        energy.experts.weight.zero_()
        energy.linear.zero_()
    method.shift.copy_(data.shift), method.scale.copy_(data.scale)
    model = Model(method.eval())
    numbers = section.measure(model, None, False, {})
    assert section.along["held-out images"].shape == (32, 201)
    assert "drift" in section.figures(model, {})
    assert abs(numbers["drift_200"]) < 1
    energies = torch.from_numpy(section.along["held-out images"].numpy())
    assert numbers["drift_200_nats"] == pytest.approx(
        float((energies[:, 0] - energies[:, -1]).mean()), rel=1e-5
    )

    seen = ImageEnergies(Settings(100, 100, "features", 0))  # of images with noise, as the energy is
    seen.prepare(data)
    images = data.pixels(data.held_out)
    noise = data.standardise(model.noisy(images)) - data.standardise(images)
    assert float(noise.std()) == pytest.approx(0.2, rel=0.02)
    noisy = float(model.energy(model.noisy(images)).mean())
    assert seen.measure(model, None, False, {})["energy_held_out"] == pytest.approx(noisy)
    assert noisy > float(model.energy(images).mean()) + 1
    energy.quadratic = None
    section.prepare(data)
    assert section.measure(model, None, False, {}) == section.figures(model, {}) == {}


def test_an_energy_with_a_basin_where_no_data_are_has_no_likelihood(monkeypatch):
    monkeypatch.setattr(likelihood, "N_TEMPERATURES", 40)
    base = tilted(10).quadratic

    def energy(x):
        return base(x) - 60 * torch.exp(-(x - 1.5).square().sum(1) / 20)

    numbers, reasons = log_likelihood(energy, base, torch.randn(500, 10, generator=rng(1)), rng(2))
    assert reasons
    assert "log_likelihood" not in numbers


def test_yardsticks_are_the_likelihoods_of_fitted_gaussians():
    mix = torch.randn(5, 5, generator=rng(3))
    x, y = points(4000, 5) @ mix, points(4000, 5, seed=1) @ mix
    rows = likelihood_yardsticks(x, y, rank=3)
    full = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov()).log_prob(y).mean()
    assert rows["full Gaussian"]["log_likelihood"] == pytest.approx(float(full), abs=0.02)
    assert rows["diagonal Gaussian"]["log_likelihood"] < rows["full Gaussian"]["log_likelihood"] - 0.5
    assert rows["probabilistic PCA, 3 axes"]["log_likelihood"] <= float(full) + 0.02
