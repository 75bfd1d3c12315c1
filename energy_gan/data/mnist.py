"""MNIST and the two sets made in its format: 60,000 images to train on, 10,000 held out, ten classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torchvision import datasets

from energy_gan.data.held_out_digit import leave_out
from energy_gan.data.images import SPLITS, ImageData, Split, labelled, require_files, require_one_of
from energy_gan.data.partly_labelled import Known, LabelDraw
from energy_gan.data.source import ArraySource
from energy_gan.errors import InputError


class MNIST(ImageData):
    """Handwritten digits; training is on the official training part, its test part is held out.

    Reference: Gradient-based learning applied to document recognition (LeCun, Bottou, Bengio,
    Haffner, 1998), https://doi.org/10.1109/5.726791

    Args:
        root: holds MNIST/raw/train-images-idx3-ubyte and the three files beside it, as torchvision has it.
        shape: [1, 28, 28], or [1, 32, 32] with two rows of black around.
        cache, batch_size, seed: as in `ImageData`.
        download: try to, if the files are not there.
        without: the number of a class to leave out, from 0 to 9. Then both parts are pooled, four fifths of
            the other classes are trained on and the rest is held out, see `held_out_digit`; the split is the
            same for every seed. After `setup`, `test` has the images held out and then all of the class that
            was left out, as uint8, and `test_labels` 1 where an image is of that class, 0 where not.
        labels, label_draw: the labels that training may see, see `Known`.
    """

    in_memory = True
    original: ClassVar[type[datasets.MNIST]] = datasets.MNIST
    source_kind: ClassVar[str] = "mnist"
    page: ClassVar[str] = "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz etc."
    names: ClassVar[Sequence[str]] = [str(digit) for digit in range(10)]

    def __init__(
        self,
        root: str = "data",
        shape: Sequence[int] = (1, 28, 28),
        cache: str | None = "data/cache",
        batch_size: int = 128,
        seed: int = 0,
        download: bool = True,
        without: int | None = None,
        labels: int | float | None = None,
        label_draw: LabelDraw = "balanced",
    ):
        require_one_of(shape, [1, 28, 28], [1, 32, 32])
        if without is not None and not 0 <= without < 10:
            raise ValueError(f"without must be the number of a class, from 0 to 9, or null, got {without}")
        super().__init__(shape, root, cache, batch_size, seed, workers=0, on_error="stop")
        self.download, self.without, self.known = download, without, Known(labels, label_draw)

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
            return self._part(split)
        images, labels = self._pool()
        rows = leave_out(labels, self.without)
        mine = rows.train if split == "train" else rows.inliers
        kind = f"{self.source_kind}_without_{self.without}"
        names = [name for number, name in enumerate(self.names) if number != self.without]
        renumbered = labels[mine] - (labels[mine] > self.without)
        return ArraySource(kind, split, images[mine], renumbered, names)

    def _pool(self) -> tuple[UInt8[np.ndarray, "N C H W"], Int64[np.ndarray, "N"]]:
        """The images and the labels of both parts."""
        parts = [self._part(split) for split in SPLITS]
        return np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts])

    def _part(self, split: Split) -> ArraySource:
        """One of the official parts."""
        folder = self.root / self.original.__name__ / "raw"
        require_files(
            [folder / Path(name).stem for name, _ in self.original.resources],
            get=f"put the unpacked files there, from {self.page}",
            name=self.original.__name__,
            root=self.root,
            fetch=(lambda: self.original(self.root, download=True)) if self.download else None,
        )
        try:
            data = self.original(self.root, train=split == "train")
            images, labels = data.data.numpy()[:, None], data.targets.numpy().astype(np.int64)
            source = labelled(self.source_kind, split, images, labels, self.names, [1, 28, 28])
        except Exception as error:  # torchvision raises whatever the damaged bytes lead to
            raise InputError(
                f"the {split} files in {folder.absolute()} are damaged "
                f"({' '.join(str(error).split()) or type(error).__name__}): get them anew from {self.page}"
            ) from error
        border = (self.shape[1] - 28) // 2
        source.images = np.pad(source.images, ((0, 0), (0, 0), (border, border), (border, border)))
        return source


class FashionMNIST(MNIST):
    """Clothes from a shop's catalogue.

    Reference: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms
    (Xiao, Rasul, Vollgraf, 2017), https://arxiv.org/abs/1708.07747
    """

    original = datasets.FashionMNIST
    source_kind = "fashion_mnist"
    page = "https://github.com/zalandoresearch/fashion-mnist"
    names = datasets.FashionMNIST.classes


class KMNIST(MNIST):
    """Cursive Japanese characters.

    Reference: Deep Learning for Classical Japanese Literature (Clanuwat, Bober-Irizar, Kitamoto, Lamb,
    Yamamoto, Ha, 2018), https://arxiv.org/abs/1812.01718
    """

    original = datasets.KMNIST
    source_kind = "kmnist"
    page = "https://github.com/rois-codh/kmnist"
    names = datasets.KMNIST.classes
