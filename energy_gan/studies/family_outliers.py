"""How the methods of the family tell what they have not learned: a digit left out of training, KMNIST."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from energy_gan.run.compose import compose

if TYPE_CHECKING:
    from energy_gan.model import Model

OUTSIDE = 1_000  # images of each set


def without_a_class(run: Path, model: "Model") -> dict[str, float]:
    """How what the run ranks by finds the class that it never saw."""
    from energy_gan.metrics.anomaly import scores_of
    from energy_gan.run.checkpoints import data_of

    data = data_of(run, ())
    data.setup()
    scores = next(iter(scores_of(run, model, data.pixels(data.test)).values()))
    return _found(scores, data.test_labels.numpy())


def _found(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    from energy_gan.metrics.anomaly import measure

    numbers = measure(scores, labels, float(labels.mean()))
    return {name: numbers[name] for name in ("average_precision", "auroc")}


def beside_kmnist(run: Path, model: "Model", seed: int) -> dict[str, float]:
    """AUROC of what the run ranks by, held-out images against KMNIST's; none without its files."""
    from energy_gan.data.outside import find, other_sets
    from energy_gan.detection import crop_of
    from energy_gan.metrics.anomaly import auroc, scores_of
    from energy_gan.run.checkpoints import data_of

    data = data_of(run, ())
    if not find("kmnist", data.root):
        return {}
    crop = crop_of(model.method.hparams["data"])
    other = other_sets(["kmnist"], data.shape, OUTSIDE, data.root, crop, seed, [])["kmnist"]
    data.setup()
    own = data.pixels(data.held_out[:OUTSIDE])
    own, other = (next(iter(scores_of(run, model, x).values())) for x in (own, other))
    return {"auroc_kmnist": auroc(own, other)}


def detectors_of(data: Sequence[str]) -> dict[str, dict[str, float]]:
    """The same of detectors that take seconds, and of chance, for a set with a class left out.

    Args:
        data: the overrides that name the set.
    """
    from energy_gan.metrics.anomaly import OF_IMAGES, detectors
    from energy_gan.run.build import build_data

    images = build_data(compose(data)["data"], ())
    images.setup()
    train, test = (images.pixels(x).flatten(1).numpy() for x in (images.points, images.test))
    labels = images.test_labels.numpy()
    found = detectors(train, test, 0, OF_IMAGES, rescale=False)
    chance = {"average_precision": float(labels.mean()), "auroc": 0.5}
    return {name: _found(scores, labels) for name, scores in found.items()} | {"chance": chance}
