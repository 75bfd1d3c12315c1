"""Laws of the samplers: detailed balance, reversibility, known variances."""

import math

import pytest
import torch

from energy_gan.samplers.base import accept, init
from energy_gan.samplers.chains import Chains, adapt, tune
from energy_gan.samplers.hmc import HMC
from energy_gan.samplers.langevin import Langevin
from energy_gan.samplers.mala import MALA


def banana(x):
    """An energy that is no Gaussian's."""
    return 0.5 * x[:, 0] ** 2 + (x[:, 1] - x[:, 0] ** 2) ** 2 + 0.1 * x.sum(1).sin()


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_mala_is_in_detailed_balance():
    """p(x) q(x→y) α(x→y) = p(y) q(y→x) α(y→x), with q written down anew."""
    x, step = torch.randn(2, 50, 2, generator=rng(), dtype=torch.float64).unbind()
    x, y = 0.7 * x, 0.7 * x + step / 3
    ε, at_x, at_y = 0.3, init(banana, x), init(banana, y)

    def log_flow(start, end):
        mean = start.x - ε * start.gradient
        q = torch.distributions.Normal(mean, math.sqrt(2 * ε)).log_prob(end.x).sum(1)
        back = torch.distributions.Normal(end.x - ε * end.gradient, math.sqrt(2 * ε)).log_prob(start.x).sum(1)
        log_ratio = start.energy - end.energy + back - q
        noise = (end.x - start.x + ε * start.gradient) / math.sqrt(2 * ε)
        proposal, ours = MALA.propose(banana, start, noise, ε)
        torch.testing.assert_close(proposal.x, end.x)
        torch.testing.assert_close(ours, log_ratio)
        _, info = accept(start, end, ours, rng())
        return -start.energy + q + info.acceptance.log()

    torch.testing.assert_close(log_flow(at_x, at_y), log_flow(at_y, at_x))


def test_leapfrog_can_be_undone_and_keeps_volume():
    kernel = HMC(n_leapfrog=7)
    x, v = torch.randn(2, 20, 2, generator=rng(), dtype=torch.float64).unbind()
    end, velocity = kernel.leapfrog(banana, init(banana, x), v, 0.02)
    back, reversed_velocity = kernel.leapfrog(banana, end, -velocity, 0.02)
    torch.testing.assert_close(back.x, x)
    torch.testing.assert_close(reversed_velocity, -v)

    def flow(both):
        state, velocity = kernel.leapfrog(banana, init(banana, both[None, :2]), both[None, 2:], 0.02)
        return torch.cat([state.x[0], velocity[0]])

    start, δ = torch.cat([x[0], v[0]]), 1e-5
    steps = δ * torch.eye(4, dtype=torch.float64)
    jacobian = torch.stack([(flow(start + s) - flow(start - s)) / (2 * δ) for s in steps])
    assert torch.linalg.det(jacobian).item() == pytest.approx(1, abs=1e-7)


def test_one_leapfrog_step_is_mala():
    x = torch.randn(30, 2, generator=rng(1), dtype=torch.float64)
    of_hmc, hmc_info = HMC(1).step(banana, init(banana, x), 0.1, rng(2))
    of_mala, mala_info = MALA().step(banana, init(banana, x), 0.1, rng(2))
    torch.testing.assert_close(hmc_info.acceptance, mala_info.acceptance)
    torch.testing.assert_close(of_hmc.x, of_mala.x)


@pytest.mark.parametrize(("kernel", "step_size"), [(MALA(), 0.1), (HMC(5), 0.05)])
def test_a_gaussian_s_moments_are_kept(kernel, step_size):
    covariance = torch.tensor([[1.0, 0.8], [0.8, 2.0]])
    precision, factor = covariance.inverse(), torch.linalg.cholesky(covariance)
    x = 3 + torch.randn(8_000, 2, generator=rng()) @ factor.T

    def energy(x):
        return 0.5 * torch.einsum("bi,ij,bj->b", x - 3, precision, x - 3)

    state, acceptance, *_ = Chains(kernel, 30, step_size).run(energy, x, rng(1))
    assert 0.5 < acceptance.mean() < 1
    assert (state.x - x).square().mean() > 0.5, "it moved"
    torch.testing.assert_close(state.x.mean(0), torch.tensor([3.0, 3.0]), atol=0.06, rtol=0)
    torch.testing.assert_close(state.x.T.cov(), covariance, atol=0.1, rtol=0)


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_langevin_is_too_wide_by_the_known_factor(temperature):
    """On N(0, σ²), the variance T σ² / (1 − ε / 2σ²)."""
    ε, σ = 0.4, 0.8

    def energy(x):
        return 0.5 * (x / σ).square().sum(1)

    x = σ * torch.randn(20_000, 1, generator=rng())
    state, acceptance, *_ = Chains(Langevin(temperature), 40, ε).run(energy, x, rng(1))
    assert (acceptance == 1).all()
    expected = temperature * σ**2 / (1 - ε / (2 * σ**2))
    assert state.x.var().item() == pytest.approx(expected, rel=0.04)


def test_langevin_at_temperature_0_is_gradient_descent():
    x = torch.randn(20, 2, generator=rng(), dtype=torch.float64)
    state = Chains(Langevin(temperature=0.0), 5, 0.05).run(banana, x, rng(1)).state
    for _ in range(5):
        x = x - 0.05 * init(banana, x).gradient
    torch.testing.assert_close(state.x, x, rtol=0, atol=0)


def test_langevin_keeps_its_bounds():
    x = torch.rand(200, 3, 2, generator=rng())
    state = Chains(Langevin(bounds=[0.0, 1.0]), 10, 0.1).run(lambda x: -x.flatten(1).sum(1), x, rng(1)).state
    assert state.x.min() == 0
    assert state.x.max() == 1
    free, bound = (
        Langevin(bounds=bounds).step(banana, init(banana, x[:, 0]), 0.01, rng(2))[0].x
        for bounds in (None, [-0.5, 0.5])
    )
    assert torch.equal(bound, free.clamp(-0.5, 0.5))


def test_what_is_not_finite_is_refused():
    def walled(x):
        return torch.where(x[:, 0] > 0, x.square().sum(1), torch.inf)

    x = torch.rand(500, 2, generator=rng()) + 0.01
    state, acceptance, *_ = Chains(MALA(), 20, 0.5).run(walled, x, rng(1))
    assert acceptance.mean() < 1
    assert (state.x[:, 0] > 0).all()
    assert state.energy.isfinite().all()


@pytest.mark.parametrize("dimension", [2, 50])
def test_a_tuned_step_is_accepted_seven_times_in_ten(dimension):
    def energy(x):
        return 0.5 * x.square().sum(1)

    x = torch.randn(1_000, dimension, generator=rng())
    step_size = tune(MALA(), energy, x, rng(1))
    acceptance = Chains(MALA(), 10, step_size).run(energy, x, rng(2)).acceptance
    assert acceptance.mean().item() == pytest.approx(0.7, abs=0.04)
    assert adapt(0.1, 0.9) > 0.1 > adapt(0.1, 0.5)


@pytest.mark.parametrize("kernel", [MALA(), HMC(2), Langevin()])
def test_the_loop_is_its_kernel_s_steps(kernel):
    """Bit for bit, with the energies along the way and each chain's mean acceptance."""
    x, generator = torch.randn(30, 2, generator=rng()), rng(1)
    walk = Chains(kernel, 6, 0.05).run(banana, x, rng(1), along=True)
    state, acceptance = init(banana, x), torch.zeros(30)
    assert torch.equal(walk.energies[:, 0], state.energy)
    for k in range(6):
        state, info = kernel.step(banana, state, 0.05, generator)
        acceptance += info.acceptance / 6
        assert torch.equal(walk.energies[:, k + 1], state.energy)
    assert torch.equal(walk.state.x, state.x)
    assert torch.equal(walk.state.gradient, state.gradient)
    torch.testing.assert_close(walk.acceptance, acceptance)
    assert walk.step_size == 0.05
    again = Chains(kernel, 6, 0.05).run(banana, init(banana, x), rng(1))
    assert torch.equal(again.state.x, walk.state.x), "from a state as from its place"
    assert again.energies is None


def test_a_step_size_follows_the_acceptance_and_settles():
    x, sizes = torch.randn(50, 2, generator=rng()), [0.3]
    chains = Chains(MALA(), 5, 0.3, target=0.6, rate=0.8, settling=3.0)
    for k, (_, info, step_size) in enumerate(chains.walk(banana, init(banana, x), rng(1))):
        rate = 0.8 / (1 + k / 3)
        sizes.append(adapt(sizes[-1], float(info.acceptance.mean()), 0.6, rate))
        assert step_size == sizes[-1]
    assert chains.run(banana, x, rng(1)).step_size == sizes[-1]


def test_chains_may_have_step_sizes_of_their_own():
    x = torch.randn(64, 3, 4, generator=rng(), dtype=torch.float64)

    def energy(x):
        return x.flatten(1).pow(4).sum(1)

    sizes = torch.full((64,), 0.01, dtype=torch.float64)
    each, _ = MALA().step(energy, init(energy, x), sizes, rng(1))
    one, _ = MALA().step(energy, init(energy, x), 0.01, rng(1))
    torch.testing.assert_close(each.x, one.x)
    each, _ = HMC(2).step(energy, init(energy, x), sizes, rng(1))
    one, _ = HMC(2).step(energy, init(energy, x), 0.01, rng(1))
    torch.testing.assert_close(each.x, one.x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: HMC(0), "n_leapfrog must be at least 1, got 0"),
        (lambda: Langevin(-0.5), "temperature must be a finite number of at least 0, got -0.5"),
        (lambda: Langevin(math.nan), "temperature must be a finite number of at least 0, got nan"),
        (lambda: Langevin(math.inf), "temperature must be a finite number of at least 0, got inf"),
        (lambda: Langevin(bounds=[1.0, 1.0]), r"bounds must be two numbers, the lower one first, got \[1.0"),
        (lambda: Langevin(bounds=[0.0]), r"bounds must be two numbers, the lower one first, got \[0.0\]"),
        (lambda: Langevin(bounds=[0.0, math.nan]), "bounds must be two numbers, the lower one first"),
        (lambda: Chains(MALA(), 0, 0.1), "n_steps must be at least 1, got 0"),
        (lambda: Chains(MALA(), 1, -0.1), "step_size must not be negative, got -0.1"),
        (lambda: Chains(MALA(), 1, math.nan), "step_size must not be negative, got nan"),
        (lambda: Chains(MALA(), 1, 0.1, target=1.5), "target must be an acceptance between 0 and 1, got 1.5"),
    ],
)
def test_impossible_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_chains_where_the_energy_is_nan_do_not_shrink_the_step_of_the_others():
    """Half of the plane has no energy: with 99 of 100 chains there the step is that of the one that moves."""

    def halved(x):
        return torch.where(x[:, 0] > 50, torch.nan, 0.5 * x.square().sum(1))

    good = torch.zeros(1, 2).repeat(100, 1)
    bad = torch.cat([good[:10], good + 100.0])
    step = Chains(MALA(), 200, 1e-3, target=0.7).run(halved, bad, torch.Generator().manual_seed(0)).step_size
    assert 0.1 < step < 10
    lost = tune(MALA(), halved, good + 100.0, torch.Generator().manual_seed(0))
    assert lost == 1e-3, "where no chain can tell it stays as it was"
