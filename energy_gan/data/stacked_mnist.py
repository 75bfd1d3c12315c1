"""Stacked MNIST: each channel an MNIST digit of its own, so that an image has one of 10^digits known modes.

Three digits make 1,000 modes and four 10,000, all about equally frequent: how many of them a generator finds,
and how evenly, can be counted, see `metrics/digit_modes.py`. Two ways to make the set are in the literature:

    fixed   128·10^digits stacks are drawn once: PacGAN's code, in its comparison with VEEGAN, and the code of
            Kumar et al., which draws them with NumPy's seed 111
    anew    every batch has stacks of its own: Unrolled GAN, and PacGAN's code in its comparison with it

Here the set is fixed and, by default, the one of the code of Kumar et al., stack by stack.

Reference: Unrolled Generative Adversarial Networks (Metz, Poole, Pfau, Sohl-Dickstein, 2017),
https://arxiv.org/abs/1611.02163, which has the set first; PacGAN: The power of two samples in generative
adversarial networks (Lin, Khetan, Fanti, Oh, 2018), https://arxiv.org/abs/1712.04086; Maximum Entropy
Generators for Energy-Based Models (Kumar et al., 2019), https://arxiv.org/abs/1901.08508.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn.functional import pad

from energy_gan.data.base import Batches
from energy_gan.data.images import HALF, ImageData, Split, require_one_of
from energy_gan.data.mnist import MNIST
from energy_gan.data.source import ArraySource
from energy_gan.errors import InputError
from energy_gan.randomness import random_generator
from energy_gan.shapes import Batch

SIDE = 28  # pixels of a digit
DRAWN_WITH = 111  # the seed of the authors' code
MEASURED = 60_000  # images in memory to measure against: as many as MNIST has
HELD_OUT = 10_000


class StackedMNIST(ImageData):
    """Training digits stacked for training, test digits for the part held out.

    Only MNIST itself is stored. An image is the numbers of its digits in MNIST, and its channels are put
    together when a batch is on the device.

    Attributes, after `setup`, beside those of `ImageData`:
        single: MNIST, the set of the channels.
        stacks: of each image trained on, the number of each channel's digit in `single.points`.
        modes, held_out_modes: of each image, its digits read as one number, the first channel's digit first.
        points: the first 60,000 images trained on, fewer if there are not as many.
        labels, classes: None: it is the channels that a classifier names.

    Args:
        root: holds MNIST/raw/train-images-idx3-ubyte and the three files beside it, as torchvision has it.
        shape: [digits, 28, 28], or [digits, 32, 32] with two rows of black around; 3 or 4 digits.
        n_points: images to train on; 128·10^digits if None.
        n_counted: samples whose modes the report counts at the end; 26·10^digits if None, see
            `metrics/digit_modes.py`.
        cache, batch_size, seed: as in `ImageData`; the seed only orders the batches.
        download: try to, if the files are not there.
    """

    in_memory = True
    channels = (3, 4)
    labelled = False

    def __init__(
        self,
        root: str = "data",
        shape: Sequence[int] = (3, SIDE, SIDE),
        n_points: int | None = None,
        n_counted: int | None = None,
        cache: str | None = "data/cache",
        batch_size: int = 64,
        seed: int = 0,
        download: bool = True,
    ):
        require_one_of(shape, *([digits, side, side] for side in (SIDE, 32) for digits in self.channels))
        for name, value in (("n_points", n_points), ("n_counted", n_counted)):
            if value is not None and value < 2:
                raise ValueError(f"{name} must be at least 2, or null, got {value}")
        super().__init__(shape, root, cache, batch_size, seed, workers=0, on_error="stop")
        self.digits = shape[0]
        self.n_modes = 10**self.digits
        self.n_points = 128 * self.n_modes if n_points is None else n_points
        self.n_counted = 26 * self.n_modes if n_counted is None else n_counted
        self.border = (shape[1] - SIDE) // 2
        self.single = MNIST(root, [1, SIDE, SIDE], cache, batch_size, seed, download)

    def source(self, split: Split) -> ArraySource:
        """The digits."""
        return self.single.source(split)

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "points"):
            return
        single = self.single
        single.setup()
        if not len(single.held_out):
            raise InputError("MNIST has no test digits to make the held-out part of: give the whole files")
        self.sources, self.decoded = single.sources, single.decoded
        self._on_device = single.points
        self.stacks = self._stacks()
        self.modes = read_digits(single.labels[self.stacks])
        self.points = self._stacked(single.points, self.stacks[:MEASURED])
        held_out = self._drawn(HELD_OUT, 0, "held_out")
        self.held_out = self._stacked(single.held_out, held_out)
        self.held_out_modes = read_digits(single.held_out_labels[held_out])
        self.batch_size = min(self.batch_size, self.n_points)
        self.labels = self.held_out_labels = self.classes = None
        self.shift = self.scale = torch.full(self.shape, HALF)

    def _stacks(self) -> Int64[Tensor, "N digits"]:
        rng = np.random.RandomState(DRAWN_WITH)  # as the authors drew
        rows = rng.randint(0, len(self.single.points), (self.n_points, self.digits))
        return torch.from_numpy(rows.astype(np.int64))

    def draw(self, n: int, seed: int, split: Split = "held_out") -> UInt8[Tensor, "n C H W"]:
        """n images made anew from the digits of a split."""
        single = self.single.points if split == "train" else self.single.held_out
        return self._stacked(single, self._drawn(n, seed, split))

    def _drawn(self, n: int, seed: int, split: Split) -> Int64[Tensor, "n digits"]:
        available = len(self.single.points if split == "train" else self.single.held_out)
        return torch.randint(available, (n, self.digits), generator=random_generator(seed))

    def _stacked(
        self, single: UInt8[Tensor, "M 1 h w"], rows: Int64[Tensor, "B digits"]
    ) -> UInt8[Tensor, "B C H W"]:
        images = single[rows].squeeze(2)
        return pad(images, [self.border] * 4) if self.border else images

    def train_dataloader(self) -> Batches:
        """Batches of rows of `stacks`."""
        return Batches(self.stacks, self.batch_size, self.seed, self._step)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        self._on_device = self._on_device.to(batch.x.device)  # once; MNIST is 47 MB
        return batch._replace(x=self.standardise(self._stacked(self._on_device, batch.x)))


def read_digits(labels: Int64[Tensor, "B digits"]) -> Int64[Tensor, "B"]:
    """The digits of each row as one number: (4, 0, 7) is 407."""
    return (labels * 10 ** torch.arange(labels.shape[1] - 1, -1, -1)).sum(1)
