"""What every image set gives: uint8 images from a memory map, standardised on the device.

An image in the data's own units is float32 in [0, 1], x = pixels / 255; training sees
u = (x − ½) / ½ in [−1, 1].
"""

import logging
import socket
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from energy_gan.data.base import Batches, DataModule
from energy_gan.data.cache import Decoded, OnError, decode_once
from energy_gan.data.source import ArraySource, Source
from energy_gan.errors import InputError
from energy_gan.shapes import Batch

Split = Literal["train", "held_out"]
SPLITS: tuple[Split, ...] = ("train", "held_out")
HALF = 0.5  # shift and scale alike
SMALLEST = 4  # pixels a side
PATIENCE = 10.0  # seconds that a server may be silent
NAMED = 10  # bad files that a warning names; the manifest names all


class ImageData(DataModule):
    """Images, decoded once into a folder and read from there through a memory map.

    Attributes, after `setup`:
        points, held_out: uint8, backed by the map; `pixels` gives them in the data's own units.
        labels, held_out_labels: the class of each image, None where there are no classes.
        classes: their names.
        shift, scale: ½ everywhere.
        sources, decoded: by split, what was read and what came of it.

    Attributes of a set:
        labelled: whether its images have classes, two or more.
        n_modes: where each image is of one of so many known modes; `modes` says of which.

    Args:
        shape: [C, H, W], C 1 (grey) or 3 (colour).
        root: the folder of the original files.
        cache: the folder of the decoded arrays; None keeps images in memory that are there anyway.
        batch_size, seed: as in `DataModule`; the seed only orders the batches.
        workers: processes that decode, no more than there are cores; 0: in this one.
        on_error: what a file that cannot be decoded does, stop the build or be left out.
    """

    kind = "images"
    in_memory = False  # whether the images are read as one array
    channels: Sequence[int] = (1, 3)  # how many an image may have
    labelled = True
    n_modes: int | None = None

    def __init__(
        self,
        shape: Sequence[int],
        root: str,
        cache: str | None,
        batch_size: int,
        seed: int,
        workers: int,
        on_error: OnError,
    ):
        super().__init__(shape, batch_size, seed)
        if len(shape) != 3 or shape[0] not in self.channels or min(shape[1:]) < SMALLEST:
            raise ValueError(
                f"shape must be [C, H, W] with C 1 (grey) or 3 (colour), H and W at least {SMALLEST}, "
                f"got {list(shape)}"
            )
        if workers < 0:
            raise ValueError(f"workers must be 0 or more, got {workers}")
        if on_error not in ("stop", "skip"):
            raise ValueError(f"on_error must be stop or skip, got {on_error}")
        if cache is None and not self.in_memory:
            raise ValueError("cache must be a folder for these images, got None: give cache=FOLDER")
        self.root, self.cache = Path(root), None if cache is None else Path(cache)
        self.workers, self.on_error = workers, on_error

    @abstractmethod
    def source(self, split: Split) -> Source:
        """The original images of a split.

        Raises:
            InputError: they are not there; says what was looked for, where, and where to get it.
        """

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "points"):
            return
        self.sources = {split: self.source(split) for split in SPLITS}  # both, before either is decoded
        self.decoded = {split: self._decode(source) for split, source in self.sources.items()}
        self.points, self.held_out = self.load()
        if len(self.points) < 2:
            raise InputError(f"there is {len(self.points)} image to train on: give more, at least 2")
        self.batch_size = min(self.batch_size, len(self.points))
        self.labels, self.held_out_labels = (_tensor(self.decoded[split].labels) for split in SPLITS)
        self.classes = self.sources["train"].classes
        self.labelled = self.labels is not None and len(self.classes or ()) > 1
        self.shift = self.scale = torch.full(self.shape, HALF)

    @property
    def has(self) -> frozenset[str]:
        there = {"labels": self.labelled, "modes": self.n_modes is not None}
        return frozenset(what for what, is_there in there.items() if is_there)

    def _decode(self, source: Source) -> Decoded:
        if self.cache is None:
            facts = source.describe()
            return Decoded(source.array(), source.labels, [], facts["sha256"], None, False)
        decoded = decode_once(
            source,
            self.cache,
            self.shape,
            self.workers,
            self.on_error,
            progress=f"Decoding {source.kind} {source.split}",
        )
        if decoded.built and decoded.skipped:
            n, first = len(decoded.skipped), "; ".join(decoded.skipped[:NAMED])
            logging.getLogger(__name__).warning(
                "warning: %d of %d images of %s %s cannot be decoded and are left out: %s%s",
                n, len(source), source.kind, source.split, first, "; …" * (n > NAMED),
            )  # fmt: skip
        return decoded

    def load(self) -> tuple[UInt8[Tensor, "N C H W"], UInt8[Tensor, "M C H W"]]:
        """The images of both splits, as pixels: unlike points, they are too many to become float32."""
        train, held_out = (_tensor(self.decoded[split].images) for split in SPLITS)
        return train, held_out

    def pixels(self, x: UInt8[Tensor, "*B C H W"]) -> Float[Tensor, "*B C H W"]:
        """In the data's own units, from 0 for black to 1 for white."""
        return x.float() / 255

    def standardise(
        self, x: UInt8[Tensor, "*B C H W"] | Float[Tensor, "*B C H W"]
    ) -> Float[Tensor, "*B C H W"]:
        """u of pixels, or of images in the data's own units."""
        if x.dtype == torch.uint8:
            return x.float().div_(255).sub_(HALF).div_(HALF)  # in place: half of the time
        return (x - HALF) / HALF

    def train_dataloader(self) -> Batches:
        return Batches(self.points, self.batch_size, self.seed, self._step, self.known_labels)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        own = batch.labelled and batch.labelled._replace(x=self.standardise(batch.labelled.x))
        return batch._replace(x=self.standardise(batch.x), labelled=own)


def viewable(images: Float[Tensor, "N C H W"]) -> Float[Tensor, "N _ H _"]:
    """Images that a picture can show: of over 3 channels the first are colours, the rest grey beside them."""
    n_channels = images.shape[1]
    if n_channels in (1, 3):
        return images
    beside = [images[:, c : c + 1].expand(-1, 3, -1, -1) for c in range(3, n_channels)]
    return torch.cat([images[:, :3], *beside], 3)


def _tensor(array: np.ndarray | None) -> Tensor | None:
    if array is None:
        return None
    with warnings.catch_warnings():  # batches are gathered copies, nothing writes to the map
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def read_image(
    file: Path | BytesIO, shape: Sequence[int], crop: int | Literal["centre", "none"]
) -> UInt8[np.ndarray, "C H W"]:
    """Decode, turn upright, crop around the centre and resize one image.

    The orientation that EXIF notes is applied, transparency lies on white, 16 bits become the upper 8
    (v / 257, rounded), grey is luma (ITU-R 601). Resizing is Pillow's LANCZOS, whose filter widens as
    an image shrinks.

    Args:
        shape: of the result, [C, H, W].
        crop: the side of the square that is kept; or "centre", the largest piece of the result's
            proportions, a square for a square; or "none", the whole, which is stretched.

    Raises:
        ValueError, OSError, …: it cannot be decoded, or is smaller than the crop.
    """
    channels, height, width = shape
    try:
        image = Image.open(file)
    except UnidentifiedImageError:
        raise ValueError("no image that Pillow can read") from None
    with image:
        picture = _in_mode(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")
    # cropped first: resize(box=…) would let what lies outside shine in
    picture = picture.crop(_box(picture.size, shape, crop))
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return np.array(picture).reshape(height, width, channels).transpose(2, 0, 1)


def _in_mode(image: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    if image.mode == "F":
        raise ValueError("it holds real numbers of unknown range")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("it holds numbers of more than 16 bits")
        if 0 < values.max() < 4096:
            raise ValueError(
                f"its 16-bit numbers end at {values.max()}, as those of 12 bits do, and it would be nearly "
                "black: scale them to 0 to 65535"
            )
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _box(
    size: tuple[int, int], shape: Sequence[int], crop: int | Literal["centre", "none"]
) -> tuple[int, int, int, int]:
    """Left, upper, right and lower edge of what is kept."""
    width, height = size
    if crop == "none":
        return 0, 0, width, height
    if crop == "centre":
        scale = min(width / shape[2], height / shape[1])
        kept = max(1, round(scale * shape[2])), max(1, round(scale * shape[1]))
    else:
        kept = crop, crop
    if kept[0] > width or kept[1] > height:
        raise ValueError(f"it is {width}×{height} pixels, smaller than the crop of {crop}")
    left, upper = (width - kept[0]) // 2, (height - kept[1]) // 2
    return left, upper, left + kept[0], upper + kept[1]


def require_one_of(shape: Sequence[int], *possible: Sequence[int]) -> None:
    """ValueError unless the shape is one of those that a set of fixed size has."""
    if list(shape) not in map(list, possible):
        raise ValueError(f"shape must be {' or '.join(str(list(p)) for p in possible)}, got {list(shape)}")


def require_square(shape: Sequence[int]) -> None:
    """ValueError unless an image of the shape is as wide as it is high."""
    if len(shape) == 3 and shape[1] != shape[2]:
        raise ValueError(f"shape must be a square, [C, H, H], as the crop is, got {list(shape)}")


def require_files(
    files: Sequence[Path], get: str, name: str, root: Path, fetch: Callable[[], object] | None
) -> None:
    """See that the files of a known data set are there; download them if there is a way.

    Args:
        get: how a user comes by them, for the message.
        fetch: downloads them; None does not try.

    Raises:
        InputError: files are missing and cannot be downloaded.
    """
    if all(file.exists() for file in files):
        return
    tried = f" (the download failed: {_fetched(fetch, files[0].parent)})" if fetch else ""
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise InputError(
            f"{name} is not there{tried}: looked for {', '.join(missing)} in "
            f"{files[0].parent.absolute()}; {get}, or give the folder that holds "
            f"{files[0].parent.relative_to(root)}, data.root=FOLDER"
        )


def _fetched(fetch: Callable[[], object], folder: Path) -> str:
    """Run a download; why it failed, if it did. Folders that it leaves empty are removed."""
    new = [f for f in (folder, *folder.parents) if not f.exists()]
    try:
        with _impatient():
            fetch()
        return "files are missing still"
    except Exception as error:  # torchvision raises whatever servers and damaged files lead to
        said = str(error).split()
        return " ".join(said[:40]) + " …" * (len(said) > 40) or type(error).__name__
    finally:
        for created in new:
            with suppress(OSError):  # not made, or something is in it
                created.rmdir()


@contextmanager
def _impatient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def labelled(
    kind: str,
    split: Split,
    images: np.ndarray,
    labels: Int64[np.ndarray, " N"],
    classes: Sequence[str],
    shape: Sequence[int],
) -> ArraySource:
    """An array read from a known data set, if it is what that set holds.

    Raises:
        ValueError: it is not.
    """
    if images.dtype != np.uint8 or images.shape[1:] != tuple(shape) or len(images) != len(labels):
        raise ValueError(
            f"{images.dtype} images of shape {list(images.shape)} and {len(labels)} labels, expected uint8 "
            f"images of shape {list(shape)}, each with a label"
        )
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(classes)):
        raise ValueError(f"labels from {labels.min()} to {labels.max()}, expected 0 to {len(classes) - 1}")
    return ArraySource(kind, split, images, labels, classes)
