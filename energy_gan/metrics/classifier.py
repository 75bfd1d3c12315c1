"""A small LeNet trained in place on a labelled set, so that images can be compared without a download."""

import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from energy_gan.errors import InputError
from energy_gan.metrics.features import (
    FOLDER,
    FeatureNetwork,
    Images,
    Labels,
    RawImages,
    as_images,
    checksum,
    features_of,
)
from energy_gan.randomness import mixed_seed, random_generator
from energy_gan.system.files import write_atomically

STEPS = 1_000  # of training, about
LARGEST = 32  # pixels a side that the classifier sees; larger images are averaged down


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
        epochs: as many as make about `STEPS` steps, at least 4, if None.
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
    epochs = max(4, round(STEPS / per_epoch)) if epochs is None else epochs
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
    if "labels" not in data.has:
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
