"""Laws of the bound that chooses a short run's step size, on a linear generator and on one that is not."""

import math

import pytest
import torch
from torch import nn

from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.output_noise import GaussianLikelihood
from energy_gan.generators.priors import NormalPrior
from energy_gan.inference.short_run import ShortRunInference, posterior_energy
from energy_gan.inference.variational_step import bound, choose
from energy_gan.numerics.derivatives import derivatives
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.langevin import Langevin
from energy_gan.shapes import Batch

W = torch.tensor([[1.0, 0.3], [-0.2, 0.8], [0.5, 0.1]])
SIGMA = 0.4
X = torch.tensor([1.2, -0.6, 0.4])
LOG_P = torch.distributions.MultivariateNormal(torch.zeros(3), W @ W.T + SIGMA**2 * torch.eye(3)).log_prob(X)
GRID = [0.003 * 1.5**k for k in range(10)]


def linear():
    """x = W z + σ ε."""
    network = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        network.weight.copy_(W)
    return Generator(network, NormalPrior(2), GaussianLikelihood(SIGMA))


def curved():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 3))
    return Generator(network, NormalPrior(4), GaussianLikelihood(SIGMA))


def exact_bound(step_size, n_steps):
    """KL(q_ε ‖ p(z | x)) − log p(x): q_ε is N(μ (1 − aᴷ), a²ᴷ) by axes of curvature m, a = 1 − ε m."""
    precision = torch.eye(2) + W.T @ W / SIGMA**2
    m, axes = torch.linalg.eigh(precision)
    mean = torch.linalg.solve(precision, W.T @ X / SIGMA**2) @ axes
    shrunk = (1 - step_size * m) ** n_steps
    ends = torch.distributions.Normal(mean * (1 - shrunk), shrunk.abs())
    divergence = torch.distributions.kl_divergence(ends, torch.distributions.Normal(mean, m**-0.5))
    return float(divergence.sum() - LOG_P)


@pytest.mark.parametrize("step_size", [0.005, 0.02])
def test_the_bound_is_the_divergence_from_the_posterior_and_log_p(step_size):
    start = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    found = bound(posterior_energy(linear(), X.expand(20_000, 3)), start, 25, step_size)
    error = float(found.std()) / math.sqrt(len(found))
    assert float(found.mean()) == pytest.approx(exact_bound(step_size, 25), abs=4 * error + 1e-3)


@pytest.mark.parametrize("n_steps", [3, 25])
def test_the_chosen_step_size_is_the_best_of_all(n_steps):
    """Of a linear generator it is known; the longer the run, the smaller it is."""
    start = torch.randn(1_000, 2, generator=torch.Generator().manual_seed(0))
    grid = [step_size * 5 / n_steps for step_size in GRID]
    found = choose(posterior_energy(linear(), X.expand(1_000, 3)), start, n_steps, grid)
    fine = [grid[0] * (grid[-1] / grid[0]) ** (k / 2_000) for k in range(2_001)]
    exact = min(fine, key=lambda step_size: exact_bound(step_size, n_steps))
    assert grid[0] < exact < grid[-1], "inside the grid"
    assert found.step_size == pytest.approx(exact, rel=0.08), "a fifth of a cell"
    assert found.bound == pytest.approx(exact_bound(exact, n_steps), abs=0.1)


def test_the_determinants_are_that_of_the_whole_map():
    generator, n_steps, step_size = curved(), 6, 0.02
    energy = posterior_energy(generator, X[None])
    z = torch.randn(1, 4, generator=torch.Generator().manual_seed(1))

    def ends(z):
        for _ in range(n_steps):
            (gradient,) = torch.autograd.grad(energy(z[None]).sum(), z, create_graph=True)
            z = z - step_size * gradient
        return z

    whole = torch.autograd.functional.jacobian(ends, z[0])
    log_q = NormalPrior(4).log_prob(z) - torch.linalg.slogdet(whole).logabsdet
    expected = (log_q + energy(ends(z[0].clone().requires_grad_())[None])).detach()
    torch.testing.assert_close(bound(energy, z, n_steps, step_size), expected, atol=1e-4, rtol=0)


def test_hessians_are_those_of_each_row():
    generator, x = curved(), torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    _, found = derivatives(posterior_energy(generator, x), z)
    for k in range(3):
        alone = torch.autograd.functional.hessian(
            lambda row, k=k: posterior_energy(generator, x[k : k + 1])(row[None]).sum(), z[k]
        )
        torch.testing.assert_close(found[k], alone, atol=1e-4, rtol=1e-4)


def test_step_sizes_from_which_chains_run_away_do_not_count():
    start = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    energy = posterior_energy(linear(), X.expand(64, 3))
    assert choose(energy, start, 12, [0.02, 1e6, 1e12]).step_size == 0.02
    assert math.isnan(choose(energy, start, 12, [1e9, 1e10]).step_size)


def test_training_chooses_the_step_and_evaluation_keeps_it():
    torch.manual_seed(0)
    node = compose(["data=digits", "method=sri", "method.step_choice.points=2"])["method"]
    method = build(node, "method").train()
    before = float(method.inference.step_size)
    method.training_step(Batch(torch.rand(64, 1, 8, 8)), 0)
    found = float(method.inference.step_size)
    assert found != before
    assert 0.9 * method.step_choice.low < found < 1.1 * method.step_choice.high
    assert method.reported["train/step_bound"] > 0
    method.eval().inference(method.generator, torch.rand(8, 1, 8, 8))
    assert float(method.inference.step_size) == found


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method.step_choice.every=0"], "every and points must be at least 1 and n at least 2, got 0"),
        (["method.step_choice.low=0.1"], "low and high must be positive, the lower first, got 0.1"),
        (["+method.inference.chains.target=0.7"], "target must be null where step_choice finds"),
        (["method.generator.latents=[]"], "latents must be of 1 to 5 layers|latent_dim must be at least 1"),
        (["method.generator.latents=[2,0]"], "latents must be whole numbers of at least 1"),
        (["method.generator.prior.latent_dim=3"], "latents must add up to the prior's latent_dim=3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        build(compose(["data=digits", "method=sri", *overrides])["method"], "method")


def test_runs_without_noise_end_in_the_law_that_the_bound_is_of():
    """The chains of the method are the map of the bound: of one z₀ they end at one z_K."""
    generator, x = curved(), X.expand(5, 3)
    start = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    ends = ShortRunInference(Chains(Langevin(temperature=0.0), 7, 0.02))(generator, x, start).latent
    energy, z = posterior_energy(generator, x), start
    for _ in range(7):
        z = z - 0.02 * derivatives(energy, z)[0]
    torch.testing.assert_close(ends, z)


def test_of_many_latents_the_determinants_are_estimated_and_the_choice_stays(monkeypatch):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(80, 40), nn.SiLU(), nn.Linear(40, 30))
    generator = Generator(network, NormalPrior(80), GaussianLikelihood(SIGMA))
    energy = posterior_energy(generator, torch.zeros(16, 30))
    start = torch.randn(16, 80, generator=torch.Generator().manual_seed(1))

    def found():
        chosen = choose(energy, start, 3, [0.05 * 1.5**k for k in range(6)])
        return bound(energy, start, 3, 0.1).mean(), chosen.step_size

    estimated, step_size = found()
    monkeypatch.setattr("energy_gan.inference.variational_step.EXACT", 80)
    exact, best = found()
    assert estimated != exact
    assert float(estimated) == pytest.approx(float(exact), abs=0.5)
    assert step_size == pytest.approx(best, rel=0.1)
