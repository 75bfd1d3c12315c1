"""Anybody's own images: a folder of them, with or without folders in it, of any size and mode."""

import hashlib
import os
import random
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from energy_gan.data.cache import OnError
from energy_gan.data.images import ImageData, Split, read_image
from energy_gan.data.partly_labelled import Known, LabelDraw
from energy_gan.data.source import Source, fingerprint
from energy_gan.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


class Folder(ImageData):
    """All images under a folder, a share of them held out.

    Which are held out is decided by a hash of each image's path below the root, so that images added
    later move none of the others. The folders of the first level are classes, if there are two or more
    and no image lies outside them. Hidden files and other endings are passed over.

    Args:
        root: the folder.
        shape: [C, H, W] of the result, whatever the images are: their mode is converted, see
            `read_image`.
        crop: "centre" keeps the largest central piece of the result's proportions, "none" stretches.
        held_out: the share held out, between 0 and 1; at least one image.
        cache, batch_size, seed, workers, on_error: as in `ImageData`.
        outside: whether links may lead out of the folder; else one that does is refused.
        labels, label_draw: the labels that training may see, see `Known`.
    """

    def __init__(
        self,
        root: str,
        shape: Sequence[int],
        crop: Literal["centre", "none"] = "centre",
        held_out: float = 0.1,
        cache: str | None = "data/cache",
        batch_size: int = 128,
        seed: int = 0,
        workers: int = 4,
        on_error: OnError = "stop",
        outside: bool = False,
        labels: int | float | None = None,
        label_draw: LabelDraw = "balanced",
    ):
        if crop not in ("centre", "none"):
            raise ValueError(f"crop must be centre or none, got {crop}")
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must be a share between 0 and 1, both excluded, got {held_out}")
        super().__init__(shape, root, cache, batch_size, seed, workers, on_error)
        self.crop, self.share, self.outside = crop, held_out, outside
        self.known = Known(labels, label_draw)

    def source(self, split: Split) -> Source:
        if not self.root.is_dir():
            raise InputError(
                f"data.root={self.root} is no folder (looked for {self.root.absolute()}): give the folder of "
                "your images, data.root=FOLDER"
            )
        names, ignored = find_images(self.root, self.outside)
        if len(names) < 3:
            raise InputError(
                f"data.root={self.root} holds {len(names)} images and {ignored} other files (looked for "
                f"{', '.join(ENDINGS)} in {self.root.absolute()}): give a folder of at least 3 images, "
                "two to train on and one to hold out"
            )
        held_out = _held_out(names, self.share)
        mine = [name for name in names if (name in held_out) == (split == "held_out")]
        source = _Folder(self.root, split, mine, self.shape, self.crop)
        source.ignored = ignored
        classes = sorted({name.partition("/")[0] for name in names}, key=_natural)
        if len(classes) > 1 and all("/" in name for name in names):
            number = {name: i for i, name in enumerate(classes)}
            source.classes = classes
            source.labels = np.array([number[name.partition("/")[0]] for name in mine], np.int64)
        return source


def find_images(root: Path, outside: bool = False) -> tuple[list[str], int]:
    """Paths of the images below a folder, in natural order (2 before 10), and how many files are none.

    A hidden folder counts as one file and is not looked into. Links are followed.

    Args:
        root: the folder; it may be a link itself.
        outside: whether links may lead out of it. Whoever made the folder could else have any file read
            that the user may read.

    Raises:
        InputError: one does, and must not.
    """
    names, ignored, seen = [], 0, set()
    for path, folders, files in os.walk(root, followlinks=True):
        here = Path(path)
        if here.resolve() in seen:  # a link back up
            folders.clear()
            continue
        seen.add(here.resolve())
        ignored += sum(name.startswith(".") for name in folders)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        good = [f for f in files if not f.startswith(".") and f.lower().endswith(ENDINGS)]
        ignored += len(files) - len(good)
        if not outside:
            _refuse_outside(root, [here / name for name in [*folders, *good]])
        names += [(here / name).relative_to(root).as_posix() for name in good]
    return sorted(names, key=_natural), ignored


def require_images(root: Path) -> None:
    """InputError unless there is an image below the folder."""
    names, ignored = find_images(root)
    if not names:
        raise InputError(
            f"{root} holds no image and {ignored} other files (looked for {', '.join(ENDINGS)} in "
            f"{root.absolute()}): give a folder of images"
        )


def _refuse_outside(root: Path, paths: Iterable[Path]) -> None:
    for link in filter(Path.is_symlink, paths):
        target = Path(os.path.realpath(link))  # which does not mind a link to itself
        if not target.is_relative_to(root.resolve()):
            raise InputError(
                f"{link} is a link out of {root}, to {target}, and is not followed: put there what it leads "
                "to, or, if you mean it, train with data.outside=true"
            )


def _natural(name: str) -> tuple[Any, ...]:
    pieces = re.split(r"(\d+)", name.casefold())
    return [int(p) if i % 2 else p for i, p in enumerate(pieces)], name


def _held_out(names: Sequence[str], share: float) -> set[str]:
    """The images whose hash, as a fraction of the largest, is below the share; at least the lowest."""
    place = {n: int.from_bytes(hashlib.sha256(os.fsencode(n)).digest()[:8], "big") / 2**64 for n in names}
    return {name for name in names if place[name] < share} or {min(names, key=place.__getitem__)}


class _Folder(Source):
    def __init__(self, root: Path, split: Split, names: list[str], shape: Sequence[int], crop: str):
        self.root, self.split, self.names, self.shape, self.crop = root, split, names, tuple(shape), crop
        where = root.resolve()  # two folders of the same name are two sources
        title = re.sub(r"[^\w-]", "_", where.name)[:40]
        self.kind = f"folder_{title}_{zlib.crc32(os.fsencode(where)):08x}"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "C H W"]:
        return read_image(self.root / self.names[index], self.shape, self.crop)

    def name(self, index: int) -> str:
        return str(self.root / self.names[index])

    def facts(self) -> dict[str, Any]:
        return {"crop": self.crop, **fingerprint(self.root, self.names)}


def folder_batches(
    root: Path,
    shape: Sequence[int],
    crop: str,
    bad: list[str],
    most: int | None = None,
    seed: int = 0,
) -> Iterator[tuple[list[str], Float[Tensor, "n C H W"]]]:
    """Names and images, in [0, 1], of all images below a folder, or of a random choice of them.

    Args:
        bad: gets what cannot be read.
        most: how many there are to be, all if None.
        seed: of the choice.

    Raises:
        InputError: not one of them can.
    """
    names, _ = find_images(root)
    if most is not None and most < len(names):
        names = random.Random(seed).sample(names, most)
    for first in tqdm(range(0, len(names), 256), unit="batch", disable=len(names) < 1000):
        images = {}
        for name in names[first : first + 256]:
            try:
                images[name] = torch.from_numpy(read_image(root / name, shape, crop))
            except Exception as error:  # Pillow raises whatever the damaged bytes lead to
                bad.append(f"{name} ({error})")
        if images:
            yield list(images), torch.stack(list(images.values())).float() / 255
    if len(bad) == len(names):
        first = f", the first is {bad[0]}" if bad else ""
        raise InputError(
            f"there is no image that can be read in {root.absolute()}{first}: give a folder of images"
        )


def warn_of(bad: Sequence[str]) -> None:
    """Print which files could not be read, the first ten by name."""
    if bad:
        print(f"{len(bad)} files could not be read: {'; '.join(bad[:10])}{'; …' * (len(bad) > 10)}")
