"""Laws of a generator of networks: what a step descends, that two classes are learned, refusals."""

from functools import partial

import pytest
import torch
from small import Blobs, quiet_trainer

from energy_gan.data.sampled import SampledPoints
from energy_gan.data.two_moons import TwoMoons
from energy_gan.energies.classes import Logits
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.errors import InputError
from energy_gan.generator_terms.nearest_neighbour_entropy import NearestNeighbourEntropy
from energy_gan.generator_terms.variational_entropy import VariationalEntropy
from energy_gan.generators.priors import UniformPrior
from energy_gan.generators.weights import WeightGenerator
from energy_gan.methods.hypernetwork import Hypernetwork
from energy_gan.model import Model
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Batch
from energy_gan.studies.direct_networks import trained

ADAM = Learns(partial(torch.optim.Adam, lr=0.003))


def method_of(n_classes=2, weight=1.0, **settings):
    torch.manual_seed(0)
    target = Logits(MLPFeatures([2], [8], "relu", "relu"), n_classes)
    generator = WeightGenerator([2], target, UniformPrior(3), extractor=[32], code=6, hidden=[24])
    entropy = NearestNeighbourEntropy(1, of_latent=True, weight=weight)
    settings = {"entropy": entropy, "n_networks": 4, "ensemble": 30} | settings
    return Hypernetwork([2], generator, ADAM, **settings)


def moons(batch_size=64):
    return SampledPoints(TwoMoons(), [2], 600, 400, batch_size, labelled=True)


def test_each_network_of_a_step_has_points_of_its_own_and_none_without_a_label():
    method = method_of(loss_weight=10.0).eval()
    x, labels = torch.randn(18, 2), torch.randint(-1, 2, (18,))
    torch.manual_seed(1)
    terms = method.generator_terms(Batch(x, labels))
    torch.manual_seed(1)
    draw = method.generator.draw(method.generator.prior.sample(4))
    logits = [method.generator.architecture.on_all(w[None], x)[0] for w in draw.samples]
    parts = [slice(4 * i, 4 * i + 4) for i in range(4)]  # two points are left over
    losses = [
        torch.nn.functional.cross_entropy(of[part][labels[part] >= 0], labels[part][labels[part] >= 0])
        for of, part in zip(logits, parts, strict=True)
    ]
    torch.testing.assert_close(terms["energy_generated"], 10 * sum(losses) / 4)
    torch.testing.assert_close(terms["entropy_loss"], -method.entropy(method.generator, draw, None))


def test_two_moons_are_learned_by_all_networks_and_the_model_says_what_it_offers():
    method, data = method_of(weight=0.01), moons()
    quiet_trainer(100).fit(method, data)
    method.calibrate()
    model = Model(method.eval())
    right = model.classify(data.held_out).argmax(1) == data.held_out_labels
    assert right.float().mean() > 0.9
    assert list(model.rankings(data.held_out[:5])) == ["disagreement", "H(y | x)"]
    with pytest.raises(InputError, match="offers classes and networks and ranking, no generator of points"):
        model.sample(3)


def test_the_mode_of_a_point_is_its_label_in_every_batch():
    data = moons()
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(batch.labels, data.density.modes(data.points)[batch.index])
    assert torch.equal(data.held_out_labels, data.density.modes(data.held_out))
    assert {"labels", "density"} == data.has
    assert (
        data.labels == (data.points[:, 1] < 0)
    ).float().mean() > 0.6  # each moon on its side, but its ends
    assert "labels" not in SampledPoints(TwoMoons(), [2]).has


def test_trained_networks_learn_what_they_are_told_each_by_itself():
    """From labels the labels, from probabilities the probabilities."""
    data, architecture = moons(), method_of().generator.architecture
    data.setup()
    x = data.standardise(data.points)
    for targets in (torch.eye(2)[data.labels], torch.tensor([[0.3, 0.7]]).expand(600, 2)):
        weights = trained(architecture, x, targets, n=3, steps=200, batch_size=64)
        p = architecture.on_all(weights, x).softmax(2)
        assert (p - targets).abs().mean() < 0.2
        assert (weights[0] - weights[1]).norm() > 1
    told = architecture.on_all(weights[:1], x)[0].softmax(1)
    begun = trained(architecture, x, told, n=1, steps=20, batch_size=64, rate=1e-3, begin=weights[:1])
    assert (begun - weights[:1]).abs().max() < 0.02, "it knows what it is told"


@pytest.mark.parametrize(
    ("data", "n_classes", "message"),
    [
        (Blobs([2], 16, 0), 2, "METHOD=hypernetwork needs points with labels and these have none"),
        (
            moons(3),
            2,
            "data.batch_size must be at least method.n_networks=4, a point for each network, got 3",
        ),
        (SampledPoints(TwoMoons(), [2], 50, 50, 16), 2, "needs points with labels"),
    ],
)
def test_data_that_do_not_do_are_refused_before_the_first_step(data, n_classes, message):
    with pytest.raises(InputError, match=message):
        quiet_trainer(1).fit(method_of(n_classes), data)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_networks": 1}, "n_networks must be at least 2, got 1"),
        ({"loss_weight": 0.0}, "loss_weight must be a positive number, got 0.0"),
        ({"ensemble": 1}, "an ensemble has at least 2 networks, got 1"),
        ({"entropy": VariationalEntropy()}, "this term needs a generator with output noise"),
    ],
)
def test_impossible_values_are_refused_at_construction(settings, message):
    with pytest.raises((ValueError, InputError), match=message):
        method_of(**settings)
