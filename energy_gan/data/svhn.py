"""SVHN: digits of house numbers, colour photographs of 32×32 pixels in ten classes."""

from collections.abc import Sequence

import numpy as np
from torchvision import datasets

from energy_gan.data.images import ImageData, Split, labelled, require_files, require_one_of
from energy_gan.data.partly_labelled import Known, LabelDraw
from energy_gan.data.source import ArraySource
from energy_gan.errors import InputError

PAGE = "http://ufldl.stanford.edu/housenumbers"
SHAPE = [3, 32, 32]


class SVHN(ImageData):
    """The 73,257 of the training part; the 26,032 of the test part are held out.

    Reference: Reading Digits in Natural Images with Unsupervised Feature Learning (Netzer et al., 2011),
    http://ufldl.stanford.edu/housenumbers/nips2011_housenumbers.pdf

    Args:
        root: holds train_32x32.mat and test_32x32.mat.
        shape: [3, 32, 32].
        cache, batch_size, seed: as in `ImageData`.
        download: try to, if the files are not there.
        labels, label_draw: the labels that training may see, see `Known`.
    """

    in_memory = True

    def __init__(
        self,
        root: str = "data/svhn",
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
        part = "train" if split == "train" else "test"
        require_files(
            [self.root / f"{name}_32x32.mat" for name in ("train", "test")],
            get=f"put the files there, from {PAGE}",
            name="SVHN",
            root=self.root.parent,
            fetch=(lambda: [datasets.SVHN(self.root, name, download=True) for name in ("train", "test")])
            if self.download
            else None,
        )
        file = self.root / f"{part}_32x32.mat"
        try:
            from scipy.io import loadmat  # torchvision reads them so, and checks sums of the whole files

            held = loadmat(file, variable_names=["X", "y"])
            images, labels = held["X"].transpose(3, 2, 0, 1), held["y"].astype(np.int64)[:, 0] % 10
            names = [str(digit) for digit in range(10)]
            return labelled("svhn", split, np.ascontiguousarray(images), labels, names, SHAPE)
        except Exception as error:  # SciPy raises whatever the damaged bytes lead to
            said = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{file.absolute()} is damaged ({said}): get it anew from {PAGE}") from error
