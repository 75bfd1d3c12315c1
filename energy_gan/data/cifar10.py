"""CIFAR-10: 60,000 colour photographs of 32×32 pixels in ten classes."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets

from energy_gan.data.images import ImageData, Split, labelled, require_files, require_one_of
from energy_gan.data.partly_labelled import Known, LabelDraw
from energy_gan.data.source import ArraySource
from energy_gan.errors import InputError

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SHAPE = [3, 32, 32]
# What NumPy wrote into the files: NumPy 1 and 2 call the same function by two names.
ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class CIFAR10(ImageData):
    """Training is on the five training batches; the test batch is held out.

    Reference: Learning Multiple Layers of Features from Tiny Images (Krizhevsky, 2009),
    https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf

    Args:
        root: holds cifar-10-batches-py/data_batch_1 and the others, as torchvision has it.
        shape: [3, 32, 32].
        cache, batch_size, seed: as in `ImageData`.
        download: try to, if the files are not there.
        labels, label_draw: the labels that training may see, see `Known`.
    """

    in_memory = True

    def __init__(
        self,
        root: str = "data",
        shape: Sequence[int] = (3, 32, 32),
        cache: str | None = "data/cache",
        batch_size: int = 128,
        seed: int = 0,
        download: bool = True,
        labels: int | float | None = None,
        label_draw: LabelDraw = "balanced",
    ):
        require_one_of(shape, SHAPE)
        super().__init__(shape, root, cache, batch_size, seed, workers=0, on_error="stop")
        self.download, self.known = download, Known(labels, label_draw)

    def source(self, split: Split) -> ArraySource:
        folder, official = self.root / datasets.CIFAR10.base_folder, datasets.CIFAR10
        require_files(
            [folder / name for name, _ in official.train_list + official.test_list],
            get=f"unpack 'CIFAR-10 python version' there, from {PAGE}",
            name="CIFAR-10",
            root=self.root,
            fetch=(lambda: official(self.root, download=True)) if self.download else None,
        )
        names = [name for name, _ in (official.train_list if split == "train" else official.test_list)]
        batches = [_read(folder / name) for name in names]
        return ArraySource(
            "cifar10",
            split,
            np.concatenate([batch.images for batch in batches]),
            np.concatenate([batch.labels for batch in batches]),
            CLASSES,
        )


def _read(file: Path) -> ArraySource:
    """One batch. Files that others pickled are read for arrays only, they can run nothing."""
    try:
        with file.open("rb") as stream:
            batch = _Arrays(stream, encoding="bytes").load()
        images = np.asarray(batch[b"data"]).reshape(-1, *SHAPE)
        return labelled("cifar10", "train", images, np.array(batch[b"labels"], np.int64), CLASSES, SHAPE)
    except Exception as error:  # pickle raises whatever the damaged bytes lead to
        raise InputError(
            f"{file.absolute()} is damaged or no batch of CIFAR-10 ({' '.join(str(error).split())}): "
            f"get it anew from {PAGE}"
        ) from error


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}")
        return super().find_class(module, name)
