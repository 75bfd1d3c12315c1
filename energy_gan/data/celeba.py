"""CelebA: 202,599 aligned photographs of faces, 162,770 to train on and 19,962 held out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from torchvision import datasets

from energy_gan.data.cache import OnError
from energy_gan.data.images import ImageData, Split, read_image, require_files, require_square
from energy_gan.data.source import Source, fingerprint
from energy_gan.errors import InputError

PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
NARROW = 178  # pixels, the width of an aligned image; 218 high
PART = {"train": "0", "held_out": "2"}  # of list_eval_partition.txt; 1 is for validation, not used


class CelebA(ImageData):
    """The official training part, with the official test part held out.

    Of each image of 178×218 pixels the square of `crop` around the centre is kept and resized. 108 to
    64×64 is the custom among GANs since DCGAN's code; the whole width, 178, shows hair and background.

    Reference: Deep Learning Face Attributes in the Wild (Liu, Luo, Wang, Tang, 2015),
    https://arxiv.org/abs/1411.7766

    Args:
        root: holds celeba/list_eval_partition.txt and celeba/img_align_celeba/, as torchvision has it.
        shape: [C, H, H].
        crop: pixels, 4 to 178.
        cache, batch_size, seed, workers, on_error: as in `ImageData`.
        download: try to, if there is no folder celeba.
    """

    labelled = False

    def __init__(
        self,
        root: str = "data",
        shape: Sequence[int] = (3, 64, 64),
        crop: int = 108,
        cache: str | None = "data/cache",
        batch_size: int = 128,
        seed: int = 0,
        workers: int = 4,
        on_error: OnError = "stop",
        download: bool = True,
    ):
        require_square(shape)
        if not 4 <= crop <= NARROW:
            raise ValueError(f"crop must be 4 to {NARROW} pixels, the width of an image, got {crop}")
        super().__init__(shape, root, cache, batch_size, seed, workers, on_error)
        self.crop, self.download = crop, download

    def source(self, split: Split) -> Source:
        folder, list_ = self.root / "celeba", self.root / "celeba/list_eval_partition.txt"
        whole = self.download and not folder.exists()  # never into a folder of the user's own
        require_files(
            [list_, folder / "img_align_celeba"],
            get=f"put both there, img_align_celeba.zip unpacked, from {PAGE}",
            name="CelebA",
            root=self.root,
            fetch=(lambda: datasets.CelebA(self.root, download=True)) if whole else None,
        )
        return _CelebA(folder / "img_align_celeba", split, _names(list_, PART[split]), self.shape, self.crop)


def _names(file: Path, part: str) -> list[str]:
    """The images of a part, in the order of the list."""
    lines = [line.split() for line in file.read_text(errors="replace").splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        if len(line) != 2 or line[1] not in ("0", "1", "2"):
            raise InputError(
                f"{file.absolute()}: line {number} is {' '.join(line)!r}, expected a file's name and 0, 1 or "
                f"2: get it anew from {PAGE}"
            )
    return [name for name, number in lines if number == part]


class _CelebA(Source):
    kind = "celeba"

    def __init__(self, folder: Path, split: Split, names: list[str], shape: Sequence[int], crop: int):
        self.folder, self.split, self.names, self.shape, self.crop = folder, split, names, tuple(shape), crop

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "C H W"]:
        return read_image(self.folder / self.names[index], self.shape, self.crop)

    def name(self, index: int) -> str:
        return str(self.folder / self.names[index])

    def facts(self) -> dict[str, Any]:
        return {"crop": self.crop, **fingerprint(self.folder, self.names)}
