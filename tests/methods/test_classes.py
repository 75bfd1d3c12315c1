"""Laws of an energy of classes: its gradient, its joint law with the labels, what labels teach, refusals."""

from functools import partial

import pytest
import torch
from small import Blobs, quiet_trainer

from energy_gan.energies.classes import ClassEnergies, Logits
from energy_gan.energies.experts import ProductOfExperts
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.energies.tempered import Tempered
from energy_gan.errors import InputError
from energy_gan.methods.maximum_likelihood import MaximumLikelihood
from energy_gan.model import Model
from energy_gan.negatives.density import NoNegatives
from energy_gan.objectives import cross_entropy, maximum_likelihood, no_phases
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Batch

LEARNS = Learns(partial(torch.optim.SGD, lr=0.1))


class Labelled(Blobs):
    """Blobs whose points are of one of five classes."""

    has = frozenset({"labels"})

    def setup(self, stage=None):
        super().setup(stage)
        self.labels = torch.arange(len(self.points)) % 5


def energy_of(n_classes=3):
    torch.manual_seed(0)
    return ClassEnergies(Logits(MLPFeatures([2], [8], last_activation="silu"), n_classes))


def method_of(energy=None, objective=maximum_likelihood, **settings):
    return MaximumLikelihood([2], energy or energy_of(), LEARNS, NoNegatives([2]), objective, **settings)


def test_the_gradient_is_that_of_the_logits_weighted_by_softmax():
    energy = energy_of().double()
    x = torch.randn(5, 2, dtype=torch.double, requires_grad=True)
    logits = energy.classes(x)
    by_class = torch.stack([torch.autograd.grad(f.sum(), x, retain_graph=True)[0] for f in logits.T], 1)
    expected = -(logits.softmax(1)[:, :, None] * by_class).sum(1)
    torch.testing.assert_close(torch.autograd.grad(energy(x).sum(), x)[0], expected)


@torch.no_grad()
def test_the_energy_and_softmax_make_the_joint_law_and_what_all_logits_share_is_the_energy_s():
    energy, x = energy_of(), torch.randn(5, 2)
    joint = energy.log_prob_unnormalized(x)[:, None] + energy.classes(x).log_softmax(1)
    torch.testing.assert_close(joint, energy.classes(x))
    before, classes = energy(x), energy.classes(x).softmax(1)
    energy.classes[1].bias += 2
    torch.testing.assert_close(energy(x), before - 2)
    torch.testing.assert_close(energy.classes(x).softmax(1), classes)


def test_points_without_a_label_teach_no_class():
    logits = torch.randn(6, 3, requires_grad=True)
    labels = torch.tensor([0, -1, 2, -1, 1, -1])
    loss = cross_entropy(logits, labels)
    torch.testing.assert_close(loss, -logits.log_softmax(1)[[0, 2, 4], [0, 2, 1]].mean())
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[labels < 0] == 0).all()
    nobody = cross_entropy(logits, torch.full((6,), -1))
    assert nobody == 0
    assert (torch.autograd.grad(nobody, logits)[0] == 0).all()


def test_the_cross_entropy_stands_beside_the_phases_with_its_weight():
    x, labels = torch.randn(6, 2), torch.tensor([0, 1, 2, 0, -1, -1])
    method = method_of(cross_entropy=0.5)
    terms = method.energy_terms(Batch(x, labels))
    assert terms.keys() == {"positive_phase", "negative_phase", "cross_entropy"}
    torch.testing.assert_close(terms["cross_entropy"], 0.5 * cross_entropy(method.energy.classes(x), labels))
    assert "cross_entropy" not in method_of().energy_terms(Batch(x, labels))
    assert "cross_entropy" not in method.energy_terms(Batch(x))


def test_without_phases_it_is_a_plain_classifier():
    method, twin = method_of(objective=no_phases, cross_entropy=1.0), energy_of().classes
    x, labels = torch.randn(6, 2), torch.tensor([0, 1, 2, 0, 1, 2])
    method.training_step(Batch(x, labels), 0)
    torch.nn.functional.cross_entropy(twin(x), labels).backward()
    for weight, by_hand in zip(method.energy.classes.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(weight.detach(), (by_hand - 0.1 * by_hand.grad).detach())


def test_classes_are_offered_as_they_are_at_any_temperature():
    energy, x = energy_of(), torch.randn(5, 2)
    model = Model(method_of(Tempered(energy, 0.1)).eval())
    assert model.offers == {"energy", "classes"}
    torch.testing.assert_close(model.classify(x), energy.classes(x).softmax(1).detach())
    with pytest.raises(InputError, match=r"points of shape \(3,\) were given, the model knows shape \(2,\)"):
        model.classify(torch.randn(5, 3))
    plain = Model(method_of(ProductOfExperts([2], MLPFeatures([2], [8]), 2)).eval())
    assert plain.offers == {"energy"}
    with pytest.raises(InputError, match="has learned no classes: train METHOD=jem"):
        plain.classify(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Logits(MLPFeatures([2], [8]), 1), "n_classes must be at least 2, got 1"),
        (lambda: method_of(cross_entropy=-1.0), "cross_entropy must be a number of at least 0, got -1.0"),
        (
            lambda: method_of(ProductOfExperts([2], MLPFeatures([2], [8]), 2), cross_entropy=1.0),
            "cross_entropy=1.0 needs an energy of classes, ClassEnergies, and this ProductOfExperts has none",
        ),
    ],
)
def test_impossible_values_are_refused_at_construction(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Blobs, "cross_entropy=1.0 needs points with labels and these have none"),
        (Labelled, "the data have 5 classes and the logits are of 3: give n_classes=5"),
    ],
)
def test_data_without_the_labels_are_refused_before_the_first_step(data, message):
    with pytest.raises(InputError, match=message):
        quiet_trainer(1).fit(method_of(cross_entropy=1.0), data([2], 16, 0))
