"""Laws of flow contrastive estimation: the value's gradients, its constant, who waits for whom."""

import math
from functools import partial

import pytest
import torch
from small import Blobs, quiet_trainer

from energy_gan.energies.experts import IsotropicQuadratic, ProductOfExperts
from energy_gan.energies.flow import FlowTilt
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.errors import InputError
from energy_gan.generators.flow import FlowGenerator
from energy_gan.generators.mlp import MLPGenerator
from energy_gan.generators.priors import NormalPrior
from energy_gan.methods.flow_contrast import FlowContrast, Ratios
from energy_gan.model import Model
from energy_gan.optim.learns import Learns
from energy_gan.optim.schedules import restarted
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.shapes import Batch

SLOW = Learns(partial(torch.optim.SGD, lr=1e-3))


def made(energy=None, generator=None, constant_learns=SLOW, **settings):
    torch.manual_seed(0)
    energy = energy or ProductOfExperts([2], MLPFeatures([2], hidden=[8]), 2, quadratic=IsotropicQuadratic())
    generator = generator or FlowGenerator([2], transforms=1, bins=4, hidden=[8])
    return FlowContrast([2], energy, SLOW, constant_learns, generator, SLOW, **settings)


def test_the_value_s_gradient_in_the_flow_is_that_of_finite_differences():
    """In one direction of all weights, of the same latents; without the samples' path it is another."""
    method = made().double()
    method.constant.value.data.fill_(1.5)
    x, z = torch.randn(64, 2).double(), torch.randn(64, 2).double()
    method.latents = lambda x: z
    weights = list(method.generator.parameters())
    directions = [torch.randn_like(weight) for weight in weights]

    def value(shift):
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.add_(shift * direction)
            found = sum(method.generator_terms(x).values())
            for weight, direction in zip(weights, directions, strict=True):
                weight.sub_(shift * direction)
        return found

    def slope():
        gradients = torch.autograd.grad(sum(method.generator_terms(x).values()), weights)
        return sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))

    expected = (value(1e-5) - value(-1e-5)) / 2e-5
    torch.testing.assert_close(slope(), expected, atol=1e-7, rtol=1e-5)
    pushed = method.generator.pushed(z)
    method.generator.pushed = lambda z: pushed._replace(
        samples=pushed.samples.detach(), log_prob=method.generator.log_prob(pushed.samples.detach())
    )
    assert abs(slope() - expected) > 1e-3 * abs(expected)


def test_the_value_at_the_best_energy_is_the_jensen_shannon_divergence():
    """What the energy tells, between N(0, 1) and N(0, 4) as flows of one transform could have them."""
    data, noise = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(0.0, 2.0)
    x = torch.linspace(-12, 12, 20_001)
    p, q = data.log_prob(x).exp(), noise.log_prob(x).exp()
    step, middle = x[1] - x[0], (p + q) / 2
    exact = 0.5 * step * ((p * (p / middle).log()).nansum() + (q * (q / middle).log()).nansum())
    method = made()
    torch.manual_seed(0)
    points, samples = data.sample([200_000]), noise.sample([200_000])
    ratios = Ratios(*(data.log_prob(at) - noise.log_prob(at) + 3 for at in (points, samples)))
    method.constant.value.data.fill_(3.0)
    told = math.log(2) - sum(method.energy_terms(ratios).values())
    assert told.item() == pytest.approx(exact.item(), abs=2e-3)
    assert method.told.item() == pytest.approx(0.05 * told.item())


def test_the_constant_begins_at_importance_sampling_and_learns_log_z():
    torch.manual_seed(0)
    energy = IsotropicQuadratic(2.0, learned=True)  # of N(0, I): Z = 2π
    method = made(energy, constant_learns=Learns(partial(torch.optim.SGD, lr=1.0)))
    x = torch.randn(4_000, 2)
    ratios = method.ratios(x)
    begun = method.constant.value.item()
    weights = ratios.of_samples.detach()
    assert begun == pytest.approx((weights.logsumexp(0) - math.log(4_000)).item(), abs=1e-5)
    method.constant.value.data.add_(1.0)
    method.ratios(x)
    assert method.constant.value.item() == pytest.approx(begun + 1, abs=1e-5), "it begins once"
    for _ in range(60):
        method.descend(method.players[2], method.constant_terms(ratios))
    assert method.constant.value.item() == pytest.approx(math.log(2 * math.pi), abs=0.05)


def test_the_flow_learns_by_likelihood_first_and_then_waits_until_the_energy_tells(monkeypatch):
    method, seen = made(likelihood_share=0.25), []
    monkeypatch.setattr(method, "likelihood_terms", lambda x: seen.append("likelihood") or given(x))
    given = type(method).likelihood_terms.__get__(method)
    monkeypatch.setattr(method.players[0], "terms", lambda x: seen.append("value") or contrast(x))
    contrast = type(method).generator_terms.__get__(method)
    tells = iter([0.0, 0.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0])
    energy_terms = method.players[1].terms

    def told(ratios):
        terms = energy_terms(ratios)
        method.told.fill_(next(tells))
        return terms

    monkeypatch.setattr(method.players[1], "terms", told)
    quiet_trainer(8).fit(method, Blobs([2], 16, 0))
    assert seen == ["likelihood"] * 2 + ["value"] * 4


def test_a_tilted_flow_takes_over_the_generator_when_it_begins():
    """And then keeps it: T = 0 where the flow is still the same, log Z is 0."""
    flows = [FlowGenerator([2], transforms=1, bins=4, hidden=[8]) for _ in range(2)]
    tilt = ProductOfExperts([2], MLPFeatures([2], hidden=[8]), 2)
    method = made(FlowTilt(flows[0], tilt), flows[1])
    assert method.energy.integrable
    method.training_step(Batch(torch.randn(32, 2)), 0)
    x = torch.randn(5, 2)
    before = method.energy(x)
    method.training_step(Batch(torch.randn(32, 2)), 1)
    assert not torch.equal(flows[0].log_prob(x), flows[1].log_prob(x)), "the generator moves on"
    assert not flows[0].log_prob(x).requires_grad
    torch.testing.assert_close(method.energy(x), before, atol=0.1, rtol=0.1)


def test_bits_per_dimension_are_those_of_the_counted_shades_before_a_flow_learns():
    """Units, noise and all: −log₂ of the shares of a pixel's shades, and samples are images of 17 shades."""
    method = build(compose(["data=digits", "method=fce"])["method"], "method")
    method.save_hyperparameters({"kind": "small_images"})
    method.shift.fill_(0.5)
    method.scale.fill_(0.5)
    k = torch.randint(0, 17, (400, 1, 8, 8)) // torch.tensor([1, 2]).repeat(4)
    x = k / 16
    method.fit_parts(2 * x - 1)
    shares = method.generator.network.marginals.shares
    of_pixels = shares.expand(400, -1, -1, -1, -1).gather(-1, k[..., None]).log2().squeeze(-1)
    model = Model(method)
    torch.testing.assert_close(model.bits_per_dimension(x), -of_pixels.mean((1, 2, 3)), atol=2e-3, rtol=1e-3)
    samples = model.sample(20)
    torch.testing.assert_close(samples * 16, (samples * 16).round(), atol=1e-4, rtol=0)
    assert 0 <= samples.min() < samples.max() <= 1


def test_a_rate_restarts():
    assert restarted(0.0, 0.4, 0.2) == 1.0
    assert restarted(0.2, 0.4, 0.2) == pytest.approx(0.5)
    assert restarted(0.4, 0.4, 0.2) == pytest.approx(0.2)
    assert restarted(0.7, 0.4, 0.2) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="at must be between 0 and 1"):
        restarted(0.5, 1.0)


def test_what_does_not_fit_is_named_in_one_line():
    for settings, said in (
        (
            {"generator": MLPGenerator([2], NormalPrior(2), hidden=[8])},
            "needs a generator whose density is known",
        ),
        ({"shades": 256}, "shades must be at least 2, of the pixels of images"),
        ({"likelihood_share": 1.5}, "likelihood_share must be from 0 to 1"),
        ({"cross_entropy": 1.0}, "needs an energy of classes"),
    ):
        with pytest.raises(ValueError, match=said):
            made(**settings)
    with pytest.raises(InputError, match=r"bits per dimension are those of images .* this run has points"):
        Model(made()).bits_per_dimension(torch.zeros(1, 2))


def test_labels_of_a_few_teach_the_classes_of_a_tilt():
    """Its logits' gradient is that of the labelled points alone; and the tilted flow offers classes."""
    given = ["data=digits", "method=fce", "network=image_flow_classes", "method.cross_entropy=1.0"]
    method = build(compose([*given, "method.generator.width=4"])["method"], "method")
    x, labels = 2 * torch.rand(6, 1, 8, 8) - 1, torch.tensor([3, -1, -1, 7, -1, -1])
    (loss,) = method.class_terms(x, Batch(x, labels)).values()
    expected = torch.nn.functional.cross_entropy(method.learned.classes(x[[0, 3]]), labels[[0, 3]])
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(-method.learned.classes(x).logsumexp(1), method.energy.tilt(x))
    assert method.class_terms(x, Batch(x)) == {}
    method.shades = None
    (beside,) = method.class_terms(x, Batch(x, labels, labelled=Batch(x[1:3], labels[:2]))).values()
    expected = torch.nn.functional.cross_entropy(method.learned.classes(x[[1]]), labels[[0]])
    torch.testing.assert_close(beside, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flow", "fce"])
def test_colour_at_32_pixels_takes_steps_by_its_recipe(name):
    torch.manual_seed(0)
    config = compose(["data=cifar10", f"method={name}"])
    method = build(config["method"], "method").train()
    x = torch.randint(0, 256, (4, 3, 32, 32)) * 2 / 255 - 1
    method.fit_parts(x)
    before = [weight.detach().clone() for weight in method.learned.generator.parameters()]
    for step in range(2):
        method.training_step(Batch(x), step)
    moved = [
        not torch.equal(a, b) for a, b in zip(before, method.learned.generator.parameters(), strict=True)
    ]
    assert any(moved)
    assert method.learned.generator.log_prob(x).isfinite().all()
