"""Laws of the image side: the paper's networks, the penalty, a plain GAN's losses, paths, pictures."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from energy_gan.energies.conv import ConvFeatures
from energy_gan.energies.experts import LinearExperts, ProductOfExperts
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.generators.base import Generator
from energy_gan.generators.dcgan import ConvGenerator
from energy_gan.generators.priors import NormalPrior, UniformPrior
from energy_gan.methods.energy_gan import EnergyGAN
from energy_gan.methods.players import Draws, Step
from energy_gan.metrics.images import HELD_OUT
from energy_gan.model import Model
from energy_gan.objectives import classifier, non_saturating, zero_centred_penalty
from energy_gan.optim.learns import Learns
from energy_gan.reports.drawing import curves, tile
from energy_gan.reports.images import of_samples
from energy_gan.reports.numbers import training_titles
from energy_gan.run.build import build, check
from energy_gan.run.compose import compose


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_the_64_pixel_pair_is_the_paper_s():
    """Maps 128-256-512-1024 by 5×5 filters of stride 2 and back, 1,024 experts, 100 latents."""
    config = compose(["data=celeba", "method=kim_bengio", "data.root=."])["method"]
    check({"method": config})
    with torch.device("meta"):  # 60 million weights need not be drawn
        features = ConvFeatures([3, 64, 64])
        generator = ConvGenerator([3, 64, 64], UniformPrior(100))
    filters = [25 * i * o for i, o in ((3, 128), (128, 256), (256, 512), (512, 1024))]
    assert count(features) == sum(filters) + 128 + 256 + 512 + 1024
    assert features.out_features == 4 * 4 * 1024
    norms = 2 * (1024 + 512 + 256 + 128)
    assert count(generator) == 100 * 4 * 4 * 1024 + sum(filters) + norms + 3
    assert config["energy"]["features"]["channels"] == [128, 256, 512, 1024]
    assert config["generator"]["channels"] == [1024, 512, 256, 128]
    assert config["energy"]["experts"] == 1024
    assert config["generator"]["prior"]["latent_dim"] == 100


@pytest.mark.parametrize("shape", [[3, 64, 64], [3, 32, 32], [1, 28, 28], [1, 8, 8]])
def test_convolutional_pairs_of_any_size(shape):
    stages = int(math.log2(shape[1])) - 2
    channels = [4 * 2**i for i in range(stages)]
    energy = ProductOfExperts(shape, ConvFeatures(shape, channels), experts=5)
    generator = ConvGenerator(shape, UniformPrior(6), channels[::-1])
    draw = generator.draw(generator.prior.sample(3))
    assert draw.samples.shape == (3, *shape)
    assert draw.samples.abs().max() <= 1
    assert energy(draw.samples).shape == (3,)
    assert energy.features(draw.samples).abs().max() <= 1, "bounded, so that the energy is integrable"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvFeatures([64, 64]), r"shape must be \[C, H, W\]"),
        (lambda: ConvFeatures([3, 64, 64], kernel=4), "kernel must be odd and at least 3, got 4"),
        (lambda: ConvFeatures([3, 64, 64], weight_std=0.0), "weight_std must be positive"),
        (
            lambda: ConvGenerator([3, 28, 28], UniformPrior(3), [8, 4, 2]),
            r"height and width must be divisible by 8, .*got \[3, 28, 28\]: give fewer channels",
        ),
    ],
)
def test_impossible_layers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- the penalty and a plain GAN's losses


def test_the_penalty_is_the_squared_gradient_of_each_point():
    """E = a ‖x‖² has ∇E = 2 a x, so the penalty is 4 a² E‖x‖², over all pixels of an image."""
    a = torch.tensor(0.7, requires_grad=True)
    x = torch.randn(6, 3, 4, 4).requires_grad_()
    penalty = zero_centred_penalty(x, a * x.flatten(1).square().sum(1))
    mean_square = x.detach().flatten(1).square().sum(1).mean()
    torch.testing.assert_close(penalty, (4 * a**2 * mean_square).detach())
    (slope,) = torch.autograd.grad(penalty, a)
    torch.testing.assert_close(slope, 8 * a.detach() * mean_square)


def pair(**settings):
    torch.manual_seed(0)
    energy = ProductOfExperts([2], MLPFeatures([2], [8, 8]), 4, LinearExperts, linear=False)
    generator = Generator(torch.nn.Linear(3, 2), UniformPrior(3))
    learns = Learns(partial(torch.optim.Adam, lr=1e-3))
    return EnergyGAN([2], energy, learns, generator, learns, **settings)


def step_of(method, x):
    """A step in which every move has the same latents."""
    return Step(x, method.generator, Draws(reuse="latents"), kept=method.generator.prior.sample(len(x)))


def test_a_gan_s_players_descend_the_textbook_losses():
    """D(x) = σ(−E(x)): −½ log D(x⁺) − ½ log(1 − D(x⁻)), and −log D(G(z))."""
    gan = pair(objective=classifier, generator_objective=non_saturating)
    x = torch.randn(16, 2)
    step = step_of(gan, x)
    generated = gan.generator(step.kept)
    d_positive, d_negative = torch.sigmoid(-gan.energy(x)), torch.sigmoid(-gan.energy(generated))
    loss = sum(gan.energy_terms(step).values())
    torch.testing.assert_close(loss, -0.5 * d_positive.log().mean() - 0.5 * (1 - d_negative).log().mean())
    torch.testing.assert_close(sum(gan.generator_terms(step).values()), -d_negative.log().mean())


def test_the_penalty_joins_the_energy_s_loss_with_its_weight():
    x = torch.randn(16, 2)
    with_it = pair(penalty=partial(zero_centred_penalty, weight=0.3))
    terms = with_it.energy_terms(step_of(with_it, x))
    z = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(with_it.energy(z).sum(), z)
    torch.testing.assert_close(terms["penalty"].detach(), 0.3 * gradient.square().sum(1).mean())
    assert not x.requires_grad, "the caller's points stay as they are"
    assert "penalty" not in pair().energy_terms(step_of(pair(), x))


@pytest.mark.parametrize("method", ["kim_bengio", "critic", "gan", "tilted"])
@pytest.mark.parametrize("data", ["digits", "mnist", "cifar10", "celeba"])
def test_every_image_recipe_composes_and_fits_its_parts(method, data):
    small = [] if method == "tilted" else ["method.energy.experts=4"]
    if data in ("cifar10", "celeba"):
        stages = 3 if data == "cifar10" else 4
        down = [2] * stages
        small += [f"method.energy.features.channels={down}", f"method.generator.channels={down}"]
        if method == "tilted":
            small += ["method.energy.quadratic.components=2", "method.energy.quadratic.rank=2"]
            small += [f"method.terms.critic.critic.features.channels={down}"]
    config = compose([f"data={data}", f"method={method}", "run_dir=run", *small])
    check(config)
    assert build(config["method"], "method").shape == tuple(config["data"]["shape"])


# ---- interpolation and pictures


def model_of(prior):
    method = pair()
    method.generator = Generator(torch.nn.Linear(prior.latent_dim, 2), prior)
    return Model(method.eval())


def test_paths_end_at_samples_and_are_straight():
    model = model_of(UniformPrior(3))
    paths = model.interpolate(4, 5, seed=1)
    assert paths.shape == (4, 5, 2)
    ends = model.sample(8, seed=1).unflatten(0, (4, 2))
    torch.testing.assert_close(paths[:, [0, -1]], ends)
    torch.testing.assert_close(paths[:, 2], ends.mean(1))  # G is affine here
    with pytest.raises(ValueError, match="at least 1 path of at least 2 steps"):
        model.interpolate(4, 1)


def test_under_a_normal_prior_paths_keep_a_typical_length():
    prior = NormalPrior(200)
    model = model_of(prior)
    model.method.generator.network = torch.nn.Identity()
    model.method.shift, model.method.scale = torch.zeros(200), torch.ones(200)
    lengths = model.interpolate(6, 9).norm(dim=2)
    assert ((lengths - 200**0.5).abs() < 3).all(), "a straight line would fall to 0.71 of it"


def test_tiles_lie_row_by_row():
    images = np.arange(5, dtype=np.float32)[:, None, None, None] / 5 + np.zeros((5, 3, 2, 2), np.float32)
    tiled = tile(images, columns=3)
    assert tiled.shape == (2 * 2 + 1, 3 * 2 + 2, 3)
    assert tiled[0, 0, 0] == 0
    assert tiled[3, 3, 1] == np.float32(4 / 5)
    assert (tiled[2] == 1).all()
    assert (tiled[3:, 6:] == 1).all()


def test_the_verdict_on_samples_names_the_baselines_that_they_do_not_reach():
    rows = {HELD_OUT: 0.9, "pixel Gaussian": 63.0, "mixture of PPCA": 40.0}
    rows = {name: {"frechet_lenet": value} for name, value in rows.items()}
    said = "(Fréchet distance {}, of held-out data 0.9, pixel Gaussian 63, mixture of PPCA 40)"
    for distance, verdict in (
        (217.0, "worse than the baselines, those of a pixel Gaussian and a mixture of PPCA"),
        (50.0, "worse than the baselines, those of a mixture of PPCA"),
        (math.nan, "worse than the baselines, those of a pixel Gaussian and a mixture of PPCA"),
        (29.6, "better than the baselines"),
    ):
        found = of_samples({"frechet_lenet": distance}, rows, "frechet_lenet")
        assert found == f"the generator's samples are {verdict} {said.format(f'{distance:.3g}')}"


def test_a_number_that_was_measured_once_stands_beside_its_dot_and_training_has_its_curves():
    rows = [{"step": step, "train/penalty": 1.0, "train/energy_positive": 2.0} for step in (0, 10)]
    rows.append({"step": 20, "sliced_w2": 0.25})
    titles = {"sliced_w2": "sliced W2"} | training_titles(rows)
    once, penalty, energy = (axes for axes in curves({"run": rows}, titles).axes if axes.get_visible())
    assert [text.get_text().strip() for text in once.texts] == ["0.25"]
    assert not penalty.texts
    assert (penalty.get_title(), energy.get_title()) == ("training: penalty", "training: energy of data")
    assert once.get_xlim()[0] == 0


@pytest.mark.parametrize("n", [1, 3, 4, 7, 8])
def test_curves_have_a_panel_for_each_number_and_no_other(n):
    names = [f"number_{i}" for i in range(n)]
    history = [{"step": step, **dict.fromkeys(names, float(step))} for step in (1, 2)]
    titles = {name: f"the {name}" for name in [*names, "absent"]}
    panels = curves({"run": history}, titles).axes
    assert [axes.get_title() for axes in panels if axes.get_visible()] == [titles[name] for name in names]
