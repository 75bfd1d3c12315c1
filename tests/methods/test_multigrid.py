"""Laws of energies on grids: what a walk from coarse to fine keeps, what an autoencoder between changes."""

from functools import partial

import pytest
import torch
from PIL import Image
from small import equal, parameters, quiet_trainer, small_method, weights

from energy_gan.energies.experts import CentredQuadratic, LinearExperts, ProductOfExperts
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.energies.tempered import Tempered
from energy_gan.errors import InputError
from energy_gan.generators.coarse_to_fine import Held
from energy_gan.generators.dilated import DilatedAutoencoder
from energy_gan.generators.pixel_law import PixelLaw
from energy_gan.methods.grids import Grid
from energy_gan.methods.multigrid import Multigrid
from energy_gan.model import Model
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.memory import NoMemory
from energy_gan.negatives.starts import FromGenerator
from energy_gan.numerics.grids import enlarged, shrunk
from energy_gan.optim.learns import Learns
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.samplers.langevin import Langevin
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Batch

STEP = 0.005
LEARNS = Learns(partial(torch.optim.Adam, lr=1e-3))


def grid(side, n_steps=3, channels=1, kernel=None, **settings):
    shape = [channels, side, side]
    features = MLPFeatures(shape, [16], "leaky_relu", "leaky_relu")
    bowl = CentredQuadratic(shape, 0.05)
    energy = Tempered(ProductOfExperts(shape, features, 1, LinearExperts, bowl, linear=False), STEP)
    kernel, start = kernel or Langevin(), FromGenerator(in_order=True)
    chains = ChainNegatives(start, NoMemory(4), n_steps, STEP, kernel=kernel)
    return Grid(shape, energy, LEARNS, chains, **settings)


def method_of(sides=(2, 4, 8), seed=0, channels=1, n_steps=3, **settings):
    torch.manual_seed(seed)
    grids = {f"grid{side}": grid(side, n_steps, channels, data_noise=0.05) for side in sides}
    return Multigrid([channels, sides[-1], sides[-1]], grids, **settings)


def images(n=32, side=8, channels=1, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(n, channels, side, side, generator=rng) - 1


def stepped(method, steps=2):
    torch.manual_seed(7)
    for k in range(steps):
        method.training_step(Batch(images(16, seed=k)), k)
    return weights(method.grids)


# ---- grids


@pytest.mark.parametrize(("coarse", "fine"), [((1, 1), (7, 7)), ((7, 7), (28, 28)), ((3, 5), (9, 15))])
def test_images_that_were_enlarged_come_back_exactly(coarse, fine):
    x = torch.randn(3, 2, *coarse, generator=torch.Generator().manual_seed(0))
    assert torch.equal(shrunk(enlarged(x, fine), coarse), x)
    whole = torch.randn(3, 2, *fine, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(shrunk(whole, (1, 1)), whole.mean((2, 3), keepdim=True))
    torch.testing.assert_close(shrunk(shrunk(whole, coarse), (1, 1)), whole.mean((2, 3), keepdim=True))


def test_the_first_pixel_has_the_law_of_the_data_s():
    rng = torch.Generator().manual_seed(0)
    brightness = torch.rand(4000, 1, 1, 1, generator=rng).square()
    grey, law = brightness.expand(-1, 1, 2, 2), PixelLaw(1)
    law.fit(grey)
    shares = torch.linspace(0.05, 0.95, 10)
    made = law(torch.randn(4000, 1, generator=rng)).flatten().quantile(shares)
    torch.testing.assert_close(made, brightness.flatten().quantile(shares), rtol=0, atol=0.03)
    colours = torch.cat([brightness, 1 - brightness, torch.rand(4000, 1, 1, 1, generator=rng)], 1)
    law = PixelLaw(3)
    law.fit(colours.expand(-1, -1, 2, 2))
    correlations = law(torch.randn(4000, 3, generator=rng)).flatten(1).T.corrcoef()
    torch.testing.assert_close(correlations, colours.flatten(1).T.corrcoef(), rtol=0, atol=0.06)


# ---- the generator


def test_samples_have_the_law_of_the_chains_they_learned_from():
    """Mean and variance of every number, of draws by latents and of chains run grid after grid."""
    method = method_of(n_steps=6)
    method.fit_parts(images(64))
    generator = method.learned.generator
    rng = torch.Generator().manual_seed(0)
    z = generator.prior.sample(6000, rng)
    drawn = generator.draw(z, rng).samples
    x = generator.pixel(torch.randn(6000, 1, generator=rng))
    for part in method.grids.values():
        x = part.level.chains.run(part.energy, enlarged(x, part.shape[1:]), rng).state.x
    torch.testing.assert_close(drawn.mean(0), x.mean(0), rtol=0, atol=0.03)
    torch.testing.assert_close(drawn.var(0), x.var(0), rtol=0.15, atol=0)
    quiet = generator(z)
    assert torch.equal(quiet, generator(z)), "G(z) is a function of z"
    spread, with_noise = (drawn - quiet).var(), drawn.var()
    assert 0 < spread < 0.9 * with_noise, "the latents hold a part of what samples are"


def test_the_generator_is_differentiable_in_its_latents():
    method = method_of((2, 4), n_steps=2)
    generator = method.learned.generator
    z = generator.prior.sample(2, torch.Generator().manual_seed(0)).double().requires_grad_()
    generator.double()
    assert torch.autograd.gradcheck(generator, z, atol=1e-4)


def test_nothing_hidden_is_the_image_and_everything_hidden_is_a_sample():
    model = Model(method_of().eval())
    x = (images(5) + 1) / 2
    nothing = torch.zeros(8, 8, dtype=torch.bool)
    assert torch.equal(model.inpaint(x, ~nothing), x)
    assert torch.equal(model.inpaint(x, nothing, seed=3), model.sample(5, seed=3))
    half = nothing.clone()
    half[:, :4] = True
    made = model.inpaint(x, ~half, seed=3)
    assert torch.equal(made[..., ~half], x[..., ~half])
    assert (made[..., half] - x[..., half]).abs().min() > 0


def test_what_is_known_of_a_coarse_cell_stays_while_the_others_walk():
    method = method_of()
    generator, x = method.learned.generator, images(5)
    known = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    known[..., 0, 0] = False
    z = generator.prior.sample(5, torch.Generator().manual_seed(0))
    first, coarse, middle, fine = generator.pyramid(z, held=Held(x, known))
    assert not torch.equal(first, shrunk(x, (1, 1)))
    for made in (coarse, middle, fine):
        same = made == shrunk(x, made.shape[2:])
        assert same.flatten(2)[..., 1:].all()
        assert not same.flatten(2)[..., 0].any()


# ---- the autoencoder


def test_identity_between_the_grids_changes_nothing_bit_for_bit():
    plain = stepped(method_of())
    identity = {"autoencoder": torch.nn.Identity()}
    for positives in ("data", "autoencoder"):
        assert equal(plain, stepped(method_of(**identity, positives=positives)))


def test_an_autoencoder_learns_beside_the_energies_and_changes_them():
    torch.manual_seed(5)
    between = {"autoencoder": DilatedAutoencoder(1, 4), "autoencoder_learns": LEARNS}
    method = method_of(**between, autoencoder_noise=0.1)
    before = parameters(method.autoencoder)
    assert not equal(stepped(method_of()), stepped(method))
    moved = parameters(method.autoencoder)
    assert all(not torch.equal(before[name], moved[name]) for name in before)


@pytest.mark.parametrize("rates", [(1, 2, 3, 4, 6, 8), (1, 2)])
def test_the_receptive_field_is_that_of_the_formula(rates):
    """1 + 2 + 4 + 2 · (greatest rate) pixels a side, by the gradient of the middle pixel."""
    torch.manual_seed(0)
    network = DilatedAutoencoder(1, 4, rates, activation="silu")
    network.last.bias.data.fill_(9.0)  # away from where the ReLU is 0
    x = torch.zeros(1, 1, 41, 41, requires_grad=True)
    (slope,) = torch.autograd.grad(network(x)[0, 0, 20, 20], x)
    seen = (slope[0, 0] != 0).nonzero()
    field = 1 + 2 + 4 + 2 * max(rates)
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [field, field]


def test_its_images_keep_their_size_and_are_nowhere_darker_than_black():
    network = DilatedAutoencoder(3)
    for side in (1, 4, 7, 14):
        x = images(4, side, channels=3)
        made = network(x)
        assert made.shape == x.shape
        assert made.min() >= -1


# ---- bad input


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ((3, 8), r"grids.grid8.shape must be 1 channels and multiples of the sides of grids.grid3, \[3, 3\]"),
        ((8, 4), r"multiples of the sides of grids.grid8"),
        ((), "grids must name at least one"),
    ],
)
def test_grids_that_do_not_divide_are_refused(sides, message):
    with pytest.raises(ValueError, match=message):
        Multigrid([1, 8, 8], {f"grid{side}": grid(side) for side in sides})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"positives": "autoencoder"}, "need an autoencoder, got none"),
        ({"autoencoder": DilatedAutoencoder(1, 2)}, "give autoencoder_learns"),
        ({"autoencoder": torch.nn.AvgPool2d(1, 2)}, "what the autoencoder makes must have shape"),
        ({"grids": {"fine": grid(16)}}, r"the images of the finest grid must have shape \(1, 8, 8\)"),
        ({"grids": {"fine": grid(8, kernel=MALA())}}, "all accepted: Langevin's"),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Multigrid(**{"shape": [1, 8, 8], "grids": {"fine": grid(8)}} | settings)


def test_a_grid_larger_than_the_images_is_one_line():
    words = ["data=digits", "method=multigrid", "method.grids.fine.shape=[1,16,16]"]
    with pytest.raises(InputError, match=r"method: the images of the finest grid must have shape") as error:
        build(compose(words)["method"], "method")
    assert "\n" not in str(error.value)


def test_other_generators_fill_in_nothing():
    with pytest.raises(InputError, match="no generator from coarse to fine to fill in images with"):
        Model(small_method()).inpaint(torch.zeros(1, 2), torch.ones(2, 2, dtype=torch.bool))


# ---- the recipes


def celeba(folder, n=6):
    """Files of CelebA's true layout."""
    pictures = folder / "celeba/img_align_celeba"
    pictures.mkdir(parents=True)
    lines = []
    for k in range(n):
        Image.effect_noise((178, 218), 60 + k).convert("RGB").save(pictures / f"{k:06}.jpg")
        lines.append(f"{k:06}.jpg {2 * (k % 2)}")
    (folder / "celeba/list_eval_partition.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["multigrid", "multigrid_dilated"])
def test_a_step_on_files_of_celeba_s_layout(tmp_path, name):
    celeba(tmp_path)
    fine = "method.grids.fine"
    words = [f"data.root={tmp_path}", f"data.cache={tmp_path}/cache", "data.batch_size=2", "data.workers=0"]
    words += [f"{fine}.energy.energy.features.channels=[4,4]", "method.grids.middle.negatives.n_steps=2"]
    words += [f"{fine}.negatives.n_steps=2", "method.grids.coarse.negatives.n_steps=2"]
    config = compose(["data=celeba", f"method={name}", *words])
    shapes = [part["shape"] for part in config["method"]["grids"].values()]
    assert shapes == [[3, 4, 4], [3, 16, 16], [3, 64, 64]]
    data, method = build(config["data"], "data"), build(config["method"], "method")
    method.save_hyperparameters(config)
    before = parameters(method)
    quiet_trainer(2).fit(method, data)
    moved = [k for k, v in parameters(method).items() if not torch.equal(v, before[k])]
    assert len(moved) >= len(before) - 3, "all but the three energies' constants"
    assert Model(method).sample(2).shape == (2, 3, 64, 64)


def test_the_published_code_s_settings_are_settings():
    """No noise, images held between bounds, batch norm, no quadratic term: a function of the first pixel."""
    words = ["data=digits", "method=multigrid", "network=multigrid_images_energy"]
    for name in ("coarse", "middle", "fine"):
        at = f"method.grids.{name}"
        words += [f"{at}.negatives.kernel.temperature=0.0", f"{at}.negatives.kernel.bounds=[-1.0,1.0]"]
        words += [f"{at}.data_noise=0.0", f"{at}.negatives.n_steps=3", f"{at}.energy.energy.quadratic=null"]
        words += [f"{at}.energy.energy.features.batch_norm=true"] if name != "coarse" else []
    method = build(compose(words)["method"], "method")
    generator = method.learned.generator
    z = generator.prior.sample(1, torch.Generator().manual_seed(0)).repeat(4, 1)
    z[:, 1:] = torch.randn(4, z.shape[1] - 1, generator=torch.Generator().manual_seed(1))
    made = generator.draw(z).samples
    assert torch.equal(made[:1].expand(4, -1, -1, -1), made)
    assert made.abs().max() <= 1
