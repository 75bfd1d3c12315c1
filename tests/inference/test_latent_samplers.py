"""Laws of the chains in latent space: detailed balance, known posteriors, walls; and their door."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import QUICK
from PIL import Image

from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.flow import FlowGenerator
from energy_gan.generators.mixed_prior import MixedPrior
from energy_gan.generators.mlp import MLPGenerator
from energy_gan.generators.output_noise import FixedNoise
from energy_gan.generators.priors import NormalPrior, UniformPrior
from energy_gan.inference.latent_space import LatentChains, fold, latent_energy
from energy_gan.methods.base import Learned, Method
from energy_gan.model import Model
from energy_gan.run.checkpoints import load
from energy_gan.samplers.base import init
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.hmc import HMC
from energy_gan.samplers.langevin import Langevin
from energy_gan.samplers.mala import MALA

A = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.2, 0.4]], dtype=torch.float64)
B = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64)
Y = torch.tensor([1.5, 0.2, -0.4], dtype=torch.float64)
S = 0.6


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def linear_generator(prior, weight=A, bias=B):
    """G(z) = A z + b, in float64."""
    network = torch.nn.Linear(*weight.T.shape, dtype=torch.float64)
    with torch.no_grad():
        network.weight.copy_(weight)
        network.bias.copy_(bias)
    return Generator(network, prior).eval()


def quadratic(x):
    """E(x) = ½ ‖x − y‖² / s²."""
    return 0.5 * (x - Y).square().sum(1) / S**2


def posterior(temperature=1.0, with_prior=True):
    """Mean and covariance of p(z) exp(−E(A z + b) / temperature), z ~ N(0, I)."""
    precision = A.T @ A / (S**2 * temperature) + with_prior * torch.eye(2, dtype=torch.float64)
    covariance = precision.inverse()
    return covariance @ A.T @ (Y - B) / (S**2 * temperature), covariance


def latents(n, dimension=2, seed=0):
    return torch.randn(n, dimension, generator=rng(seed), dtype=torch.float64)


def assert_moments(z, mean, covariance, spread=4.5):
    """Within 4.5 standard errors of independent chains, each moment."""
    n = len(z)
    assert ((z.mean(0) - mean).abs() < spread * (covariance.diagonal() / n).sqrt()).all(), z.mean(0) - mean
    v = covariance.diagonal()
    errors = ((v[:, None] * v + covariance**2) / n).sqrt()
    assert ((z.T.cov() - covariance).abs() < spread * errors).all(), z.T.cov() - covariance


# ---- the target


def test_priors_know_their_densities():
    z = latents(7, 3)
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(NormalPrior(3).log_prob(z), normal.log_prob(z).sum(1))
    box = torch.tensor([[0.0, 1.0], [-1.0, 0.99], [1.01, 0.0], [0.0, -7.0]])
    expected = torch.tensor([-math.log(4), -math.log(4), -math.inf, -math.inf])
    assert torch.equal(UniformPrior(2).log_prob(box), expected)


def test_the_target_is_the_posterior_s_energy():
    """−log N(z; m, C) up to a constant, and its gradient, at any temperature, with and without the prior."""
    z = latents(20)
    for temperature, with_prior in [(1.0, True), (0.3, True), (5.0, False)]:
        target = latent_energy(quadratic, linear_generator(NormalPrior(2)), temperature, with_prior)
        mean, covariance = posterior(temperature, with_prior)
        if not with_prior:  # the published β E(G(z)) itself
            x = z @ A.T + B
            torch.testing.assert_close(target(z), 0.2 * quadratic(x))
        state, precision = init(target, z), covariance.inverse()
        known = 0.5 * torch.einsum("bi,ij,bj->b", z - mean, precision, z - mean)
        torch.testing.assert_close(state.energy - state.energy[0], known - known[0])
        torch.testing.assert_close(state.gradient, (z - mean) @ precision)


def test_the_output_noise_is_left_out_and_no_weight_gets_a_gradient():
    generator = Generator(torch.nn.Linear(2, 2), NormalPrior(2), FixedNoise()).eval()
    z = torch.randn(5, 2, generator=rng())
    target = latent_energy(lambda x: x.square().sum(1), generator, with_prior=False)
    torch.testing.assert_close(target(z), generator(z).square().sum(1))
    init(target, z)
    assert all(p.grad is None for p in generator.parameters())


def test_a_flow_has_a_latent_space():
    """−log q(f⁻¹(z)) = −log p(z) + log |det ∂x/∂z|, so with its own energy the prior counts twice."""
    flow = FlowGenerator([2], transforms=1, bins=4, hidden=[8]).eval()
    z = torch.randn(6, 2, generator=rng())
    target = latent_energy(lambda x: -flow.log_prob(x), flow)
    volume = torch.stack([torch.autograd.functional.jacobian(lambda z: flow(z[None])[0], one) for one in z])
    expected = -2 * flow.prior.log_prob(z) + torch.linalg.slogdet(volume).logabsdet
    torch.testing.assert_close(target(z), expected, atol=1e-4, rtol=1e-4)
    assert init(target, z).gradient.isfinite().all()


# ---- detailed balance


class Curved(torch.nn.Module):
    """A small G that is not linear: the plane rolled up in space."""

    def forward(self, z):
        return torch.stack([z[:, 0].sin(), z[:, 0] + z[:, 1] ** 2, (z[:, 0] * z[:, 1]).tanh()], 1)


def curved_log_density(z, temperature, with_prior):
    """log p(z) exp(−E(G(z)) / temperature), written down anew for one z."""
    a, b = z
    x = torch.stack([a.sin(), a + b**2, (a * b).tanh()])
    log_p = -0.5 * (a**2 + b**2) if with_prior else 0.0
    return log_p - 0.5 * ((x - Y) ** 2).sum() / S**2 / temperature


@pytest.mark.parametrize(("temperature", "with_prior"), [(1.0, True), (0.7, True), (100.0, False)])
def test_mala_is_in_detailed_balance_in_latent_space(monkeypatch, temperature, with_prior):
    """π(z) q(z→z') α(z→z') is the same both ways; α is what the kernel says, all else by hand."""
    generator = Generator(Curved(), NormalPrior(2)).eval()
    target = latent_energy(quadratic, generator, temperature, with_prior)
    ε, start = 0.1, 0.7 * latents(40)
    end = start + 0.3 * latents(40, seed=1)

    def drift(z):
        slope = torch.func.grad(lambda z: curved_log_density(z, temperature, with_prior))
        return z + ε * torch.stack([slope(one) for one in z])

    def log_density(z):
        return torch.stack([curved_log_density(one, temperature, with_prior) for one in z])

    def log_q(here, there):
        normal = torch.distributions.MultivariateNormal(
            drift(here), 2 * ε * torch.eye(2, dtype=torch.float64)
        )
        return normal.log_prob(there)

    def acceptance(here, there):
        """What MALA accepts with when its random numbers lead it from here to there."""
        ξ = (there - drift(here)) / math.sqrt(2 * ε)
        monkeypatch.setattr("energy_gan.samplers.mala.normal_like", lambda x, rng: ξ)
        state, info = MALA().step(target, init(target, here), ε, rng())
        torch.testing.assert_close(state.x[info.accepted], there[info.accepted])
        return info.acceptance

    forth, back = acceptance(start, end), acceptance(end, start)
    by_hand = log_density(end) + log_q(end, start) - log_density(start) - log_q(start, end)
    torch.testing.assert_close(forth, by_hand.clamp(max=0).exp())
    torch.testing.assert_close(
        log_density(start) + log_q(start, end) + forth.log(),
        log_density(end) + log_q(end, start) + back.log(),
    )
    if temperature <= 1:
        assert 0.1 < (forth < 0.9).double().mean() < 0.9, "both moves that are accepted and that are not"


# ---- known posteriors


@pytest.mark.parametrize(
    ("kernel", "temperature", "with_prior"),
    [
        (MALA(), 1.0, True),
        (MALA(), 0.25, True),
        (MALA(), 3.0, False),
        (HMC(3), 1.0, True),
        (HMC(3), 2.0, False),
    ],
)
def test_a_linear_generator_s_posterior_is_recovered(kernel, temperature, with_prior):
    chains = LatentChains(kernel, quadratic, linear_generator(NormalPrior(2)), temperature, with_prior)
    start = latents(6_000)
    step_size = chains.tune(start[:500], rng(1))
    z, trace = chains.run(start, step_size, 80, rng(2))
    assert_moments(z, *posterior(temperature, with_prior))
    mean = quadratic(z @ A.T + B).mean()
    torch.testing.assert_close(trace.energy[-1], mean)
    assert trace.acceptance_rate[20:].mean().item() == pytest.approx(0.7, abs=0.1)


def test_langevin_recovers_it_at_a_small_step_and_is_too_wide_at_a_large_one():
    """Along each axis of the posterior its variance is v / (1 − ε / 2v), as everywhere."""
    chains = LatentChains(Langevin(), quadratic, linear_generator(NormalPrior(2)))
    mean, covariance = posterior()
    values, axes = torch.linalg.eigh(covariance)
    for step_size, n_steps in [(0.01, 250), (0.2, 40)]:
        z, trace = chains.run(latents(6_000), step_size, n_steps, rng(1))
        biased = axes @ torch.diag(values / (1 - step_size / (2 * values))) @ axes.T
        assert_moments(z, mean, biased)
        assert (trace.acceptance_rate == 1).all()
    assert (biased / covariance).diagonal().min() > 1.2
    assert 0.005 < chains.tune(latents(500), rng(2)) < 0.2, "its own choice is a small one"


# ---- walls


def truncated_normal(mean, std):
    """Mean and variance of N(mean, std²) on [−1, 1]."""
    t = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    w = (-0.5 * ((t - mean) / std) ** 2).exp()
    first = (w * t).sum() / w.sum()
    return first, (w * (t - first) ** 2).sum() / w.sum()


def walled(reflect):
    """z in [−1, 1]², G(z) = (2 z₀, z₁ / 2), E = ½ ‖x − (1.6, 0)‖²: near one wall, and wide beside the box."""
    weight = torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64))
    generator = linear_generator(UniformPrior(2), weight, torch.zeros(2, dtype=torch.float64))
    x0 = torch.tensor([1.6, 0.0], dtype=torch.float64)
    return latent_energy(lambda x: 0.5 * (x - x0).square().sum(1), generator, reflect=reflect)


def assert_truncated(z, spread=4.5, bias=0.0):
    assert (z.abs() <= 1).all()
    for number, (mean, std) in enumerate([(0.8, 0.5), (0.0, 2.0)]):
        first, variance = truncated_normal(mean, std)
        assert abs(z[:, number].mean() - first) < spread * (variance / len(z)).sqrt() + bias
        assert z[:, number].var() == pytest.approx(variance.item(), rel=spread * math.sqrt(2 / len(z)) + bias)


@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize(("kernel", "step_size"), [(MALA(), 0.15), (HMC(4), 0.03)])
def test_a_truncated_normal_is_recovered_within_its_walls(kernel, step_size, reflect):
    target = walled(reflect)
    start, refused = init(target, 2 * torch.rand(6_000, 2, generator=rng(), dtype=torch.float64) - 1), 0
    for state, info, _ in Chains(kernel, 100, step_size).walk(target, start, rng(1)):
        assert info.acceptance.isfinite().all()
        assert state.energy.isfinite().all()
        assert reflect or (state.x.abs() <= 1).all(), "never outside, at no step"
        refused += (info.acceptance == 0).double().mean().item() / 100
    assert_truncated(fold(state.x) if reflect else state.x)
    assert refused == 0 if reflect else refused > 0.1, "mirrors waste no move at a wall"


def test_langevin_stays_within_mirrors():
    target = walled(reflect=True)
    start = 2 * torch.rand(6_000, 2, generator=rng(), dtype=torch.float64) - 1
    state = Chains(Langevin(), 300, 0.003).run(target, start, rng(1)).state
    assert (state.x.abs() > 1).any(), "walks past the wall are what the mirrors are for"
    assert_truncated(fold(state.x), bias=0.01)


def test_chains_under_a_uniform_prior_have_mirrors_and_without_it_none():
    weight, bias = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    generator = linear_generator(UniformPrior(2), weight, bias)
    start = 2 * torch.rand(500, 2, generator=rng(), dtype=torch.float64) - 1
    for kernel in (MALA(), HMC(), Langevin()):

        def energy(x):
            assert x.abs().max() <= 1, "G never sees what the prior never gives"
            return -3 * x.sum(1)

        z, trace = LatentChains(kernel, energy, generator).run(start, 0.1, 30, rng(1))
        assert (z.abs() <= 1).all()
        assert trace.energy[-1].item() == pytest.approx(energy(z).mean().item(), abs=1e-9)
    free, _ = LatentChains(MALA(), lambda x: x.square().sum(1), generator, 10.0, False).run(
        start, 1.0, 30, rng(1)
    )
    assert (free.abs() > 1).double().mean() > 0.5, "exp(−E(G(z)) / 10) over the whole plane"


def test_mirrors():
    z = torch.tensor([[0.3, -1.0, 1.0, 1.2, -1.2, 3.0, 5.5, -3.2]])
    torch.testing.assert_close(fold(z), torch.tensor([[0.3, -1.0, 1.0, 0.8, -0.8, -1.0, 0.5, 0.8]]))
    wide = 20 * torch.randn(1000, 3, generator=rng())
    assert (fold(wide).abs() <= 1).all()
    torch.testing.assert_close(fold(fold(wide)), fold(wide))
    torch.testing.assert_close(fold(2 - wide), fold(wide), atol=1e-5, rtol=0)
    torch.testing.assert_close(fold(5 * wide + 2, (-3.0, 7.0)), 5 * fold(wide) + 2, atol=1e-4, rtol=0)


# ---- the model


class Trained(Method):
    """Nothing but its parts."""

    def training_step(self, batch, batch_idx):
        """It learns nothing."""

    @property
    def learned(self):
        return Learned(self.energy, generator=self.generator)


def tiny_model(generator):
    method = Trained((2,))
    method.energy, method.generator = Concentrated(), generator
    method.shift, method.scale = torch.tensor([10.0, -3.0]), torch.tensor([2.0, 0.1])
    return Model(method)


class Concentrated(torch.nn.Module):
    """E(u) = ½ ‖u − c‖² / 0.1²."""

    def forward(self, u):
        return 0.5 * (u - torch.tensor([0.6, -0.4])).square().sum(1) / 0.1**2


@pytest.mark.parametrize("prior", [NormalPrior(3), UniformPrior(3)])
@pytest.mark.parametrize("kernel", [MALA(), HMC(), Langevin()])
def test_chains_from_the_prior_lower_the_mean_energy(prior, kernel):
    torch.manual_seed(0)
    generator = MLPGenerator([2], prior, hidden=[16])
    generator.calibrate()
    model = tiny_model(generator.train())
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    samples, trace = model.sample_latent(300, seed=3, kernel=kernel, n_steps=60)
    assert generator.training, "left as it was, batch norm's statistics too"
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
    assert samples.shape == (300, 2)
    assert trace.energy.shape == (61,)
    assert trace.acceptance_rate.shape == (60,)
    fall = trace.energy[0] - trace.energy[-1]
    possible = trace.energy[0] - model.energy(model.sample(5_000, seed=1)).min()
    assert fall > 0.5 * possible
    if isinstance(kernel, Langevin):
        assert (trace.acceptance_rate == 1).all()
    else:
        assert 0.55 < trace.acceptance_rate[-20:].mean() < 0.85
    torch.testing.assert_close(trace.energy[-1], model.energy(samples).mean(), rtol=1e-4, atol=1e-3)
    started = model.energy(model.sample(300, seed=3)).mean()
    torch.testing.assert_close(trace.energy[0], started, rtol=1e-4, atol=1e-3)


def test_the_seed_decides():
    torch.manual_seed(0)
    model = tiny_model(MLPGenerator([2], NormalPrior(2), hidden=[8]))
    once, trace = model.sample_latent(20, seed=1, n_steps=5)
    torch.manual_seed(77)
    again, same = model.sample_latent(20, seed=1, n_steps=5)
    assert torch.equal(once, again)
    assert torch.equal(trace.energy, same.energy)
    assert trace.step_size == same.step_size
    other, _ = model.sample_latent(20, seed=2, n_steps=5)
    assert not torch.equal(once, other)


def test_parts_of_many_chains_count_by_their_sizes(monkeypatch):
    monkeypatch.setattr("energy_gan.model.BATCH", 30)
    model = tiny_model(Generator(torch.nn.Linear(2, 2), NormalPrior(2)))
    samples, trace = model.sample_latent(70, step_size=0.01, n_steps=4)
    assert samples.shape == (70, 2)
    torch.testing.assert_close(trace.energy[-1], model.energy(samples).mean(), rtol=1e-4, atol=1e-3)


# ---- mistakes


def test_what_cannot_be_walked_is_refused():
    normal = linear_generator(NormalPrior(2))
    with pytest.raises(InputError, match="the generator's latent holds 3 bits, which no gradient moves"):
        latent_energy(quadratic, Generator(torch.nn.Linear(5, 3), MixedPrior(3, 2)).eval())
    for temperature in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(InputError, match="the temperature must be positive and finite, got"):
            latent_energy(quadratic, normal, temperature)
    with pytest.raises(ValueError, match="reflect needs walls"):
        latent_energy(quadratic, normal, reflect=True)
    with pytest.raises(ValueError, match="must be in evaluation mode"):
        latent_energy(quadratic, Generator(torch.nn.Linear(2, 3), NormalPrior(2)))
    with pytest.raises(ValueError, match="must be in evaluation mode"):
        latent_energy(Concentrated(), normal)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 0}, "at least 1 sample and 1 step must be asked for, got 0 and 100"),
        ({"n": 5, "n_steps": 0}, "got 5 and 0"),
        ({"n": 5, "step_size": 0.0}, "the step size must be positive and finite, got 0.0"),
        ({"n": 5, "temperature": -2.0}, "the temperature must be positive and finite, got -2.0"),
        (
            {"n": 5, "kernel": Langevin(), "step_size": 1e9, "n_steps": 30},
            r"the energy along the chains is not finite with step size 1e\+09: give a smaller one",
        ),
    ],
)
def test_numbers_out_of_range(given, message):
    model = tiny_model(Generator(torch.nn.Linear(2, 2), NormalPrior(2)))
    with pytest.raises(InputError, match=message):
        model.sample_latent(**given)


# ---- the door


@pytest.mark.parametrize("sampler", ["mala", "hmc", "langevin"])
def test_samples_and_a_picture_of_the_chains(open_door, finished_run, sampler):
    arguments = ["sample", finished_run, "--n", 50, "--sampler", sampler, "--steps", 7, "--out", "mine.csv"]
    status, output, errors = open_door(*arguments)
    assert status == 0, errors
    told = re.search(rf"\n{sampler}: mean energy (\S+) -> (\S+), acceptance rate (\S+), step size", output)
    assert "mine_chain.png" in output
    samples = pd.read_csv("mine.csv").to_numpy()
    assert samples.shape == (50, 2)
    energy = load(finished_run).energy(samples).mean()
    assert float(told[2]) == pytest.approx(energy.item(), abs=2e-3)
    assert np.asarray(Image.open("mine_chain.png")).std() > 5
    assert open_door(*arguments[:-1], "again.csv")[0] == 0
    assert Path("again.csv").read_text() == Path("mine.csv").read_text()


def test_the_published_variant_at_the_door(open_door, finished_run):
    published = ["--no-prior", "--temperature", 100, "--step-size", 0.01, "--steps", 5, "--out", "out.npy"]
    status, output, errors = open_door("sample", finished_run, "--n", 20, "--sampler", "mala", *published)
    assert status == 0, errors
    assert "step size 0.01" in output
    samples, _ = load(finished_run).sample_latent(
        20, n_steps=5, step_size=0.01, temperature=100.0, with_prior=False
    )
    np.testing.assert_array_equal(np.load("out.npy"), samples.numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sampler", "gibbs"], "invalid choice: 'gibbs'"),
        (["--steps", "5"], "--steps is of chains and there are none: give --sampler langevin, mala or hmc"),
        (["--no-prior"], "--no-prior is of chains and there are none"),
        (["--temperature", "1"], "--temperature is of chains and there are none"),
        (["--step-size", "1"], "--step-size is of chains and there are none"),
        (["--sampler", "mala", "--refine", "3"], "give one of them"),
        (["--sampler", "mala", "--steps", "0"], "at least 1 sample and 1 step must be asked for"),
        (["--sampler", "mala", "--temperature", "nan"], "the temperature must be positive and finite"),
        (
            ["--sampler", "mala", "--out", "s.csv"],
            "OUT=s_chain.png exists already and nothing is overwritten",
        ),
        (["--sampler", "mala"], "OUT=samples_chain.png exists already and nothing is overwritten"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(open_door, finished_run, arguments, message):
    shutil.copytree(finished_run, "run")
    taken = [Path("s_chain.png"), Path("samples_chain.png")] if "exists" in message else []
    for path in taken:
        path.write_bytes(b"mine")
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    status, _, errors = open_door("sample", "run", *arguments)
    assert status == 2
    assert len(errors.strip().splitlines()) == 1, errors
    assert message in errors
    assert before == {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "exact_likelihood",
            "was trained on points and offers energy, here it needs generator: give another run",
        ),
        ("aligned", "holds 8 bits, which no gradient moves"),
    ],
)
def test_a_run_without_a_latent_space_to_walk_in(open_door, method, message):
    few = ["data=eight_gaussians", "data.density.std=0.2", "data.n_points=500", "data.n_held_out=500"]
    short = [*QUICK, "trainer.max_steps=2", "callbacks.report=null"]
    short = [s for s in short if not s.startswith("callbacks.report.")]
    assert open_door("train", *few, *short, f"method={method}", "run_dir=run")[0] == 0
    status, _, errors = open_door("sample", "run", "--sampler", "mala", "--out", "samples.csv")
    assert status == 2
    assert message in errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert not list(Path().glob("samples*"))


def test_chains_stand_beside_the_generator(open_door, finished_run, tmp_path):
    """One row each; from the same latents, so at a very high temperature and a step nothing is worse off."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    status, output, _ = open_door(
        "chains", run, "--n", 500, "--steps", 5, "--temperature", 1, 1e6, "--seed", 3
    )
    assert status == 0
    assert "mala, 5 steps at 1" in output
    rows = json.loads((run / "chains.json").read_text())
    assert list(rows) == ["generator", "mala, 5 steps at 1", "mala, 5 steps at 1e+06"]
    model = load(run)
    assert rows["generator"]["mean_energy"] == pytest.approx(float(model.energy(model.sample(500, 3)).mean()))
    cold, hot = list(rows.values())[1:]
    assert cold["mean_energy"] < rows["generator"]["mean_energy"]
    assert (
        0 < cold["lowest_acceptance_rate"] <= cold["acceptance_rate"] <= cold["highest_acceptance_rate"] <= 1
    )
    assert abs(hot["mean_energy"] - rows["generator"]["mean_energy"]) < 0.5
    for arguments, said in (
        (["--n", 1], "--n must be at least 2"),
        (["--temperature", 0], "temperature must be positive"),
    ):
        status, _, errors = open_door("chains", run, *arguments)
        assert (status, errors.count("error:")) == (2, 1)
        assert said in errors
