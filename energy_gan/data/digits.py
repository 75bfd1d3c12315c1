"""Scikit-learn's 1,797 handwritten digits of 8×8 pixels: real images that come with a dependency."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from energy_gan.data.held_out_digit import WithoutAClass
from energy_gan.data.images import Split, require_one_of
from energy_gan.data.partly_labelled import Known, LabelDraw
from energy_gan.data.source import ArraySource


class Digits(WithoutAClass):
    """A fifth is held out, of each class alike: a fixed split, whatever the seed.

    Reference: Optical Recognition of Handwritten Digits (Alpaydin, Kaynak, 1998),
    https://doi.org/10.24432/C50P49, its test part

    Args:
        shape: [1, 8, 8].
        cache, batch_size, seed: as in `ImageData`.
        without: the number of a class to leave out, see `WithoutAClass`.
        labels, label_draw: the labels that training may see, see `Known`.
    """

    in_memory = True
    source_kind: ClassVar[str] = "digits"

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        cache: str | None = None,
        batch_size: int = 64,
        seed: int = 0,
        without: int | None = None,
        labels: int | float | None = None,
        label_draw: LabelDraw = "balanced",
    ):
        require_one_of(shape, [1, 8, 8])
        super().__init__(without, shape, "", cache, batch_size, seed, workers=0, on_error="stop")
        self.known = Known(labels, label_draw)

    def part(self, split: Split) -> ArraySource:
        scans = load_digits()
        images = np.round(scans.images * (255 / 16)).astype(np.uint8)[:, None]  # 17 shades of grey
        labels = scans.target.astype(np.int64)
        parts = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
        rows = np.sort(parts[split == "held_out"])
        return ArraySource(self.source_kind, split, images[rows], labels[rows], self.names)
