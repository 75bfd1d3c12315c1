"""Laws of the entropies by mutual information and by nearest neighbours, and of the penalty's reductions."""

import math
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from energy_gan.energies.experts import LinearExperts, ProductOfExperts
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.energies.pairs import ConvStatistics, MLPStatistics, Statistics
from energy_gan.errors import InputError
from energy_gan.generator_terms.mutual_information import MutualInformationEntropy
from energy_gan.generator_terms.nearest_neighbour_entropy import NearestNeighbourEntropy
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.mixed_prior import MixedPrior
from energy_gan.generators.output_noise import FixedNoise
from energy_gan.generators.priors import NormalPrior
from energy_gan.methods.energy_gan import EnergyGAN
from energy_gan.methods.players import Step
from energy_gan.objectives import zero_centred_penalty
from energy_gan.optim.learns import Learns
from energy_gan.run.build import build, check
from energy_gan.run.compose import compose
from energy_gan.shapes import Batch

PAIRS_OF = {"jensen_shannon": "shifted", "donsker_varadhan": "shifted", "info_nce": "all_pairs"}
ADAM = partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))
LEARNS = Learns(ADAM)


class Scale(torch.nn.Module):
    """G(z) = a z."""

    def __init__(self, a):
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(float(a)))

    def forward(self, z):
        return self.a * z


class DensityRatio(Statistics):
    """gain · log p(x, z) / p(x) p(z) + offset of x = z + s ε, z and ε standard normal: the best T."""

    def __init__(self, s, gain=1.0, offset=0.0):
        super().__init__()
        self.s, self.gain, self.offset = s, gain, offset

    def head(self, x, z):
        variance = 1 + self.s**2
        log_ratio = x.square() / (2 * variance) - (x - z).square() / (2 * self.s**2)
        log_ratio = log_ratio + math.log(variance / self.s**2) / 2
        return self.gain * log_ratio.sum(1) + self.offset


def noisy(s, dimension=1):
    """x = a z + s ε, with a = 1."""
    return Generator(Scale(1.0), NormalPrior(dimension), FixedNoise(start=s, end=s))


def draw_of(s, n, dimension=1, seed=0, graph=False):
    torch.manual_seed(seed)
    generator = noisy(s, dimension)
    latent = generator.prior.sample(n)
    with torch.set_grad_enabled(graph):
        return generator, generator.draw(latent)


def information(s):
    return math.log(1 + 1 / s**2) / 2


def twice_jensen_shannon(s):
    """KL(joint ‖ m) + KL(product ‖ m), and KL(m ‖ product), m their mean; on a grid."""
    z = torch.linspace(-8, 8, 1001, dtype=torch.float64)
    x, z = torch.meshgrid(z * math.sqrt(1 + s**2), z, indexing="ij")
    area = (z[0, 1] - z[0, 0]) * (x[1, 0] - x[0, 0])

    def normal(d, variance):
        return torch.exp(-d.square() / (2 * variance)) / math.sqrt(2 * math.pi * variance)

    joint = (normal(z, 1) * normal(x - z, s**2)).clamp(min=1e-300)
    product = (normal(z, 1) * normal(x, 1 + s**2)).clamp(min=1e-300)
    middle = (joint + product) / 2

    def divergence(p, q):
        return float((p * (p / q).log()).sum() * area)

    return divergence(joint, middle) + divergence(product, middle), divergence(middle, product)


# ---- the bounds where the best T is known


@pytest.mark.parametrize("negatives", ["shifted", "permuted", "independent", "all_pairs"])
@pytest.mark.parametrize("s", [1.0, 1.5])
def test_the_best_statistics_give_the_information_by_donsker_and_varadhan(negatives, s):
    _, draw = draw_of(s, 1500 if negatives == "all_pairs" else 40_000)
    prior = NormalPrior(1) if negatives == "independent" else None
    for offset in (0.0, 3.0):  # a constant changes nothing
        term = MutualInformationEntropy(
            DensityRatio(s, offset=offset), "donsker_varadhan", negatives, prior=prior
        )
        assert float(term.information(draw)) == pytest.approx(information(s), abs=0.03)


@pytest.mark.parametrize("negatives", ["shifted", "permuted", "independent", "all_pairs"])
@pytest.mark.parametrize("s", [0.3, 1.0])
def test_the_best_statistics_give_twice_the_jensen_shannon_divergence(negatives, s):
    _, draw = draw_of(s, 1500 if negatives == "all_pairs" else 40_000)
    prior = NormalPrior(1) if negatives == "independent" else None
    term = MutualInformationEntropy(DensityRatio(s), "jensen_shannon", negatives, prior=prior)
    assert float(term.information(draw)) == pytest.approx(twice_jensen_shannon(s)[0], abs=0.02)


@pytest.mark.parametrize("s", [0.3, 1.0, 2.0])
def test_the_jensen_shannon_bound_is_below_the_information_by_a_divergence(s):
    """I = 2 JSD + 2 KL(m ‖ product): with the constant log 4 the bound is one of I, in nats."""
    bound, rest = twice_jensen_shannon(s)
    assert bound + 2 * rest == pytest.approx(information(s), abs=1e-6)
    assert 0 < bound < min(information(s), math.log(4))


def test_info_nce_is_the_information_up_to_the_logarithm_of_the_batch():
    _, draw = draw_of(1.0, 1000)
    term = MutualInformationEntropy(DensityRatio(1.0), "info_nce", "all_pairs")
    assert float(term.information(draw)) == pytest.approx(information(1.0), abs=0.06)
    small = [float(term.information(draw_of(1.0, 8, seed=seed)[1])) for seed in range(300)]
    assert sum(small) / 300 < information(1.0), "a bound from few pairs too, in expectation"
    s, n = 1e-3, 16
    assert information(s) > math.log(n)
    sharp = MutualInformationEntropy(DensityRatio(s), "info_nce", "all_pairs")
    value = float(sharp.information(draw_of(s, n)[1]))
    assert math.log(n) - 0.1 < value <= math.log(n) + 1e-6


@pytest.mark.parametrize("estimator", PAIRS_OF)
@pytest.mark.parametrize("wrong", [{"gain": 0.4}, {"gain": 1.6}, {"gain": -1.0}, {"gain": 0.0}])
def test_any_other_statistics_give_less(estimator, wrong):
    s, n = 1.0, 1000 if estimator == "info_nce" else 20_000
    _, draw = draw_of(s, n)

    def value(**settings):
        torch.manual_seed(1)
        statistics = DensityRatio(s, **settings)
        return float(MutualInformationEntropy(statistics, estimator, PAIRS_OF[estimator]).information(draw))

    assert value(**wrong) < value() - 0.01
    assert value(**wrong) < information(s)
    torch.manual_seed(2)
    network = MutualInformationEntropy(MLPStatistics([1], 1, [16, 16]), estimator, PAIRS_OF[estimator])
    with torch.no_grad():
        assert float(network.information(draw)) < information(s)


@pytest.mark.parametrize("estimator", PAIRS_OF)
def test_statistics_that_see_nothing_give_no_information(estimator):
    """T = 0 is the best T of independent x and z, where each bound is 0: all are in nats from 0."""
    _, draw = draw_of(1.0, 64)
    term = MutualInformationEntropy(DensityRatio(1.0, gain=0.0), estimator, PAIRS_OF[estimator])
    assert float(term.information(draw)) == pytest.approx(0, abs=1e-6)


def test_published_halves_are_half_and_the_binary_cross_entropy_over_all_pairs():
    _, draw = draw_of(0.5, 128)

    def value(halves):
        torch.manual_seed(3)
        statistics = DensityRatio(0.5, offset=0.7)
        term = MutualInformationEntropy(statistics, negatives="permuted", published_halves=halves)
        return term.information(draw), statistics

    (whole, statistics), (half, _) = value(False), value(True)
    torch.testing.assert_close(half, whole / 2, rtol=0, atol=0)
    torch.manual_seed(3)
    rows = torch.randperm(128)
    scores = torch.cat([statistics(draw.samples, draw.latent), statistics(draw.samples, draw.latent[rows])])
    labels = torch.cat([torch.ones(128), torch.zeros(128)])
    published = -F.binary_cross_entropy_with_logits(scores, labels)
    torch.testing.assert_close(half, published + math.log(2))


def test_shifted_latents_are_never_a_sample_s_own():
    class Same(Statistics):
        def head(self, x, z):
            return (x == z).all(1).float()

    z = torch.arange(5.0)[:, None]
    term = MutualInformationEntropy(Same(), negatives="shifted")
    for _ in range(50):
        assert not term._product(z, Draw(z, z, z))[0].any()


# ---- entropies and what they teach the generator


@pytest.mark.parametrize("dimension", [1, 2])
def test_with_output_noise_it_is_the_entropy_itself(dimension):
    """H(x) = I(z; x) + H(x | z), in nats; of a normal d/2 log 2πe(1 + s²)."""
    s = 1.0
    generator, draw = draw_of(s, 40_000, dimension)
    term = MutualInformationEntropy(DensityRatio(s), "donsker_varadhan")
    entropy = dimension / 2 * math.log(2 * math.pi * math.e * (1 + s**2))
    assert float(term(generator, draw, None)) == pytest.approx(entropy, abs=0.05)


@pytest.mark.parametrize("estimator", PAIRS_OF)
def test_it_teaches_the_generator_to_spread(estimator):
    """The best T held still, the slope of the bound is that of its value: d a / (a² + s²) of I, about d/a."""
    s, dimension = 0.5, 2
    n = 1000 if estimator == "info_nce" else 100_000
    generator, draw = draw_of(s, n, dimension, graph=True)
    term = MutualInformationEntropy(DensityRatio(s), estimator, PAIRS_OF[estimator])
    (slope,) = torch.autograd.grad(term(generator, draw, None), generator.network.a)
    assert slope > 0
    if estimator != "jensen_shannon":  # another quantity, of another slope
        assert float(slope) == pytest.approx(dimension / (1 + s**2), rel=0.15)


def test_the_shares_of_a_learned_prior_get_the_slope_of_the_weighted_bound():
    """Values and gradient are those of sums over the shares, as if each latent counted that often."""
    torch.manual_seed(0)
    z, x = torch.randn(2, 6, 1).unbind(0)
    shares = torch.zeros(6, requires_grad=True)
    statistics = DensityRatio(1.0)
    term = MutualInformationEntropy(statistics, "donsker_varadhan", "all_pairs")
    value = term.information(Draw(z, x, x, log_shares=shares))
    p = shares.softmax(0)
    pairs = p[:, None] * p * (1 - torch.eye(6))
    matrix = torch.stack([statistics(x, z[j].expand(6, 1)) for j in range(6)], 1)
    expected = p @ matrix.diagonal() - ((pairs * matrix.exp()).sum() / pairs.sum()).log()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(v, shares)[0] for v in (value, expected)))


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_nearest_neighbours_give_the_entropy_of_a_normal_and_of_a_uniform_law(k, dimension):
    torch.manual_seed(0)
    term = NearestNeighbourEntropy(neighbours=k)
    normal, uniform = 2 * torch.randn(3000, dimension), 3 * torch.rand(3000, dimension)
    entropy = dimension / 2 * math.log(2 * math.pi * math.e * 4)
    edge = 0.02 + 0.05 * (dimension - 1)  # balls that reach past the uniform law's edge
    assert float(term(noisy(1.0), Draw(normal, normal, normal), None)) == pytest.approx(entropy, abs=0.12)
    value = float(term(noisy(1.0), Draw(uniform, uniform, uniform), None))
    assert value == pytest.approx(dimension * math.log(3), abs=0.06 + edge)


@pytest.mark.parametrize(("k", "dimension", "ball"), [(1, 1, 2.0), (4, 2, math.pi), (7, 3, 4 * math.pi / 3)])
def test_nearest_neighbours_by_hand(k, dimension, ball):
    """ψ(N) − ψ(k) is 1/k + … + 1/(N − 1); an image counts as the vector of its pixels."""
    torch.manual_seed(0)
    x = torch.randn(8, dimension, dtype=torch.float64)
    radii = [sorted(math.dist(a, b) for b in x.tolist())[k] for a in x.tolist()]  # the nearest is a itself
    expected = sum(1 / j for j in range(k, 8)) + math.log(ball)
    expected += dimension * sum(map(math.log, radii)) / 8
    for points in (x, x[:, None, :, None]):
        value = NearestNeighbourEntropy(k)(noisy(1.0), Draw(x, points, points), None)
        assert float(value) == pytest.approx(expected, abs=1e-9)
    if k == 7:
        capped = NearestNeighbourEntropy(100)(noisy(1.0), Draw(x, x, x), None)
        assert float(capped) == pytest.approx(expected, abs=1e-9)


def test_nearest_neighbours_teach_the_generator_to_spread():
    """All distances scale with G: the slope in its scale a is d/a, exactly."""
    torch.manual_seed(0)
    for dimension, a in ((1, 2.0), (3, 0.5)):
        generator = Generator(Scale(a), NormalPrior(dimension))
        draw = generator.draw(generator.prior.sample(50))
        (slope,) = torch.autograd.grad(NearestNeighbourEntropy()(generator, draw, None), generator.network.a)
        assert float(slope) == pytest.approx(dimension / a, rel=1e-4)


def test_samples_that_coincide_give_finite_entropies_and_slopes():
    x = torch.zeros(8, 2, requires_grad=True)
    value = NearestNeighbourEntropy(least=1e-3)(noisy(1.0), Draw(x, x, x), None)
    assert value.isfinite()
    assert torch.autograd.grad(value, x)[0].isfinite().all()


# ---- the statistics network


@pytest.mark.parametrize("estimator", PAIRS_OF)
def test_a_trained_network_comes_close_to_the_best(estimator):
    s = 0.5
    torch.manual_seed(0)
    term = MutualInformationEntropy(MLPStatistics([1], 1, [32, 32]), estimator, PAIRS_OF[estimator])
    optimizer, generator = torch.optim.Adam(term.parameters(), lr=5e-3), noisy(s)
    for _ in range(300):
        with torch.no_grad():
            draw = generator.draw(generator.prior.sample(64 if estimator == "info_nce" else 256))
        optimizer.zero_grad()
        sum(term.learning_terms(draw, draw.clean).values()).backward()
        optimizer.step()
    best = MutualInformationEntropy(DensityRatio(s), estimator, PAIRS_OF[estimator])
    _, draw = draw_of(s, 1000 if estimator == "info_nce" else 20_000)
    with torch.no_grad():
        assert float(term.information(draw)) == pytest.approx(float(best.information(draw)), abs=0.06)
        assert float(term.information(draw)) < information(s) + 0.05


@pytest.mark.parametrize("shape", [[1, 8, 8], [3, 28, 20]])
def test_convolutional_statistics_read_images(shape):
    statistics = ConvStatistics(shape, 5, channels=[4, 8], hidden=[16])
    x, z = torch.randn(6, *shape), torch.randn(6, 5)
    assert statistics(x, z).shape == (6,)
    assert statistics.encode(x).shape == z.shape
    term = MutualInformationEntropy(statistics, "info_nce", "all_pairs")
    matrix = term._all_pairs(statistics.encode(x), z)
    expected = torch.stack([statistics(x, z[j].expand(6, 5)) for j in range(6)], 1)
    torch.testing.assert_close(matrix, expected)
    sum(term.learning_terms(Draw(z, x, x), x).values()).backward()
    still = [name for name, p in statistics.named_parameters() if p.grad is None or not p.grad.any()]
    assert still in ([], ["network.2.bias"]), "InfoNCE takes no notice of a constant, of nothing else"


# ---- the step


def small_pair(entropy, **settings):
    torch.manual_seed(0)
    energy = ProductOfExperts([2], MLPFeatures([2], [8, 8]), 1, LinearExperts, linear=False)
    generator = Generator(torch.nn.Linear(2, 2), NormalPrior(2))
    settings = {"generator_first": True, "penalty": zero_centred_penalty} | settings
    return EnergyGAN([2], energy, LEARNS, generator, LEARNS, terms={"entropy": entropy}, **settings)


@pytest.mark.parametrize("estimator", PAIRS_OF)
@pytest.mark.parametrize("mover", ["entropy", "generator", "energy"])
def test_a_move_changes_the_mover_s_weights_and_no_others(estimator, mover):
    entropy = MutualInformationEntropy(
        MLPStatistics([2], 2, [8]), estimator, PAIRS_OF[estimator], learns=LEARNS
    )
    method = small_pair(entropy)
    assert [player.name for player in method.players] == ["entropy", "generator", "energy"]
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    player = next(p for p in method.players if p.name == mover)
    method.descend(player, player.terms(Step(torch.randn(16, 2), method.generator, method.draws)))
    own = "terms.entropy" if mover == "entropy" else mover
    moved = {n.startswith(f"{own}.") for n, p in method.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {True}
    assert all(p.grad is None for n, p in method.named_parameters() if not n.startswith(f"{own}."))


def test_nearest_neighbours_need_no_player():
    method = small_pair(NearestNeighbourEntropy())
    assert [player.name for player in method.players] == ["generator", "energy"]
    terms = method.generator_terms(Step(torch.randn(16, 2), method.generator, method.draws))
    assert terms["entropy_loss"].requires_grad


def test_a_network_that_does_not_learn_is_refused():
    with pytest.raises(ValueError, match=r"has a network of its own: give terms\.entropy\.learns"):
        small_pair(MutualInformationEntropy(MLPStatistics([2], 2, [8])))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: MutualInformationEntropy(t, "info_nce"), "must be 'all_pairs' where info_nce .*'shifted'"),
        (
            lambda t: MutualInformationEntropy(t, "donsker_varadhan", published_halves=True),
            "published_halves goes with jensen_shannon only, got 'donsker_varadhan'",
        ),
        (lambda t: MutualInformationEntropy(t, negatives="independent"), "prior must be given .*no prior"),
        (lambda t: MutualInformationEntropy(t, prior=NormalPrior(2)), "'shifted' and NormalPrior"),
        (
            lambda t: MutualInformationEntropy(
                t, negatives="independent", prior=MixedPrior(2, 2, learned_shares=True)
            ),
            "prior must have no weights, .*got MixedPrior with weights",
        ),
        (lambda _: MLPStatistics([2], 0), "latent_dim must be at least 1, got 0"),
        (lambda _: MLPStatistics([2], 2, [0]), "hidden must be whole numbers of at least 1"),
        (lambda _: ConvStatistics([2], 2), r"shape must be \[C, H, W\]"),
        (lambda _: ConvStatistics([1, 8, 8], 2, kernel=4), "kernel must be odd and at least 3, got 4"),
        (lambda _: NearestNeighbourEntropy(0), "neighbours must be at least 1, got 0"),
        (lambda _: NearestNeighbourEntropy(least=0.0), "least must be a positive number, got 0.0"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(DensityRatio(1.0))


# ---- the penalty and the recipes


@pytest.mark.parametrize("shape", [[1, 4, 6], [3, 5, 5]])
def test_the_penalty_per_pixel_is_that_of_a_sample_over_the_number_of_pixels(shape):
    """For any number of channels; of vectors, whose only axis is the first, the two are the same."""
    a = torch.tensor(0.7, requires_grad=True)

    def penalty(shape, reduction):
        torch.manual_seed(0)
        x = torch.randn(6, *shape).requires_grad_()
        return zero_centred_penalty(x, a * x.flatten(1).pow(3).sum(1), reduction=reduction)

    torch.testing.assert_close(
        penalty(shape, "per_pixel"), penalty(shape, "per_sample") / (shape[1] * shape[2])
    )
    torch.testing.assert_close(penalty([7], "per_pixel"), penalty([7], "per_sample"))
    assert torch.autograd.grad(penalty(shape, "per_pixel"), a)[0] > 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("method.penalty.reduction=mean", "'per_sample' or 'per_pixel'"),
        ("method.terms.entropy.estimator=mine", "'jensen_shannon', 'donsker_varadhan' or 'info_nce'"),
        ("method.terms.entropy.negatives=none", "'shifted', 'permuted', 'independent' or 'all_pairs'"),
    ],
)
def test_another_name_is_refused_in_one_line(given, expected):
    with pytest.raises(InputError, match=f"is of the wrong type: expected {expected}") as error:
        check({"method": compose(["data=digits", "method=meg", given])["method"]})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "width"),
    [("eight_gaussians", 0.0141), ("twenty_five_gaussians", 0.0177), ("swiss_roll", 0.0333)],
)
def test_the_toys_have_the_paper_s_widths_unless_told(data, width):
    config = compose([f"data={data}", "method=meg"])
    assert config["name"] == f"meg/{data}"
    assert config["data"]["density"]["std"] == width
    assert compose([f"data={data}", "method=meg", "data.density.std=0.1"])["data"]["density"]["std"] == 0.1


@pytest.mark.parametrize(
    ("data", "penalty", "latent"),
    [
        ("two_spiral", ("per_sample", 0.1), 2),
        ("mnist", ("per_pixel", 10), 128),
        ("cifar10", ("per_pixel", 10), 128),
    ],
)
def test_the_recipes_have_the_paper_s_numbers(data, penalty, latent):
    config = compose([f"data={data}", "method=meg"])["method"]
    entropy = config["terms"]["entropy"]
    assert (config["penalty"]["reduction"], config["penalty"]["weight"]) == penalty
    assert config["generator"]["prior"]["latent_dim"] == entropy["statistics"]["latent_dim"] == latent
    assert (config["energy_learns"]["steps"], config["generator_first"]) == (5, True)
    for learns in (config["energy_learns"], config["generator_learns"], entropy["learns"]):
        assert (learns["optimizer"]["lr"], learns["optimizer"]["betas"]) == (1e-4, [0.5, 0.9])


MUTUAL = ["entropy", "generator", "energy"]
NEAREST = "energy_gan.generator_terms.nearest_neighbour_entropy.NearestNeighbourEntropy"


@pytest.mark.parametrize(
    ("given", "players"),
    [
        (["data=swiss_roll"], MUTUAL),
        (["method.terms.entropy.estimator=info_nce", "method.terms.entropy.negatives=all_pairs"], MUTUAL),
        (["method.terms.entropy.estimator=donsker_varadhan"], MUTUAL),
        (["method.terms.entropy.published_halves=true", "method.terms.entropy.negatives=permuted"], MUTUAL),
        (
            [
                "method.terms.entropy.negatives=independent",
                "method.terms.entropy.prior=${method.generator.prior}",
            ],
            MUTUAL,
        ),
        (["~method.terms.entropy", f"+method.terms.entropy._target_={NEAREST}"], ["generator", "energy"]),
        (["data=digits"], MUTUAL),
        (["data=digits", "experiment=meg/images", "method.energy.features.channels=[8]"], MUTUAL),
    ],
)
def test_the_recipe_s_estimates_are_exchanged_by_settings_and_take_steps(given, players):
    method = compose(["method=meg", "data=two_spiral", *given])["method"]
    check({"method": method})
    method = build(method, "method")
    assert [player.name for player in method.players] == players
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    method.training_step(Batch(torch.randn(8, *method.shape).clamp(-1, 1)), 0)
    constants = {
        "energy.experts.bias",
        "terms.entropy.statistics.network.6.bias",
    }  # no slope, or none of InfoNCE
    still = {name for name, p in method.named_parameters() if torch.equal(p, before[name])}
    assert still <= constants
    assert all(p.isfinite().all() for p in method.parameters())
