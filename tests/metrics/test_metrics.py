"""Laws of the metrics: known distances between known laws, and what samples of a law itself give."""

import math

import pytest
import torch
from torch.distributions import Normal

from energy_gan.data.density import Density
from energy_gan.metrics.alignment import SampleDivergence, kl_divergence, total_variation
from energy_gan.metrics.distances import SlicedWasserstein
from energy_gan.metrics.modes import HighDensityShare, ModeShares
from energy_gan.metrics.points import PointEvaluation
from energy_gan.metrics.yardsticks import GaussianEstimate, KernelEstimate
from energy_gan.numerics.quadrature import Grid


class Mixture(Density):
    """Round Gaussians of one width; a mode is the nearest of them."""

    def __init__(self, means, std=0.3, shares=None):
        self.means, self.smallest_std = torch.tensor(means), std
        self.low, self.high = self.means.amin(0) - 6 * std, self.means.amax(0) + 6 * std
        self.mode_shares = torch.tensor(shares or [1 / len(means)] * len(means))

    def sample(self, n, rng):
        chosen = torch.multinomial(self.mode_shares, n, replacement=True, generator=rng)
        return self.means[chosen] + self.smallest_std * torch.randn(n, self.means.shape[1], generator=rng)

    def log_prob(self, x):
        kernels = Normal(self.means, self.smallest_std, validate_args=False).log_prob(x[:, None]).sum(2)
        return (kernels + self.mode_shares.log()).logsumexp(1)

    def modes(self, x):
        return torch.cdist(x, self.means).argmin(1)


PAIR = Mixture([[-1.0, 0.0], [1.5, 0.5]], shares=[0.25, 0.75])
BOX = Grid(torch.tensor([-6.0, -5.0]), torch.tensor([6.0, 5.0]), (32, 32), (6, 6))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(mean, std):
    return Mixture([mean], std)


# ---- alignment


def test_kl_and_tv_of_two_gaussians_are_the_closed_forms():
    p, q = normal([0.0, 0.0], 0.8), normal([0.6, 0.0], 0.8)
    log_p, log_q = BOX.log_masses(p.log_prob), BOX.log_masses(q.log_prob)
    d = 0.6 / 0.8
    assert kl_divergence(log_p, log_q).item() == pytest.approx(d**2 / 2, abs=1e-6)
    assert total_variation(log_p, log_q).item() == pytest.approx(math.erf(d / (2 * math.sqrt(2))), abs=1e-4)


def test_empty_cells_add_nothing_and_forbidden_ones_make_kl_infinite():
    half, quarter = torch.tensor([0.5, 0.5, 0.0]).log(), torch.tensor([0.25, 0.25, 0.5]).log()
    assert kl_divergence(half, quarter).item() == pytest.approx(math.log(2))
    assert kl_divergence(quarter, half).item() == math.inf
    assert total_variation(half, quarter).item() == pytest.approx(0.5)
    assert kl_divergence(half, quarter * math.nan).isnan()
    assert kl_divergence(half * math.nan, quarter).isnan()


def test_samples_of_a_law_are_close_to_it_and_the_correction_is_why():
    masses = BOX.log_masses(PAIR.log_prob)
    divergence = SampleDivergence(BOX, masses)
    divergence.update(PAIR.sample(50_000, rng()))
    shares = divergence.counts[:-1] / divergence.counts.sum()
    plain = kl_divergence(shares.double().log(), masses).item()
    result = divergence.compute()
    assert abs(result["kl"].item()) < 0.01
    assert plain > 2.5 * abs(result["kl"].item())
    assert result["tv"].item() < 0.02


def test_samples_of_another_law_are_as_far_as_it_is():
    p, q = normal([0.0, 0.0], 0.8), normal([0.6, 0.0], 0.8)
    divergence = SampleDivergence(BOX, BOX.log_masses(q.log_prob))
    divergence.update(p.sample(200_000, rng()))
    result = divergence.compute()
    assert result["kl"].item() == pytest.approx(0.75**2 / 2, abs=0.01)
    assert result["tv"].item() == pytest.approx(math.erf(0.75 / (2 * math.sqrt(2))), abs=0.01)


def test_samples_beyond_the_grid_count_and_stay_finite():
    masses = BOX.log_masses(PAIR.log_prob)
    samples, results = PAIR.sample(10_000, rng()), []
    for n_beyond in (0, 1, 5_000, 10_000):
        divergence = SampleDivergence(BOX, masses)
        divergence.update(torch.cat([samples[n_beyond:], torch.full((n_beyond, 2), 1e6)]))
        results.append(divergence.compute())
    kl, tv = ([result[key].item() for result in results] for key in ("kl", "tv"))
    assert kl == sorted(kl)
    assert math.isfinite(kl[-1])
    assert tv[-1] == pytest.approx(1)
    assert tv[2] == pytest.approx(0.5, abs=0.02)
    divergence.reset()
    divergence.update(torch.full((10_000, 2), math.nan))
    assert divergence.compute() == results[-1]


# ---- distances


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_sliced_wasserstein_of_a_shift_is_its_length_over_the_root_of_the_dimension(dim):
    x, shift = torch.randn(2000, dim, generator=rng()), torch.arange(1.0, dim + 1)
    metric = SlicedWasserstein(x, n_directions=2000)
    metric.update(x + shift)
    assert metric.compute().item() == pytest.approx(shift.norm().item() / math.sqrt(dim), rel=0.03)


def test_sliced_wasserstein_of_gaussians_of_two_widths():
    metric = SlicedWasserstein(torch.randn(100_000, 2, generator=rng(0)))
    metric.update(2 * torch.randn(60_000, 2, generator=rng(1)))
    assert metric.compute().item() == pytest.approx(1, abs=0.02)


def test_sliced_wasserstein_of_unequal_numbers_is_exact():
    metric = SlicedWasserstein(torch.tensor([[0.0], [6.0]]), n_directions=1)
    metric.update(torch.tensor([[3.0], [0.0], [9.0]]))
    # quantile steps 0 3 9 of thirds against 0 6 of halves: 0 on 1/3, 3 on 1/6, 3 on 1/6, 3 on 1/3
    assert metric.compute().item() == pytest.approx(math.sqrt(9 * 2 / 3))
    repeated = SlicedWasserstein(torch.randn(50, 2, generator=rng()))
    repeated.update(torch.randn(50, 2, generator=rng()).repeat_interleave(3, 0))
    assert repeated.compute().item() == pytest.approx(0, abs=1e-6)


# ---- modes


def test_a_law_has_its_own_high_density_share():
    share = HighDensityShare(PAIR.log_prob, PAIR.sample(50_000, rng(0)))
    share.update(PAIR.sample(50_000, rng(1)))
    assert share.compute().item() == pytest.approx(0.99, abs=0.002)
    share.reset()
    share.update(torch.tensor([[0.25, 0.25], [-1.0, 0.0]]))  # between the modes, and on one
    assert share.compute().item() == 0.5


def test_mode_shares_are_relative_to_the_true_ones_and_a_lost_mode_is_0():
    shares = ModeShares(PAIR.modes, PAIR.mode_shares)
    for samples, smallest, covered in (
        (PAIR.sample(50_000, rng()), pytest.approx(1, abs=0.03), 2),
        (PAIR.means.repeat(10, 1), pytest.approx(0.5 / 0.75), 2),  # a quarter and three are true
        (PAIR.means[[0] * 3 + [1] * 7], pytest.approx(0.7 / 0.75), 2),
        (PAIR.means[[0] * 7 + [1] * 3], pytest.approx(0.3 / 0.75), 1),
        (PAIR.means[1:].repeat(10, 1), 0, 1),
    ):
        shares.reset()
        shares.update(samples)
        assert shares.compute() == {"smallest_mode": smallest, "modes_covered": covered}


@pytest.mark.parametrize(
    "metric",
    [
        SampleDivergence(BOX, BOX.log_masses(PAIR.log_prob)),
        SlicedWasserstein(PAIR.sample(700, rng(1))),
        HighDensityShare(PAIR.log_prob, PAIR.sample(700, rng(1))),
        ModeShares(PAIR.modes, PAIR.mode_shares),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_batches_do_not_matter(metric):
    samples, results = 2 * PAIR.sample(1000, rng()), []
    for size in (1000, 300):
        metric.reset()
        for part in samples.split(size):
            metric.update(part)
        results.append(metric.compute())
    assert results[0] == results[1]


# ---- yardsticks


def test_the_gaussian_has_the_moments_and_the_closed_form_divergence():
    x = PAIR.sample(100_000, rng())
    gaussian = GaussianEstimate(x)
    samples = gaussian.sample(100_000, rng(1))
    assert torch.allclose(samples.mean(0), x.mean(0), atol=0.02)
    assert torch.allclose(samples.T.cov(), x.T.cov(), atol=0.03)
    log_p, log_q = BOX.log_masses(PAIR.log_prob), BOX.log_masses(gaussian.log_prob)
    log_p_density = log_p - BOX.log_areas
    entropy = -torch.where(log_p.exp() > 0, log_p.exp() * log_p_density, 0.0).sum()
    cross_entropy = 1 + math.log(2 * math.pi) + x.T.double().cov().logdet() / 2
    assert kl_divergence(log_p, log_q).item() == pytest.approx((cross_entropy - entropy).item(), abs=0.005)


def test_the_gaussian_of_degenerate_columns_is_finite():
    x = torch.randn(100, 1, generator=rng())
    gaussian = GaussianEstimate(torch.cat([x, -2 * x, torch.ones(100, 1)], 1))
    assert gaussian.log_prob(gaussian.sample(10, rng())).isfinite().all()


def test_the_kernel_estimate_is_a_density_and_samples_itself():
    kernels = KernelEstimate(PAIR.sample(2000, rng()) * torch.tensor([1.0, 0.5]))
    grid = Grid(torch.tensor([-3.0, -1.5]), torch.tensor([4.0, 2.0]), (20, 20), (7, 7), reach=1.0)
    assert grid.log_normalizer(lambda x: -kernels.log_prob(x)).item() == pytest.approx(0, abs=1e-6)
    divergence = SampleDivergence(grid, grid.log_masses(kernels.log_prob))
    divergence.update(kernels.sample(50_000, rng(1)))
    assert abs(divergence.compute()["kl"].item()) < 0.01


def test_the_kernel_estimate_is_the_sum_of_its_kernels():
    points = torch.randn(300, 3, generator=rng()) * torch.tensor([1.0, 20.0, 0.1])
    kernels = KernelEstimate(points)
    x = torch.cat([points[:5], torch.tensor([[40.0, 800.0, -4.0]])])  # the last is 40 deviations away
    law = Normal(points.double(), kernels.bandwidth * points.double().std(0))
    exact = law.log_prob(x[:, None].double()).sum(2).logsumexp(1) - math.log(300)
    assert torch.allclose(kernels.log_prob(x), exact, rtol=1e-6, atol=1e-5)


def test_the_bandwidth_is_near_the_likeliest_for_fresh_points():
    train, fresh = PAIR.sample(1000, rng(0)), PAIR.sample(5000, rng(1))
    kernels = KernelEstimate(train)
    chosen, likelihood = kernels.bandwidth, []
    for factor in (1, 0.5, 2):
        kernels.bandwidth = factor * chosen
        likelihood.append(kernels.log_prob(fresh).mean().item())
    assert likelihood[0] == max(likelihood)


def test_copies_of_points_do_not_shrink_the_bandwidth():
    points = torch.randn(500, 2, generator=rng())
    once, twice = KernelEstimate(points), KernelEstimate(points.repeat(2, 1))
    assert twice.bandwidth == pytest.approx(once.bandwidth, rel=0.5)


# ---- the table

ENERGY = {"log_normalizer", "border_mass", "held_out_log_likelihood"}
SAMPLES = {"hdr99", "smallest_mode", "modes_covered", "sliced_w2", "tv_data_generator"}
BOTH = {"kl_generator_energy", "tv_generator_energy", "energy_gap"}
DATA = {"kl_data_energy", "tv_data_energy"}


@pytest.fixture(scope="module")
def evaluation():
    return PointEvaluation(PAIR.sample(2000, rng(1)), PAIR.sample(2000, rng(2)), PAIR, 50_000, seed=3)


def test_rows_hold_what_their_parts_can_give(evaluation):
    def energy(x):
        return -PAIR.log_prob(x)

    def sample(n):
        return PAIR.sample(n, rng(5))

    assert evaluation(energy, sample, 1000).keys() == ENERGY | DATA | SAMPLES | BOTH
    assert evaluation(energy, None).keys() == ENERGY | DATA
    assert evaluation(None, sample, 1000).keys() == SAMPLES
    table = PointEvaluation(evaluation.points, evaluation.held_out, n_samples=1000)
    assert table(energy, sample).keys() == ENERGY | BOTH | {"sliced_w2"}
    deep = PointEvaluation(torch.randn(50, 4), torch.randn(50, 4), n_samples=100)
    row = deep(lambda x: x.square().sum(1) / 2, lambda n: torch.randn(n, 4))
    assert row.keys() == {"sliced_w2", "energy_gap"}


def test_yardsticks_are_in_order(evaluation):
    rows = evaluation.yardsticks()
    fresh, gaussian, kde = (rows[name] for name in ("fresh data", "gaussian", "kde"))
    assert fresh["kl_data_energy"] == pytest.approx(0, abs=1e-9)
    assert 0 < kde["kl_data_energy"] < 0.1 < gaussian["kl_data_energy"]
    assert fresh["sliced_w2"] < kde["sliced_w2"] < gaussian["sliced_w2"]
    assert fresh["tv_data_generator"] < kde["tv_data_generator"] < gaussian["tv_data_generator"]
    assert fresh["hdr99"] == pytest.approx(0.99, abs=0.005)
    for row in rows.values():
        assert row["log_normalizer"] == pytest.approx(0, abs=1e-3)
        assert abs(row["kl_generator_energy"]) < 0.03
        assert abs(row["energy_gap"]) < 0.2
    kl = gaussian["kl_data_energy"] - kde["kl_data_energy"]
    assert kde["held_out_log_likelihood"] - gaussian["held_out_log_likelihood"] == pytest.approx(kl, abs=0.1)


def test_an_energy_is_measured_whatever_its_constant(evaluation):
    rows = [evaluation(lambda x, c=c: c - PAIR.log_prob(x), None) for c in (0.0, 50.0)]
    assert rows[1]["log_normalizer"] == pytest.approx(rows[0]["log_normalizer"] - 50, abs=1e-4)
    assert rows[1]["held_out_log_likelihood"] == pytest.approx(rows[0]["held_out_log_likelihood"], abs=1e-4)
    assert rows[0]["log_normalizer"] == evaluation.log_normalizer(lambda x: -PAIR.log_prob(x))


def test_yardsticks_of_points_out_of_the_plane_have_their_exact_likelihood():
    points, held_out = torch.randn(2000, 4, generator=rng(0)), torch.randn(2000, 4, generator=rng(1))
    rows = PointEvaluation(points, held_out, n_samples=1000).yardsticks()
    truth = -2 * math.log(2 * math.pi * math.e)
    assert rows["gaussian"]["held_out_log_likelihood"] == pytest.approx(truth, abs=0.1)
    assert rows["kde"]["held_out_log_likelihood"] < rows["gaussian"]["held_out_log_likelihood"]
    assert rows["training data"].keys() == {"sliced_w2"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_energies_that_are_not_finite_are_numbers_and_no_error(evaluation, value):
    row = evaluation(
        lambda x: torch.where(x[:, 0] > 0, value, PAIR.log_prob(x)), lambda n: PAIR.sample(n, rng()), 1000
    )
    assert not math.isfinite(row["kl_data_energy"])
    assert not math.isfinite(row["held_out_log_likelihood"])
    assert math.isfinite(row["sliced_w2"])


def test_samples_that_are_not_finite_are_numbers_and_no_error(evaluation):
    row = evaluation(lambda x: -PAIR.log_prob(x), lambda n: torch.full((n, 2), math.nan), 1000)
    assert row["hdr99"] == 0
    assert row["tv_data_generator"] == pytest.approx(1)
    assert math.isnan(row["sliced_w2"])
