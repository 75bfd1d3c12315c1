"""LSUN's bedrooms: 3,033,042 photographs to train on, in an lmdb of 43 GB, and 300 held out."""

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from energy_gan.data.cache import OnError
from energy_gan.data.images import ImageData, Split, read_image, require_files, require_square
from energy_gan.data.source import Source, fingerprint
from energy_gan.errors import InputError

PAGE = "https://github.com/fyu/lsun"
PART = {"train": "train", "held_out": "val"}
BLOCK = 2**16  # keys


class LSUN(ImageData):
    """Bedrooms; the centre square of each, resized. The official validation part is held out.

    Reference: LSUN: Construction of a Large-scale Image Dataset using Deep Learning with Humans in the
    Loop (Yu, Seff, Zhang, Song, Funkhouser, Xiao, 2015), https://arxiv.org/abs/1506.03365

    Args:
        root: holds bedroom_train_lmdb/ and bedroom_val_lmdb/, as torchvision has it.
        shape: [C, H, H].
        category: another of LSUN's, e.g. church_outdoor.
        cache, batch_size, seed, workers, on_error: as in `ImageData`.
    """

    labelled = False

    def __init__(
        self,
        root: str = "data",
        shape: Sequence[int] = (3, 64, 64),
        category: str = "bedroom",
        cache: str | None = "data/cache",
        batch_size: int = 128,
        seed: int = 0,
        workers: int = 4,
        on_error: OnError = "stop",
    ):
        require_square(shape)
        if not category.replace("_", "").isalpha():
            raise ValueError(f"category must be a name as bedroom or church_outdoor, got {category!r}")
        super().__init__(shape, root, cache, batch_size, seed, workers, on_error)
        self.category = category

    def source(self, split: Split) -> Source:
        folder = self.root / f"{self.category}_{PART[split]}_lmdb"
        require_files(
            [folder / "data.mdb"],
            get=f"`python download.py -c {self.category}` of {PAGE} gets {folder.name}.zip: unpack it there",
            name=f"LSUN {self.category}",
            root=self.root,
            fetch=None,
        )
        return _LSUN(folder, f"lsun_{self.category}", split, self.shape)


class _LSUN(Source):
    def __init__(self, folder: Path, kind: str, split: Split, shape: Sequence[int]):
        self.folder, self.kind, self.split, self.shape = folder, kind, split, tuple(shape)
        self.environment, self.owner, self.keys = None, None, None
        with self._open() as environment:
            self.length = environment.stat()["entries"]

    def _open(self) -> Any:
        try:
            import lmdb
        except ImportError as error:
            raise InputError(
                "LSUN's files need the package lmdb, which is not installed: pip install 'energy_gan[images]'"
            ) from error
        try:
            return lmdb.open(
                str(self.folder), readonly=True, lock=False, readahead=False, meminit=False, create=False
            )
        except lmdb.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f"{self.folder.absolute()} is damaged or no lmdb ({error}): get it anew, see {PAGE}"
        )

    def __len__(self) -> int:
        return self.length

    def prepare(self) -> None:
        """Read the keys, blocks of them packed: 3 million take 120 MB instead of 300."""
        import lmdb

        blocks, block = [], []
        with self._open() as environment, environment.begin() as transaction:
            text = f"Listing {self.kind} {self.split}"
            try:
                keys = transaction.cursor().iternext(values=False)
                for key in tqdm(keys, total=self.length, desc=text, unit=" keys", disable=None, leave=False):
                    block.append(key)
                    if len(block) == BLOCK:
                        blocks.append(np.array(block))
                        block = []
            except lmdb.Error as error:
                raise self._damaged(error) from error
        self.keys = np.concatenate([*blocks, np.array(block, dtype="S")])

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "C H W"]:
        if self.owner != os.getpid():  # an environment must not cross into a worker process
            self.environment, self.owner = self._open(), os.getpid()
        with self.environment.begin() as transaction:
            return read_image(BytesIO(transaction.get(self.keys[index])), self.shape, "centre")

    def close(self) -> None:
        if self.owner == os.getpid():  # lmdb refuses to open a folder twice in one process
            self.environment.close()
            self.environment, self.owner = None, None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"environment": None, "owner": None}

    def name(self, index: int) -> str:
        return f"{self.folder}, key {self.keys[index].decode(errors='replace')}"

    def facts(self) -> dict[str, Any]:
        return {"crop": "centre", **fingerprint(self.folder, ["data.mdb"])}
