"""MNIST and the two sets made in its format: 60,000 images to train on, 10,000 held out, ten classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from torchvision import datasets

from energy_gan.data.held_out_digit import WithoutAClass
from energy_gan.data.images import Split, labelled, require_files, require_one_of
from energy_gan.data.partly_labelled import Known, LabelDraw
from energy_gan.data.source import ArraySource
from energy_gan.errors import InputError


class MNIST(WithoutAClass):
    """Handwritten digits; training is on the official training part, its test part is held out.

    Reference: Gradient-based learning applied to document recognition (LeCun, Bottou, Bengio,
    Haffner, 1998), https://doi.org/10.1109/5.726791

    Args:
        root: holds MNIST/raw/train-images-idx3-ubyte and the three files beside it, as torchvision has it.
        shape: [1, 28, 28], or [1, 32, 32] with two rows of black around.
        cache, batch_size, seed: as in `ImageData`.
        download: try to, if the files are not there.
        without: the number of a class to leave out, see `WithoutAClass`.
        labels, label_draw: the labels that training may see, see `Known`.
    """

    in_memory = True
    original: ClassVar[type[datasets.MNIST]] = datasets.MNIST
    source_kind: ClassVar[str] = "mnist"
    page: ClassVar[str] = "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz etc."

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
        super().__init__(without, shape, root, cache, batch_size, seed, workers=0, on_error="stop")
        self.download, self.known = download, Known(labels, label_draw)

    def part(self, split: Split) -> ArraySource:
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
