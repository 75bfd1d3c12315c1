"""Laws of the generator, its priors and the entropy of Eq. 15."""

import pytest
import torch

from energy_gan.errors import InputError
from energy_gan.generator_terms.batch_norm_entropy import BatchNormEntropy
from energy_gan.generators.base import Generator
from energy_gan.generators.mixed_prior import MixedPrior
from energy_gan.generators.mlp import MLPGenerator
from energy_gan.generators.priors import NormalPrior, UniformPrior

NONE = None  # Eq. 15 looks at no negatives


@pytest.fixture
def generator():
    generator = MLPGenerator([2], UniformPrior(4), hidden=[16, 8])
    for norm in (m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm1d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 2.0)
    return generator


def test_priors_have_the_moments_they_should():
    z = UniformPrior(3).sample(200_000, torch.Generator().manual_seed(0))
    assert z.shape == (200_000, 3)
    assert z.abs().max() <= 1
    assert z.mean().abs() < 0.005
    assert z.var().item() == pytest.approx(1 / 3, rel=0.01)
    z = NormalPrior(3).sample(200_000, torch.Generator().manual_seed(0))
    assert z.var().item() == pytest.approx(1, rel=0.01)


def test_the_way_between_two_latents():
    """Straight where all lengths are alike; under a normal prior along the arc, of the length of its ends."""
    first, last = torch.randn(2, 6, 50, generator=torch.Generator().manual_seed(0)).unbind()
    t = torch.tensor([0.0, 0.25, 0.5, 1.0])
    for prior in (UniformPrior(50), NormalPrior(50), MixedPrior(10, 40)):
        path = prior.interpolate(first, last, t)
        assert path.shape == (6, 4, 50)
        torch.testing.assert_close(path[:, [0, -1]], torch.stack([first, last], 1), atol=1e-5, rtol=0)
        if not isinstance(prior, NormalPrior):
            torch.testing.assert_close(path[:, 1], 0.75 * first + 0.25 * last)
    equal = last * (first.norm(dim=1) / last.norm(dim=1))[:, None]
    arc = NormalPrior(50).interpolate(first, equal, t)
    torch.testing.assert_close(arc.norm(dim=2), first.norm(dim=1)[:, None].expand(6, 4))
    steps = (arc[:, :1] * arc).sum(2) / first.square().sum(1)[:, None]
    angles = steps.clamp(-1, 1).acos()
    torch.testing.assert_close(angles[:, 1] * 4, angles[:, -1], atol=1e-3, rtol=0)


def test_priors_say_where_they_end():
    inside, outside = torch.full((1, 2), 0.999), torch.full((1, 2), 1.001)
    low, high = UniformPrior(2).walls
    assert (low, high) == (-1, 1)
    assert UniformPrior(2).log_prob(inside).isfinite()
    assert UniformPrior(2).log_prob(outside).isneginf()
    assert NormalPrior(2).walls is None
    assert [prior.bits for prior in (UniformPrior(2), NormalPrior(2), MixedPrior(3, 2))] == [0, 0, 3]


def test_a_sample_does_not_depend_on_its_batch(generator):
    generator.calibrate(2_048)
    generator.eval()
    z = generator.prior.sample(64)
    alone = torch.cat([generator(z[i : i + 1]) for i in range(64)])
    torch.testing.assert_close(generator(z), alone, rtol=1e-5, atol=1e-6)


def test_calibration_measures_the_statistics_that_a_huge_batch_has(generator):
    generator.calibrate(65_536, batch_size=8_192)
    z = generator.prior.sample(65_536, torch.Generator().manual_seed(9))
    generator.eval()
    evaluated = generator(z)
    generator.train()
    torch.testing.assert_close(evaluated, generator(z), rtol=0.05, atol=0.05)


def test_calibration_leaves_weights_mode_and_momentum_alone(generator):
    before = {name: p.clone() for name, p in generator.named_parameters()}
    generator.calibrate(2_048)
    assert generator.training
    assert all(torch.equal(before[name], p) for name, p in generator.named_parameters())
    assert all(m.momentum == 0.1 for m in generator.modules() if isinstance(m, torch.nn.BatchNorm1d))


def test_entropy_is_that_of_the_normals(generator):
    """Eq. 15 against the entropy that torch knows of N(0, s²), summed and averaged."""
    scales = torch.cat([m.weight for m in generator.modules() if isinstance(m, torch.nn.BatchNorm1d)])
    known = torch.distributions.Normal(0.0, scales.detach()).entropy()
    draw = generator.draw(generator.prior.sample(8))
    torch.testing.assert_close(BatchNormEntropy(reduction="sum")(generator, draw, NONE), known.sum())
    torch.testing.assert_close(BatchNormEntropy(reduction="mean")(generator, draw, NONE), known.mean())


def test_entropy_gradient_is_one_over_the_scale(generator):
    draw = generator.draw(generator.prior.sample(8))
    BatchNormEntropy()(generator, draw, NONE).backward()
    for norm in (m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm1d)):
        torch.testing.assert_close(norm.weight.grad, 1 / norm.weight.detach())
    others = [p for n, p in generator.named_parameters() if "network.0.weight" in n]
    assert all(p.grad is None for p in others)


def test_entropy_needs_batch_norm():
    generator = MLPGenerator([2], UniformPrior(4), batch_norm=False)
    with pytest.raises(InputError, match=r"batch_norm=true or method\.terms\.entropy=null"):
        BatchNormEntropy()(generator, generator.draw(generator.prior.sample(3)), NONE)


def test_noise_before_norm_is_there_in_training_only():
    generator = MLPGenerator([2], UniformPrior(4), noise_before_norm=0.01)
    z = generator.prior.sample(32)
    assert not torch.equal(generator(z), generator(z))
    generator.eval()
    assert torch.equal(generator(z), generator(z))


def test_any_module_can_be_a_generator():
    generator = Generator(torch.nn.Linear(3, 5), NormalPrior(3))
    generator.calibrate()  # nothing to calibrate
    assert generator.draw(generator.prior.sample(4)).samples.shape == (4, 5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: UniformPrior(0), "latent_dim must be at least 1, got 0"),
        (lambda: MLPGenerator([2], UniformPrior(2), hidden=[-3]), "hidden must be whole numbers"),
        (
            lambda: MLPGenerator([2], UniformPrior(2), noise_before_norm=-0.1),
            "must not be negative, got -0.1",
        ),
    ],
)
def test_impossible_values_are_refused_at_construction(build, message):
    with pytest.raises(ValueError, match=message):
        build()
