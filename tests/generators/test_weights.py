"""Laws of generated networks: the gauge, rows and networks, the entropy on a sheet, ensembles, refusals."""

import math

import pytest
import torch
from torch import nn

from energy_gan.energies.classes import Logits
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.energies.pooled import PooledConvFeatures
from energy_gan.generator_terms.nearest_neighbour_entropy import NearestNeighbourEntropy
from energy_gan.generators.architecture import Architecture
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.ensemble import Ensemble
from energy_gan.generators.gauge import Gauge
from energy_gan.generators.priors import NormalPrior, UniformPrior
from energy_gan.generators.weights import WeightGenerator
from energy_gan.inference.disagreement import disagreement
from energy_gan.objectives import cross_entropies, cross_entropy

FORMS = {
    "dense": ([5], lambda: Logits(MLPFeatures([5], [7, 6], "relu", "leaky_relu"), 3)),
    "convolutions": ([1, 8, 8], lambda: Logits(PooledConvFeatures([1, 8, 8], [4, 3], [6], kernel=3), 5)),
    "shrunk, without biases": (
        [2, 8, 8],
        lambda: nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(2, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3, False)
        ),
    ),
}


@pytest.fixture(params=FORMS)
def architecture(request):
    shape, make = FORMS[request.param]
    torch.manual_seed(0)
    return Architecture(shape, make()).double()


def networks_of(architecture, n=6):
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(9, *architecture.shape, generator=rng, dtype=torch.double)
    return torch.randn(n, architecture.n_weights, generator=rng, dtype=torch.double) / 3, x


def changed(architecture, weights, shuffled=False):
    """The same functions by other weights: hidden units scaled or moved, the logits shifted."""
    rng = torch.Generator().manual_seed(2)
    rows = [part.clone() for part in architecture.rows(weights)]
    for i, layer in enumerate(architecture.layers[:-1]):
        scale = torch.rand(layer.units, generator=rng, dtype=torch.double) * 3 + 0.1
        order = torch.arange(layer.units).flip(0) if shuffled else torch.arange(layer.units)
        fan_in = architecture.layers[i + 1].fan_in
        taken = rows[i + 1][..., :fan_in].unflatten(2, (layer.units, -1))
        rows[i] = (rows[i] * scale[:, None])[:, order]
        taken = (taken / scale[:, None])[:, :, order]
        rows[i + 1] = torch.cat([taken.flatten(2), rows[i + 1][..., fan_in:]], 2)
    rows[-1] = rows[-1] + torch.randn(1, rows[-1].shape[2], generator=rng, dtype=torch.double)
    return architecture.joined(rows)


@pytest.mark.parametrize("permutations", [False, True])
def test_fixing_the_gauge_changes_no_class_and_is_idempotent(architecture, permutations):
    weights, x = networks_of(architecture)
    gauge = Gauge(architecture, permutations)
    fixed = gauge(weights)
    assert not torch.allclose(fixed, weights, atol=0.1)
    before, after = (architecture.on_all(w, x).log_softmax(2) for w in (weights, fixed))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    torch.testing.assert_close(gauge(fixed), fixed)
    *hidden, last = architecture.rows(fixed)
    assert all(torch.allclose(rows.square().mean(2), torch.ones(1).double()) for rows in hidden)
    torch.testing.assert_close(last.mean(1), torch.zeros_like(last[:, 0]))


@pytest.mark.parametrize("permutations", [False, True])
def test_networks_that_are_one_function_get_the_same_weights(architecture, permutations):
    weights, x = networks_of(architecture)
    other, gauge = changed(architecture, weights, permutations), Gauge(architecture, permutations)
    torch.testing.assert_close(*(architecture.on_all(w, x).log_softmax(2) for w in (weights, other)))
    assert (other - weights).norm(dim=1).min() > 1
    torch.testing.assert_close(gauge(other), gauge(weights))
    assert torch.cdist(gauge(weights), gauge(weights)).fill_diagonal_(9).min() > 1  # others stay apart


def test_a_permutation_counts_unless_it_is_asked_for(architecture):
    weights = networks_of(architecture)[0]
    gauge = Gauge(architecture)
    assert (gauge(changed(architecture, weights, shuffled=True)) - gauge(weights)).norm(dim=1).mean() > 1


def test_a_row_is_the_network_it_was_taken_from(architecture):
    make = next(make for shape, make in FORMS.values() if tuple(shape) == architecture.shape)
    networks, x = [make().double() for _ in range(3)], networks_of(architecture)[1]
    weights = torch.stack([architecture.weights_of(network) for network in networks])
    assert architecture.n_weights == sum(p.numel() for p in networks[0].parameters())
    expected = torch.stack([network(x) for network in networks])
    torch.testing.assert_close(architecture.on_all(weights, x), expected)
    torch.testing.assert_close(architecture(weights, torch.stack([x, 2 * x, -x]))[0], expected[0])
    torch.testing.assert_close(architecture.joined(architecture.rows(weights)), weights)


def test_the_paper_s_target_has_20018_weights():
    assert Architecture([1, 28, 28], Logits(PooledConvFeatures([1, 28, 28]), 10)).n_weights == 20_018


def test_each_network_s_loss_is_that_of_its_own_points():
    logits, labels = torch.randn(3, 6, 4), torch.randint(-1, 4, (3, 6))
    expected = [cross_entropy(of, own) for of, own in zip(logits, labels, strict=True)]
    torch.testing.assert_close(cross_entropies(logits, labels), torch.stack(expected))


# ---- the entropy


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_entropy_of_a_normal_on_a_sheet_is_that_of_its_dimension(dimension):
    """In 6 dimensions, by an isometry; a times as wide it is d log a more, and moved it is the same."""
    rng = torch.Generator().manual_seed(0)
    latent = torch.randn(4000, dimension, generator=rng, dtype=torch.double)
    sheet = torch.linalg.qr(torch.randn(6, dimension, generator=rng, dtype=torch.double)).Q
    std = torch.arange(1, dimension + 1).double()
    x = latent * std @ sheet.T
    expected = dimension / 2 * math.log(2 * math.pi * math.e) + float(std.log().sum())
    term = NearestNeighbourEntropy(1, least=1e-9, of_latent=True)
    itself = Generator(nn.Identity(), NormalPrior(dimension))
    assert float(term(itself, Draw(latent, x, x), None)) == pytest.approx(expected, abs=0.1)
    latent, x = latent[:200], x[:200]
    value, wider, moved = (float(term(itself, Draw(latent, w, w), None)) for w in (x, 3 * x, x + 5))
    assert wider == pytest.approx(value + dimension * math.log(3), abs=1e-6)
    assert moved == pytest.approx(value, abs=1e-6)


# ---- the generator and what is made of it


def small_generator(shape=(5,), target=None, **settings):
    torch.manual_seed(0)
    target = target or Logits(MLPFeatures([5], [7, 6], "relu", "relu"), 3)
    sizes = {"extractor": [16], "code": 4, "hidden": [8]}
    return WeightGenerator(shape, target, UniformPrior(3), **sizes | settings)


def test_samples_are_weights_in_the_gauge_and_of_all_their_dimensions_of_z():
    generator = small_generator(batch_norm=False).double()
    latent = generator.prior.sample(4).double()
    weights = generator.draw(latent).samples
    assert weights.shape == (4, generator.architecture.n_weights)
    torch.testing.assert_close(Gauge(generator.architecture)(weights), weights)
    jacobian = torch.autograd.functional.jacobian(lambda z: generator(z[None])[0], latent[0])
    assert torch.linalg.matrix_rank(jacobian) == 3


def test_an_ensemble_is_the_mean_of_its_networks_and_always_the_same():
    generator, x = small_generator().eval(), torch.randn(8, 5)
    ensemble, twin = Ensemble(generator, 5, seed=1), Ensemble(generator, 5, seed=1)
    by_network = generator.architecture.on_all(generator(ensemble.latent), x).softmax(2)
    torch.testing.assert_close(ensemble(x).exp(), by_network.mean(0))
    torch.testing.assert_close(twin(x), ensemble(x))
    assert not torch.allclose(Ensemble(generator, 5, seed=2)(x), ensemble(x))


def test_disagreement_is_of_networks_that_are_sure_of_different_classes():
    sure, unsure = torch.eye(3)[:, None].expand(3, 4, 3), torch.full((3, 4, 3), 1 / 3)
    for p, expected in ((sure, math.log(3)), (unsure, 0.0), (sure[:1].expand(3, 4, 3), 0.0)):
        torch.testing.assert_close(disagreement(p.log())["disagreement"], torch.full((4,), expected))
    torch.testing.assert_close(disagreement(unsure.log())["H(y | x)"], torch.full((4,), math.log(3)))


# ---- refusals


def chain(*between):
    return nn.Sequential(nn.Linear(5, 4), *between, nn.Linear(4, 3))


class Around(nn.Module):
    """With a way around its layer that no list of modules shows."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.last((x + self.first(x)).relu())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            chain(nn.Tanh()),
            r"layer 1 \(Tanh\) has not the symmetry of ReLU, so that the scale of its layer 0",
        ),
        (chain(nn.BatchNorm1d(4, track_running_stats=False), nn.ReLU()), r"layer 1 \(BatchNorm1d\) has not"),
        (chain(nn.BatchNorm1d(4)), r"layer 1 \(BatchNorm1d\) keeps running statistics"),
        (chain(nn.PReLU()), r"layer 1 \(PReLU\) has not the symmetry"),
        (nn.Sequential(nn.Linear(5, 3), nn.Softmax(1)), r"layer 1 \(Softmax\) has not"),
        (nn.Sequential(nn.Linear(5, 1)), r"must give logits \(B, K\), K at least 2, got \(4, 1\)"),
        (nn.Sequential(nn.ReLU()), "has no layer with weights"),
        (nn.Sequential(nn.LSTM(5, 4)), r"holds weight_ih_l0, .*only a weight and a bias can be generated"),
        (Around(), "is no chain of its layers in their order"),
    ],
)
def test_a_target_without_the_symmetry_is_refused_by_the_name_of_its_layer(target, message):
    with pytest.raises(ValueError, match=message) as error:
        small_generator(target=target)
    assert "\n" not in str(error.value)


def test_where_possible_leaves_free_what_has_no_symmetry_and_fixes_the_rest():
    target = nn.Sequential(
        *(nn.Linear(5, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.ReLU()),
        *(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)),
    )
    generator = small_generator(target=target, where_possible=True)
    assert generator.network[1].free == [False, False, True, True]  # neither side of the norm
    weights, x = generator.draw(generator.prior.sample(4)).samples, torch.randn(7, 5)
    assert generator.architecture.on_all(weights, x).isfinite().all()
    rows = generator.architecture.rows(weights)
    torch.testing.assert_close(rows[2].square().mean(2), torch.ones(4, 4))
    assert not torch.allclose(rows[0].square().mean(2), torch.ones(4, 6), atol=0.1)
