"""Laws of what is said without a known density: log Z, two-sample tests, the verdict."""

import math

import pytest
import torch

from energy_gan.metrics.assessment import assess, decide
from energy_gan.metrics.detection import two_sample_test
from energy_gan.metrics.verdict import verdict
from energy_gan.metrics.yardsticks import MixtureEstimate
from energy_gan.numerics.quadrature import Grid
from energy_gan.samplers.annealed_importance import Fall, Normalizer, anneal, bracket, drift


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(std, mean=0.0):
    """An energy and its log Z."""

    def energy(x):
        return ((x - mean) / std).square().sum(1) / 2

    return energy, lambda dimension: dimension * (math.log(std) + 0.5 * math.log(2 * math.pi))


def eight(dimension, seed=0):
    """Eight normals of standard deviation ½ on a sphere: an energy, its log Z, a sampler."""
    means = 2 * torch.nn.functional.normalize(torch.randn(8, dimension, generator=rng(seed)), dim=1)

    def energy(x):
        return -(-2 * (x[:, None] - means).square().sum(2)).logsumexp(1) + 3.0

    def sample(n, seed):
        piece = torch.randint(8, (n,), generator=rng(seed))
        return means[piece] + 0.5 * torch.randn(n, dimension, generator=rng(seed + 100))

    return energy, math.log(8) + dimension * math.log(0.5 * math.sqrt(2 * math.pi)) - 3.0, sample


@pytest.mark.parametrize("dimension", [2, 10, pytest.param(50, marks=pytest.mark.slow)])
def test_annealing_finds_the_normaliser_of_a_gaussian(dimension):
    energy, log_normalizer = gaussian(0.7, mean=0.3)
    samples = 0.3 + 0.7 * torch.randn(100, dimension, generator=rng())
    temperatures = 30 * (1 + dimension // 5)
    found = bracket(energy, samples, samples, n_temperatures=temperatures, tolerance=0.4, rng=rng(1))
    assert found.reasons == ()
    assert found.log_normalizer == pytest.approx(log_normalizer(dimension), abs=0.25)
    assert found.low <= log_normalizer(dimension) + 0.2
    assert found.high >= log_normalizer(dimension) - 0.2


@pytest.mark.parametrize("dimension", [2, 10])
def test_annealing_finds_the_normaliser_of_a_mixture(dimension):
    energy, log_normalizer, sample = eight(dimension)
    found = bracket(energy, sample(128, 0), sample(128, 1), n_temperatures=80, tolerance=0.4, rng=rng(1))
    assert found.reasons == ()
    assert found.log_normalizer == pytest.approx(log_normalizer, abs=0.15)


def test_forward_is_below_and_reverse_above_on_average():
    energy, log_normalizer, sample = eight(10)
    forward = [anneal(energy, sample(64, s), 10, rng=rng(s)).log_normalizer for s in range(8)]
    backward = [anneal(energy, sample(64, s), 10, reverse=True, rng=rng(s)).log_normalizer for s in range(8)]
    assert sum(forward) / 8 < log_normalizer < sum(backward) / 8


def with_basin(x):
    """A normal, and far away a narrow basin that holds nearly all of the mass."""
    here = x.square().sum(1) / 2
    there = ((x - 12) / 0.05).square().sum(1) / 2 - 40
    return -torch.logaddexp(-here, -there)


def test_a_basin_that_forward_annealing_never_finds_is_noticed():
    """Forward alone would report log 2π with no variance; the mass is e^34 times as much."""
    forward = anneal(with_basin, torch.zeros(128, 2), 100, rng=rng())
    assert forward.log_normalizer == pytest.approx(math.log(2 * math.pi), abs=0.1)
    in_basin = 12 + 0.05 * torch.randn(128, 2, generator=rng())
    found = bracket(with_basin, in_basin, torch.randn(128, 2, generator=rng(1)), rng=rng(2))
    assert found.log_normalizer is None
    assert any("forward says" in reason for reason in found.reasons)


def test_an_energy_that_is_deep_where_no_data_are_is_noticed():
    energy, _ = gaussian(0.2)
    data = 1.5 + 0.2 * torch.randn(500, 2, generator=rng())
    fall = drift(energy, data, rng())
    assert fall.deviations > 2
    assert fall.nats == pytest.approx(fall.deviations * float(energy(data).std(correction=0)), rel=1e-4)
    found = bracket(energy, 0.2 * torch.randn(128, 2, generator=rng()), data, rng=rng(1))
    assert any("20 moves lower" in reason for reason in found.reasons)
    assert abs(drift(energy, 0.2 * torch.randn(2_000, 2, generator=rng()), rng(1)).deviations) < 0.15


def test_weighted_samples_stand_in_where_annealing_fails():
    failed = Normalizer(None, 0.0, 9.0, 0.5, ("forward says 0 and reverse 9",))
    assert decide({"importance_log_normalizer": 3.0, "importance_ess": 0.6}, failed) == (3.0, ())
    assert decide({"importance_log_normalizer": 3.0, "importance_ess": 0.001}, failed)[0] is None
    drifting = failed._replace(drift=Fall(nats=12.6, deviations=3.0))
    value, (reason,) = decide({"importance_log_normalizer": 3.0, "importance_ess": 0.6}, drifting)
    assert value is None
    assert "20 moves lower the held-out points' energy by 12.6 nats, 3.0 of its standard deviations" in reason
    fine = failed._replace(log_normalizer=1.0, reasons=())
    assert decide({}, fine) == (1.0, ())
    value, (reason,) = decide({"importance_log_normalizer": 3.0, "importance_ess": 0.6}, fine)
    assert value is None
    assert "importance sampling says 3.00 and annealing 1.00" in reason


# ---- two-sample tests


def test_the_auc_of_two_normals_is_the_known_one():
    """N(0, 1) and N(δ, 1) are told apart with AUC Φ(δ/√2) at best."""
    a, b = torch.randn(2, 10_000, 1, generator=rng()).unbind()
    best = 0.5 * (1 + math.erf(1.0 / 2))
    found = two_sample_test(a, b + 1.0)
    assert best - 0.03 < found.auc < best + 3 * found.standard_error


def test_equal_laws_are_not_told_apart():
    found = [two_sample_test(*torch.randn(2, 3_000, 3, generator=rng(s)).unbind(), seed=s) for s in range(6)]
    assert all(abs(f.auc - 0.5) < 3.5 * f.standard_error for f in found)
    assert all(f.missing < 0.01 for f in found)


def test_a_missing_mode_is_a_missing_share():
    _, _, sample = eight(10)
    means_a = sample(8_000, 0)
    first = torch.nn.functional.normalize(torch.randn(8, 10, generator=rng(0)), dim=1)[0] * 2
    kept = means_a[(means_a - first).norm(dim=1) > 2.5]
    found = two_sample_test(sample(8_000, 3), kept)
    assert 0.06 < found.missing < 0.2


def test_points_that_are_not_finite_are_told_apart():
    a = torch.randn(100, 2, generator=rng())
    assert two_sample_test(a, a.clone().fill_(torch.nan)).auc == 1


def test_few_points_say_nothing():
    assert math.isnan(two_sample_test(torch.randn(5, 2), torch.randn(5_000, 2)).auc)
    energy, _ = gaussian(1.0)
    assert math.isfinite(drift(energy, torch.randn(1, 2)).deviations)


def test_uneven_weights_still_stand_for_the_energy():
    """Samples of a proposal with one mode far too rare: weights of 20 times the mean carry the law."""
    n = 40_000
    where = torch.tensor([-4.0, 4.0])[(torch.rand(n, generator=rng()) < 0.03).long()]
    x = torch.stack([where, torch.zeros(n)], 1) + torch.randn(n, 2, generator=rng(1))
    log_proposal = torch.logaddexp(
        math.log(0.97) - (x - x.new_tensor([-4, 0])).square().sum(1) / 2,
        math.log(0.03) - (x - x.new_tensor([4, 0])).square().sum(1) / 2,
    )

    def energy(x):
        squares = [(x - x.new_tensor([m, 0])).square().sum(1) / 2 for m in (-4.0, 4.0)]
        return -torch.logaddexp(-squares[0], -squares[1])

    side = torch.tensor([-4.0, 4.0])[torch.randint(2, (2, 4_000), generator=rng(2))]
    data = torch.stack([side, torch.zeros(2, 4_000)], 2) + torch.randn(2, 4_000, 2, generator=rng(3))
    log_weights = -log_proposal - math.log(n)
    numbers, _ = assess(energy, *data, None, None, (x, log_weights), log_normalizer=math.log(2))
    assert numbers["importance_ess"] < 0.2
    assert numbers["importance_log_normalizer"] == pytest.approx(math.log(2), abs=0.06)
    assert numbers["auc_data_energy"] == pytest.approx(0.5, abs=0.03)


# ---- the verdict


@pytest.mark.parametrize("dimension", [2, pytest.param(10, marks=pytest.mark.slow), 50])
@pytest.mark.parametrize(
    ("situation", "kind"), [("right", "agree"), ("cold", "critic"), ("wide", "lags"), ("seven", "missing")]
)
def test_the_verdict_on_known_situations(situation, kind, dimension):
    """A mixture of eight; its energy, or 6 times that; its sampler, or a wider one, or seven of eight."""
    energy, log_normalizer, sample = eight(dimension)
    data, held_out, generated = (sample(6_000, s) for s in (1, 2, 3))
    of_energy, known = sample(6_000, 4), log_normalizer
    if situation == "cold":
        energy, warm = (lambda x, e=energy: 6 * e(x)), energy
        centre = of_energy[:, None] - 2 * torch.nn.functional.normalize(
            torch.randn(8, dimension, generator=rng(0)), dim=1
        )
        nearest = centre.square().sum(2).argmin(1)
        of_energy = of_energy - (1 - 1 / math.sqrt(6)) * centre[torch.arange(len(centre)), nearest]
        assert warm(of_energy).mean() < warm(held_out).mean()
        known = None
    elif situation == "wide":
        generated = generated + 0.35 * torch.randn(generated.shape, generator=rng(5))
    elif situation == "seven":
        first = 2 * torch.nn.functional.normalize(torch.randn(8, dimension, generator=rng(0)), dim=1)
        nearest = (generated[:, None] - first).square().sum(2).argmin(1)
        generated = generated[nearest != 0]
    numbers, _ = assess(energy, data, held_out, generated, of_energy, None, known, n_chains=32)
    assert verdict(numbers).kind == kind, verdict(numbers).sentence


NO_PAIR_APART = {
    "auc_data_generator": 0.5, "auc_data_energy": 0.5, "auc_generator_energy": 0.5,
    "auc_standard_error": 0.006, "auc_control": 0.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({}, "agree", "generator agree (a classifier's AUC, 0.5 ± 0.018 if they are one law"),
        ({"auc_data_energy": 0.515}, "agree", "agree"),
        ({"auc_data_energy": 0.53}, "nearly", "nearly agree; a classifier still tells data | energy apart"),
        ({"auc_data_energy": 0.56}, "short", "falls short"),
        ({"auc_data_generator": 0.56}, "lags", "the generator's samples are told from the data"),
        ({"auc_generator_energy": 0.56}, "lags", "lags behind the energy"),
        ({"auc_control": 0.53}, "unsure", "even two halves of the held-out data apart, with an AUC of 0.530"),
        ({"auc_standard_error": 0.05}, "unsure", "cannot be told from so few points"),
        ({"auc_standard_error": 0.05, "auc_data_energy": 0.6}, "unsure", "0.5 ± 0.150 if they are one law"),
        ({"auc_standard_error": 0.05, "auc_data_energy": 0.7}, "short", "falls short"),
        ({"missing_share": 0.1, "auc_data_generator": 0.56}, "missing", "10 % of the held-out points"),
        ({"missing_share": 0.1, "auc_data_generator": 0.51}, "agree", "agree"),
        ({"drift": 1.2, "drift_nats": 12.6}, "critic", "by 12.6 nats, 1.2 of its standard deviations"),
        ({"likelihood_gain": -0.5}, "critic", "0.50 nats less than under a Gaussian"),
    ],
)
def test_the_verdict_goes_by_the_errors_of_its_numbers(changed, kind, said):
    found = verdict(NO_PAIR_APART | changed)
    assert found.kind == kind
    assert said in found.sentence


def test_one_law_is_never_told_apart_and_with_few_points_nothing_is():
    """Three sets of one normal: at 50 held-out points no verdict, at 2,000 they agree."""
    energy, log_normalizer = gaussian(1.0)
    for n, kind in ((50, "unsure"), (400, "unsure"), (2_000, "agree")):
        sets = torch.randn(4, n, 2, generator=rng(n)).unbind()
        numbers, _ = assess(energy, *sets, None, log_normalizer(2))
        assert verdict(numbers | {"likelihood_gain": 0.0}).kind == kind
        assert not abs(numbers["auc_control"] - 0.5) > 3 * math.sqrt(2) * numbers["auc_standard_error"]


def test_there_is_no_verdict_without_samples():
    assert verdict({}).kind == "none"
    assert "no verdict" in str(verdict({"drift": 0.0}))
    alone = {"likelihood_gain": 0.7, "drift": 0.1}
    assert str(verdict(alone)).endswith("held-out points have 0.70 nats more than under a Gaussian")
    assert verdict(alone | {"likelihood_gain": -1.0}).kind == "critic"
    assert verdict(alone | {"drift": 3.0}).kind == "critic"


def test_a_mixture_is_chosen_by_validation_and_is_a_density():
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [0.0, -4.0]])
    points = centres[torch.arange(1_200) % 4] + torch.randn(1_200, 2, generator=rng())
    fresh = centres[torch.arange(4_000) % 4] + torch.randn(4_000, 2, generator=rng(1))
    mixture = MixtureEstimate(points)
    assert mixture.components == 4
    exact = -torch.cdist(fresh, centres).square() / 2 - math.log(2 * math.pi) - math.log(4)
    assert float(mixture.log_prob(fresh).mean()) == pytest.approx(float(exact.logsumexp(1).mean()), abs=0.05)
    assert float(Grid.around(points).log_normalizer(lambda x: -mixture.log_prob(x))) == pytest.approx(
        0, abs=0.01
    )
    torch.testing.assert_close(mixture.sample(4_000, rng()).std(0), points.std(0), rtol=0.1, atol=0)


def test_few_points_are_tested_by_crossed_folds():
    """60 points of each: all of them are tested, and the error is that of so many."""
    a, b = torch.randn(2, 60, 3, generator=rng(1))
    same, other = two_sample_test(a, b), two_sample_test(a, b + 3)
    assert same.standard_error == pytest.approx(1 / math.sqrt(6 * 60), rel=0.15)
    assert abs(same.auc - 0.5) < 3 * same.standard_error
    assert other.auc > 0.95


def test_the_verdict_says_what_beats_the_energy():
    found = {"likelihood_gain": 0.7, "held_out_log_likelihood": -5.7, "gaussian_log_likelihood": -6.4}
    assert "better than a Gaussian by 0.70" in str(verdict(found))
    found |= {"mixture_log_likelihood": -5.2, "kernel_log_likelihood": -7.8}
    assert "the energy is worse than a mixture of Gaussians by 0.50" in str(verdict(found))
    assert "kernel" not in str(verdict(found))
