"""Feature networks: what images are compared in. Two networks are never comparable.

Each has a `name`, which every number measured with it carries (`frechet_lenet`, `frechet_inception`),
a `dimension`, and maps images in [0, 1] to features of shape (B, dimension).

    Classifier   a small LeNet trained in place on a labelled set: needs no download
    Inception    the network of the published Fréchet distances: needs torch-fidelity's weights
"""

import hashlib
import logging
import math
import os
import pickle
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from jaxtyping import Float, Int64, UInt8
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from energy_gan.errors import InputError
from energy_gan.randomness import mixed_seed, random_generator

FOLDER = "data/features"
URL_TIMEOUT = 10  # seconds until a network counts as absent
LARGEST = 32  # pixels a side that the classifier sees; larger images are averaged down
HASHED = 2**28  # bytes of images that a checksum reads, evenly spread

Images = Float[Tensor, "B C H W"]
RawImages = UInt8[Tensor, "_ C H W"]
Labels = Int64[Tensor, "_"]


class FeatureNetwork(nn.Module):
    """images in [0, 1] -> features (B, dimension)."""

    name: str
    dimension: int

    @property
    def fingerprint(self) -> str:
        """Changes with any weight: statistics measured with other weights are never taken for these."""
        digest = hashlib.sha256(self.name.encode())
        for key, value in self.state_dict().items():
            digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def as_images(x: Tensor, device: torch.device | None = None) -> Images:
    """Whatever is stored, uint8 or float in [0, 1], as float32 in [0, 1]."""
    x = x if device is None else x.to(device)
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def features_of(network: FeatureNetwork, images: Tensor, batch_size: int = 500) -> Iterator[Tensor]:
    """Features of any number of images, batch by batch, computed where the network lives."""
    device = next(network.parameters()).device
    steps = range(0, len(images), batch_size)
    bar = tqdm(steps, f"{network.name} features", leave=False, disable=None if len(steps) > 20 else True)
    for first in bar:
        with torch.no_grad():
            features = network(as_images(images[first : first + batch_size], device))
        yield features


def checksum(images: RawImages, labels: Labels | None = None) -> str:
    """Of a set's shape, labels and bytes, the latter of evenly spread images where they exceed 256 MB."""
    digest = hashlib.sha256(str((tuple(images.shape), labels is not None)).encode())
    if labels is not None:
        digest.update(labels.contiguous().numpy().tobytes())
    stride = math.ceil(images.numel() / HASHED) or 1
    for part in images[::stride].split(4096):
        digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """`write` fills a temporary file beside `path`, which then takes its place at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Classifier(FeatureNetwork):
    """LeNet with ReLU; its features are the 84 numbers below the logits.

    5×5 convolution to 16 maps, pool, 5×5 to 32 maps, pool, 120, 84, classes; 3×3 convolutions for
    images under 16 pixels. Images over 32 pixels a side are averaged down to 32.

    Reference: Gradient-based learning applied to document recognition (LeCun et al., 1998),
    https://doi.org/10.1109/5.726791, figure 2, here with more maps and ReLU.

    Args:
        shape: (channels, height, width) of the images.
        n_classes: at least 2.
    """

    name = "lenet"
    dimension = 84
    accuracy: Tensor  # on the held-out part; nan while untrained

    def __init__(self, shape: Sequence[int], n_classes: int):
        super().__init__()
        if len(shape) != 3 or shape[0] < 1 or min(shape[1:]) < 4:
            raise ValueError(f"shape must be (channels, height, width), 4 pixels or more, got {list(shape)}")
        if n_classes < 2:
            raise ValueError(f"n_classes must be at least 2, got {n_classes}")
        self.shape, self.n_classes = tuple(shape), n_classes
        channels, *sides = shape
        self.sides = tuple(min(side, LARGEST) for side in sides)
        small = min(self.sides) < 16
        kernel, inner_padding = (3, 1) if small else (5, 0)
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 16, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, kernel, padding=inner_padding), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        height, width = ((side // 2 + 2 * inner_padding + 1 - kernel) // 2 for side in self.sides)
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(32 * height * width, 120), nn.ReLU(),
            nn.Linear(120, self.dimension), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(self.dimension, n_classes)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))
        self.register_buffer("accuracy", torch.tensor(math.nan))

    def forward(self, images: Images) -> Float[Tensor, "B D"]:
        if tuple(images.shape[2:]) != self.sides:
            images = F.adaptive_avg_pool2d(images, self.sides)
        return self.hidden(self.convolutions((images - self.mean) / self.std))

    def logits(self, images: Images) -> Float[Tensor, "B K"]:
        return self.head(self(images))


def train_classifier(
    images: RawImages,
    labels: Labels,
    held_out: RawImages,
    held_out_labels: Labels,
    n_classes: int | None = None,
    seed: int = 0,
    epochs: int | None = None,
    batch_size: int = 128,
    device: str = "cpu",
) -> Classifier:
    """A classifier trained from scratch: the same numbers give the same weights on the same machine.

    Adam with a one-cycle learning rate; every batch is shifted by up to one pixel a side, since digits
    are not all centred alike.

    Args:
        n_classes: highest label + 1 if None.
        epochs: as many as make about 1,000 steps, at least 4, if None.
    """
    if epochs is not None and epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not len(images) or not len(held_out):
        raise ValueError(f"there must be images, got {len(images)} to train on, {len(held_out)} held out")
    n_classes = int(labels.max()) + 1 if n_classes is None else n_classes
    batch_size = min(batch_size, len(images))
    per_epoch = len(images) // batch_size
    epochs = max(4, round(1_000 / per_epoch)) if epochs is None else epochs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed(seed))
        network = Classifier(images.shape[1:], n_classes)
    std, mean = torch.std_mean(as_images(images[:: math.ceil(len(images) / 10_000)]), dim=(0, 2, 3))
    network.mean[:, 0, 0], network.std[:, 0, 0] = mean, std.clamp(min=1e-3)
    network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs * per_epoch, pct_start=0.2)
    bar = tqdm(total=epochs * per_epoch, desc="classifier", unit="step", leave=False, disable=None)
    with bar, torch.enable_grad():
        for epoch in range(epochs):
            rng = random_generator(seed, epoch)
            order = torch.randperm(len(images), generator=rng)
            for chosen in order[: per_epoch * batch_size].split(batch_size):
                batch = _shifted(as_images(images[chosen], network.mean.device), rng)
                loss = F.cross_entropy(network.logits(batch), labels[chosen].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update()
    network.eval().requires_grad_(False)
    network.accuracy.copy_((classified(network, held_out).argmax(1) == held_out_labels).float().mean())
    return network


@torch.no_grad()
def classified(network: Classifier, images: Tensor, batch_size: int = 500) -> Float[Tensor, "N K"]:
    """The probability of each class for each image, on the CPU."""
    return torch.cat([network.head(h).softmax(1).cpu() for h in features_of(network, images, batch_size)])


def _shifted(images: Images, rng: torch.Generator) -> Images:
    """The batch moved by −1, 0 or 1 pixel in both directions, zeros moving in."""
    down, right = torch.randint(3, (2,), generator=rng).tolist()
    height, width = images.shape[2:]
    return F.pad(images, (1, 1, 1, 1))[:, :, down : down + height, right : right + width]


def classifier_path(name: str, folder: str | Path = FOLDER) -> Path:
    return Path(folder) / f"lenet_{name}.pt"


def classifier_of(
    data: Any,
    name: str,
    folder: str | Path = FOLDER,
    seed: int = 0,
    epochs: int | None = None,
    device: str = "cpu",
) -> Classifier:
    """The classifier of a labelled set: the saved one if it was trained on these very images, else trained.

    It is saved as `<folder>/lenet_<name>.pt` and replaces what was trained on other images or is damaged.

    Args:
        data: a DataModule after its `setup`, with points, labels, held_out, held_out_labels and classes.
        name: of the data set, for the file.
        seed, epochs: as in `train_classifier`; a file trained with others does not fit.

    Raises:
        InputError: the set has no labels, or fewer than two classes.
    """
    if getattr(data, "labels", None) is None or data.held_out_labels is None:
        raise InputError(
            f"data={name} has no labels, and a classifier needs them: give a labelled set "
            "(data=digits, mnist, fashion_mnist, cifar10, or data=folder with a folder for each class)"
        )
    n_classes = len(data.classes) if data.classes else int(data.labels.max()) + 1
    if n_classes < 2:
        raise InputError(f"data={name} has {n_classes} class, and a classifier needs at least 2")
    trained_on = {
        "data": checksum(data.points, data.labels),
        "shape": list(data.points.shape[1:]),
        "n_classes": n_classes,
        "seed": seed,
        "epochs": epochs,
    }
    path = classifier_path(name, folder)
    network = _read_classifier(path, trained_on)
    if network is None:
        network = train_classifier(
            data.points, data.labels, data.held_out, data.held_out_labels, n_classes, seed, epochs,
            device=device,
        )  # fmt: skip
        saved = {
            "state_dict": {key: value.cpu() for key, value in network.state_dict().items()},
            "classes": list(map(str, data.classes or range(n_classes))),
            "accuracy": float(network.accuracy),
            "trained_on": trained_on,
        }
        write_atomically(path, lambda temporary: torch.save(saved, temporary))
    return network.to(device)


def _read_classifier(path: Path, trained_on: dict[str, Any]) -> Classifier | None:
    """The saved classifier, None if there is none, it is damaged, or it was trained on something else."""
    if not path.is_file():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["trained_on"] != trained_on:
            return None
        network = Classifier(trained_on["shape"], trained_on["n_classes"])
        network.load_state_dict(saved["state_dict"])
    except (RuntimeError, OSError, EOFError, KeyError, TypeError, pickle.UnpicklingError, BadZipFile):
        return None
    return network.eval().requires_grad_(False)


class Inception(FeatureNetwork):
    """The 2048 numbers below the logits of the Inception-v3 that published Fréchet distances use.

    Images are brought to 8 bits, grey ones to three equal channels, and resized by the network itself.

    Reference: GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium
    (Heusel et al., 2017), https://arxiv.org/abs/1706.08500; weights and resizing by torch-fidelity.

    Args:
        weights: torch-fidelity's file of them, see `inception_or_none`.

    Raises:
        InputError: the file is missing, damaged or holds the weights of another network.
    """

    name = "inception"
    dimension = 2048

    def __init__(self, weights: str | Path):
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        if not Path(weights).is_file():
            raise InputError(f"weights={weights} does not exist: give torch-fidelity's {_weights_name()}")
        remedy = f"delete it, or put the file of {_weights_url()} in its place"
        try:
            torch.load(weights, map_location="cpu", weights_only=True)  # nothing but tensors may be in it
        except Exception as error:  # torch raises whatever the damaged bytes lead to
            raise InputError(f"{weights} is damaged or holds no weights: {remedy}") from error
        try:
            self.network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights))
        except (RuntimeError, TypeError) as error:
            raise InputError(f"{weights} holds the weights of another network: {remedy}") from error

    def forward(self, images: Images) -> Float[Tensor, "B D"]:
        if images.shape[1] not in (1, 3):
            raise ValueError(f"images must have 1 or 3 channels, got {images.shape[1]}")
        raw = (images.clamp(0, 1) * 255).round().to(torch.uint8)
        return self.network(raw.expand(-1, 3, -1, -1))[0]


def inception_or_none(weights: str | None = None) -> Inception | None:
    """Inception, or None with one warning in a process that says which file belongs where.

    Args:
        weights: the file; if None it is looked for in torch.hub's folder of checkpoints, and else
            downloaded to it, where there is a network.

    Raises:
        InputError: a file is named or found, but is not what it should be.
    """
    try:
        import torch_fidelity  # noqa: F401
    except ImportError:
        _warn_once("no Inception features: install torch-fidelity with `pip install 'energy_gan[images]'`")
        return None
    if weights is not None:
        return Inception(weights)
    path = Path(torch.hub.get_dir()) / "checkpoints" / _weights_name()
    if not path.is_file() and not _downloaded(_weights_url(), path):
        _warn_once(
            f"no Inception features, their weights could not be downloaded: get {_weights_url()} on a "
            f"machine with a network and put {path.name} into {path.parent}"
        )
        return None
    return Inception(path)


def _weights_url() -> str:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return URL_INCEPTION_V3


def _weights_name() -> str:
    return _weights_url().rpartition("/")[2]


def _downloaded(url: str, path: Path) -> bool:
    try:
        urllib.request.urlopen(url, timeout=URL_TIMEOUT).close()  # torch would wait for ever
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = path.stem.rpartition("-")[2]  # the name ends in the first digits of the file's SHA-256
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest)
    except (OSError, RuntimeError):
        return False
    return True


@cache
@rank_zero_only
def _warn_once(text: str) -> None:
    logging.getLogger(__name__).warning("warning: %s", text)
