"""Laws of stacked MNIST: what its images are made of, and how the modes of samples are counted."""

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUICK
from PIL import Image
from torch import nn

from energy_gan.data.images import viewable
from energy_gan.data.stacked_mnist import StackedMNIST, read_digits
from energy_gan.errors import InputError
from energy_gan.metrics.classifier import Classifier
from energy_gan.metrics.digit_modes import NAMES, DigitModes, StackedFeatures, mode_numbers
from energy_gan.run.build import build, check
from energy_gan.run.compose import compose
from energy_gan.shapes import Batch


@pytest.fixture
def files(tmp_path):
    """MNIST's four files, of 200 and 100 pictures; how bright one is in its middle tells its class."""
    folder = tmp_path / "data/MNIST/raw"
    folder.mkdir(parents=True)
    for part, n in (("train", 200), ("t10k", 100)):
        rng = np.random.default_rng(n)
        labels = (np.arange(n) % 10).astype(np.uint8)
        pictures = rng.integers(0, 30, (n, 28, 28), np.uint8)
        pictures[:, 6:22, 6:22] = labels[:, None, None] * 25
        head = struct.pack(">IIII", 0x803, n, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + pictures.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + labels.tobytes())
    return folder


def stacked(digits=3, side=28, n_points=500, **given):
    data = StackedMNIST(shape=[digits, side, side], n_points=n_points, download=False, **given)
    data.setup()
    return data


# ---- the data


@pytest.mark.parametrize(("digits", "side"), [(3, 28), (4, 32)])
def test_each_channel_is_an_image_of_mnist_and_the_mode_its_digits(files, digits, side):
    data = stacked(digits, side)
    border = (side - 28) // 2
    parts = ("points", "modes", "labels"), ("held_out", "held_out_modes", "held_out_labels")
    for images, modes, labels in parts:
        originals = getattr(data.single, images)[:, 0]
        known = {picture.numpy().tobytes(): k for k, picture in enumerate(originals)}
        assert len(known) == len(originals)
        stacks, modes = getattr(data, images), getattr(data, modes)
        assert stacks.shape[1:] == data.shape == (digits, side, side)
        for image, mode in zip(stacks[:60], modes[:60], strict=True):
            assert image.sum() == image[:, border : side - border, border : side - border].sum()
            inner = image[:, border : side - border, border : side - border].contiguous()
            rows = [known[channel.numpy().tobytes()] for channel in inner]
            read = "".join(str(int(getattr(data.single, labels)[row])) for row in rows)
            assert int(read) == int(mode)
    assert len(data.modes) == 500
    assert data.modes.max() < 10**digits


def test_channels_are_independent_and_the_set_is_the_authors(files):
    """np.random.seed(111); np.random.randint(0, N, (128·10^digits, digits))."""
    data = stacked(n_points=None)
    assert len(data.stacks) == 128_000
    np.random.seed(111)  # noqa: NPY002
    assert (data.stacks.numpy() == np.random.randint(0, 200, (128_000, 3))).all()  # noqa: NPY002
    shares = data.modes.bincount(minlength=1000) / 128_000
    assert (shares - 1e-3).abs().max() < 6 * math.sqrt(1e-3 / 128_000)
    assert len(data.points) == 60_000


def test_digits_are_read_as_a_number():
    assert read_digits(torch.tensor([[4, 0, 7], [0, 0, 1]])).tolist() == [407, 1]
    assert read_digits(torch.tensor([[9, 9, 9, 9]])).tolist() == [9999]


def test_batches_are_standardised_stacks_and_the_seed_orders_them(files):
    one, other = stacked(batch_size=16, seed=1), stacked(batch_size=16, seed=2)
    assert torch.equal(one.points, other.points)
    rows, *_ = next(iter(one.train_dataloader()))
    u, *_ = one.on_after_batch_transfer(Batch(rows), 0)
    assert u.shape == (16, 3, 28, 28)
    torch.testing.assert_close(u, one.single.points[rows, 0].float() / 127.5 - 1)
    assert not torch.equal(rows, next(iter(other.train_dataloader()))[0])


def test_images_made_anew_are_of_their_split_and_seed(files):
    data = stacked()
    train = {picture.numpy().tobytes() for picture in data.single.points[:, 0]}
    for split, inside in (("train", True), ("held_out", False)):
        images = data.draw(20, 3, split)
        assert torch.equal(images, data.draw(20, 3, split))
        assert not torch.equal(images, data.draw(20, 4, split))
        assert {channel.numpy().tobytes() in train for channel in images.flatten(0, 1)} == {inside}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shape": [2, 28, 28]}, r"shape must be \[3, 28, 28\] or .*got \[2, 28, 28\]"),
        ({"shape": [4, 28, 32]}, r"got \[4, 28, 32\]"),
        ({"shape": [3, 64, 64]}, r"got \[3, 64, 64\]"),
        ({"n_points": 1}, "n_points must be at least 2, or null, got 1"),
        ({"n_counted": 0}, "n_counted must be at least 2, or null, got 0"),
    ],
)
def test_impossible_values_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        StackedMNIST(**given)


def test_without_the_files_of_mnist_there_is_one_line(tmp_path):
    with pytest.raises(InputError) as error:
        StackedMNIST(download=False).setup()
    for part in (
        "MNIST is not there",
        "train-images-idx3-ubyte",
        str(tmp_path / "data/MNIST/raw"),
        "data.root",
    ):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


# ---- the modes


class Oracle(Classifier):
    """A classifier of 28×28 pixels that names a digit by the brightness of its middle, 25 for each class."""

    def __init__(self, sharpness=50.0):
        super().__init__([1, 28, 28], 10)
        self.dimension, self.sharpness = 1, sharpness
        centres = torch.arange(10) * 25 / 255
        self.head = nn.Linear(1, 10)
        self.head.weight.data = sharpness * 2 * centres[:, None] * 255 / 25
        self.head.bias.data = -sharpness * centres.square() * 255 / 25

    def forward(self, images):
        assert images.shape[1:] == (1, 28, 28)
        return images[:, 0, 10:18, 10:18].mean((1, 2))[:, None]


def picture(modes, digits=3, side=28):
    """An image of each mode; what lies around the 28 pixels in the middle is bright, to be looked over."""
    places = 10 ** torch.arange(digits - 1, -1, -1)
    numbers = modes[:, None] // places % 10
    border = (side - 28) // 2
    inner = (numbers * 25 / 255)[..., None, None].expand(-1, -1, 28, 28)
    return nn.functional.pad(inner, (border,) * 4, value=1.0)


def uniform(n_modes):
    return torch.full((n_modes,), 1 / n_modes)


def test_the_numbers_by_hand():
    """Of 4 modes with 3, 1, 0 and 0 samples, where 1/2, 1/4, 1/8 and 1/8 were trained on."""
    numbers = mode_numbers(torch.tensor([3, 1, 0, 0]), torch.tensor([1 / 2, 1 / 4, 1 / 8, 1 / 8]))
    assert numbers["modes"] == 2
    assert numbers["modes_kl"] == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1))
    assert numbers["modes_kl_train"] == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(1))
    assert mode_numbers(torch.tensor([1, 1]), torch.tensor([1.0, 0.0]))["modes_kl_train"] == math.inf


@pytest.mark.parametrize(("digits", "side"), [(3, 28), (3, 32), (4, 28)])
def test_every_mode_is_read_as_what_it_is(digits, side):
    n_modes = 10**digits
    modes = torch.arange(0, n_modes, n_modes // 200)
    found, sure = DigitModes(Oracle(), uniform(n_modes), 10).named(picture(modes, digits, side))
    assert torch.equal(found, modes)
    assert sure.all()


def test_a_uniform_sampler_finds_all_modes_and_only_the_bias_of_few_samples():
    """(K − 1) / 2n, the first term of a χ² over 2n: with K = 1,000 its standard deviation is 4.5 %."""
    drawn = []

    def sample(n, seed):
        drawn.append(n)
        rng = torch.Generator().manual_seed(seed)
        return picture(torch.randint(1000, (n,), generator=rng))

    n = 20_000
    numbers = DigitModes(Oracle(), uniform(1000), n)(sample)
    assert sum(drawn) == n
    assert max(drawn) <= 2_000, "few in memory at a time"
    assert numbers["modes"] == numbers["modes_confident"] == 1000
    assert numbers["modes_kl"] == pytest.approx(999 / (2 * n), rel=0.2)
    assert numbers["modes_kl"] == pytest.approx(numbers["modes_kl_train"], rel=1e-5)


@pytest.mark.parametrize("digits", [3, 4])
def test_a_collapsed_sampler_has_one_mode_and_the_logarithm_of_all(digits):
    n_modes = 10**digits
    modes = DigitModes(Oracle(), uniform(n_modes), 300)
    numbers = modes(lambda n, seed: picture(torch.full((n,), 407), digits))
    assert numbers["modes"] == numbers["modes_confident"] == 1
    assert numbers["modes_kl"] == pytest.approx(math.log(n_modes))
    assert modes(lambda n, seed: picture(torch.full((n,), 7), digits), 0, 5)["modes"] == 1


def test_what_is_named_without_confidence_is_a_mode_but_no_sure_one():
    """A third of the classifier's sharpness in one channel of one image is enough to doubt it."""
    images = picture(torch.tensor([407, 123]))
    images[1, 2] += 12.4 / 255  # nearly half way to the next digit
    numbers = DigitModes(Oracle(), uniform(1000), 2)(lambda n, seed: images)
    assert (numbers["modes"], numbers["modes_confident"]) == (2, 1)


def test_samples_that_are_no_numbers_have_no_modes():
    numbers = DigitModes(Oracle(), uniform(1000), 5)(lambda n, seed: torch.full((n, 3, 28, 28), math.nan))
    assert list(numbers) == list(NAMES)
    assert all(map(math.isnan, numbers.values()))


def test_features_are_those_of_the_channels_side_by_side():
    classifier = Classifier([1, 28, 28], 10).eval()
    features, images = StackedFeatures(classifier, 4), torch.rand(5, 4, 32, 32)
    found = features(images)
    assert found.shape == (5, features.dimension)
    torch.testing.assert_close(found[:, 84:168], classifier(images[:, 1:2, 2:-2, 2:-2]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DigitModes(Oracle(), uniform(500), 5), "shares must be of 10\\^digits modes, .*got 500"),
        (lambda: DigitModes(Oracle(), uniform(1000), 0), "n_samples must be at least 1, got 0"),
        (lambda: DigitModes(Oracle(), uniform(1000), 5, 1.0), "confidence must be .* under 1, got 1.0"),
        (
            lambda: DigitModes(Oracle(), uniform(1000), 5).named(torch.zeros(2, 4, 28, 28)),
            "images must have 3 channels, one a digit, got 4",
        ),
    ],
)
def test_impossible_measures_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- pictures, recipes, runs


def test_a_fourth_channel_is_shown_beside_the_colours():
    images = torch.rand(2, 4, 5, 6)
    shown = viewable(images)
    assert shown.shape == (2, 3, 5, 12)
    assert torch.equal(shown[..., :6], images[:, :3])
    for colour in range(3):
        assert torch.equal(shown[:, colour, :, 6:], images[:, 3])
    assert viewable(images[:, :3]).shape == (2, 3, 5, 6)


@pytest.mark.parametrize("method", ["meg", "critic", "gan", "kim_bengio"])
@pytest.mark.parametrize("digits", [3, 4])
def test_every_image_method_fits(method, digits):
    side, n = (32, 4) if method == "meg" else (28, 2)
    given = [f"data.shape=[{digits},{side},{side}]"] if digits == 4 else []
    config = compose(["data=stacked_mnist", f"method={method}", "run_dir=run", *given])
    check(config)
    assert config["data"]["shape"] == [digits, side, side]
    assert len(config["method"]["generator"]["channels"]) == n
    small = [f"method.{part}.channels={[2] * n}" for part in ("energy.features", "generator")]
    config = compose(["data=stacked_mnist", f"method={method}", *given, *small, "method.energy.experts=4"])
    assert build(config["method"], "method").shape == (digits, side, side)


def test_the_authors_networks_have_the_authors_sizes():
    parts = compose(["data=stacked_mnist", "method=meg"])["method"]
    up, down = [(512, 256), (256, 128), (128, 64), (64, 3)], [(64, 3), (128, 64), (256, 128), (512, 256)]
    nodes = (parts["energy"], down), (parts["terms"]["entropy"]["statistics"], down), (parts["generator"], up)
    for node, maps in nodes:
        with torch.device("meta"):
            network = build(node, "network")
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert [m.weight.shape for m in convolutions] == [(*pair, 5, 5) for pair in maps]
    assert parts["generator"]["prior"]["latent_dim"] == 128


@pytest.mark.slow
def test_a_run_counts_modes_beside_those_of_the_data(files, monkeypatch, open_door):
    monkeypatch.setattr("energy_gan.reports.images.RANKED", 200)
    monkeypatch.setattr("energy_gan.reports.images.inception_or_none", lambda: None)
    monkeypatch.setattr("energy_gan.reports.images.classifier_of", lambda *_: Oracle())
    small = [
        "data.shape=[4,28,28]", "data.n_points=300", "data.n_counted=400", "data.download=false",
        "trainer.max_steps=4", "callbacks.report.every_n_steps=2", "trainer.log_every_n_steps=1",
        "callbacks.report.n_samples=200", "callbacks.report.n_samples_during=100",
        "method.energy.features.channels=[2,4]", "method.generator.channels=[4,2]", "method.energy.experts=4",
    ]  # fmt: skip
    given = ["data=stacked_mnist", "method=critic", "run_dir=run", *QUICK, *small]
    given += ["logger.wandb=null", "logger.tensorboard=null"]
    status, _, errors = open_door("train", *given)
    assert status == 0, errors
    report = json.loads(Path("run/metrics.json").read_text())
    assert {*NAMES, "frechet_lenet", "recall_lenet"} <= report["metrics"].keys()
    assert 1 <= report["metrics"]["modes"] < report["yardsticks"]["held-out data"]["modes"] <= 400
    assert set(NAMES) <= report["yardsticks"]["held-out data"].keys()
    during, last = report["history"]
    assert {f"{name}_during" for name in NAMES} <= during.keys()
    assert "modes" not in during
    assert "modes_during" not in last
    with Image.open("run/figures/nearest_neighbours.png") as shown:
        assert np.asarray(shown.convert("RGB")).std() > 1
