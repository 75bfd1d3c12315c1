"""One class of a set left out of training, to be found again as an anomaly.

Both parts of the set are pooled. Four fifths of the images of the other classes are trained on; the test has
the rest of them, which are normal, and the class that was left out. How much of it decides what a number is
worth, for the share of anomalies, the base rate π, is what a detector that knows nothing reaches: the area
under the precision-recall curve is never below 1 + (1 − π)/π · ln(1 − π). Two tests are in use:

    all     every image of the class: the code of Kumar et al.; π is 0.39 for the 1 of MNIST, the area 0.23
            or more
    share   as large a part of the class as of the others, a fifth: π is 0.11; published areas that are less
            than 0.23 can only be of this one

The test is apart from training, unlike that of Kumar et al.: their released code (data/mnist_anomaly.py)
draws a new permutation of the images for the test, so that 80 % of its normal ones were trained on, which
flatters their numbers.

Reference: Maximum Entropy Generators for Energy-Based Models (Kumar et al., 2019),
https://arxiv.org/abs/1901.08508, section 5.4; Efficient GAN-Based Anomaly Detection (Zenati et al., 2018),
https://arxiv.org/abs/1802.06222, section 4.1.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int, Int64, Integer, UInt8

from energy_gan.data.images import SPLITS, ImageData, Split
from energy_gan.data.source import ArraySource
from energy_gan.errors import InputError

TRAINED = 0.8  # of the images of the other classes
SPLIT_SEED = 42


class Rows(NamedTuple):
    """Which rows of the pool are what; together they are all of it."""

    train: Int[np.ndarray, "N"]
    inliers: Int[np.ndarray, "M"]  # of the other classes, not trained on
    anomalies: Int[np.ndarray, "K"]  # the class left out, in random order


def leave_out(labels: Integer[np.ndarray, "P"], digit: int, seed: int = SPLIT_SEED) -> Rows:
    """Split a pool by one of its classes.

    Raises:
        InputError: the class has no image, or the others have too few to train on some and test on others.
    """
    rng = np.random.default_rng(seed)
    others = rng.permutation(np.flatnonzero(labels != digit))
    anomalies = rng.permutation(np.flatnonzero(labels == digit))
    n_train = int(TRAINED * len(others))
    if n_train < 2 or not len(anomalies):
        raise InputError(
            f"of {len(labels)} images {len(anomalies)} are of class {digit} and {len(others)} of others: to "
            "leave the class out there must be at least 1 of it and 3 others, give the whole files"
        )
    return Rows(np.sort(others[:n_train]), np.sort(others[n_train:]), anomalies)


def share_of_anomalies(labels: Integer[np.ndarray, "T"], share: float = 1 - TRAINED) -> Bool[np.ndarray, "T"]:
    """Which rows of a test stay when only a share of its anomalies, the first of them, is kept; at least one.

    Args:
        labels: 1 for an anomaly, 0 for an inlier.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    anomalies = np.flatnonzero(labels == 1)
    kept = labels == 0
    kept[anomalies[: max(1, round(share * len(anomalies)))]] = True
    return kept


class WithoutAClass(ImageData):
    """Images of ten classes of which one may be left out.

    Args:
        without: the number of that class, from 0 to 9. Then both parts are pooled and split as above, for
            every seed alike. After `setup`, `test` has the images held out and then all of the class that was
            left out, as uint8, and `test_labels` 1 where an image is of that class, 0 where not.
        others: of `ImageData`.
    """

    source_kind: ClassVar[str]
    names: ClassVar[Sequence[str]] = [str(digit) for digit in range(10)]

    def __init__(self, without: int | None, *others: Any, **more: Any):
        if without is not None and not 0 <= without < 10:
            raise ValueError(f"without must be the number of a class, from 0 to 9, or null, got {without}")
        super().__init__(*others, **more)
        self.without = without

    @abstractmethod
    def part(self, split: Split) -> ArraySource:
        """The images of a part with all classes."""

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "points"):
            return
        super().setup(stage)
        if self.without is not None:
            images, labels = self._pool()
            anomalies = torch.from_numpy(images[leave_out(labels, self.without).anomalies])
            self.test = torch.cat([self.held_out, anomalies])
            self.test_labels = (torch.arange(len(self.test)) >= len(self.held_out)).long()

    def source(self, split: Split) -> ArraySource:
        if self.without is None:
            return self.part(split)
        images, labels = self._pool()
        rows = leave_out(labels, self.without)
        mine = rows.train if split == "train" else rows.inliers
        kind = f"{self.source_kind}_without_{self.without}"
        names = [name for number, name in enumerate(self.names) if number != self.without]
        renumbered = labels[mine] - (labels[mine] > self.without)
        return ArraySource(kind, split, images[mine], renumbered, names)

    def _pool(self) -> tuple[UInt8[np.ndarray, "N C H W"], Int64[np.ndarray, "N"]]:
        """The images and the labels of both parts."""
        parts = [self.part(split) for split in SPLITS]
        return np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts])
