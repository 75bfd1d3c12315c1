"""Where images come from: read one by one in a fixed order, and known by what would be decoded."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

Rows = UInt8[np.ndarray, "N C H W"]


class Source(ABC):
    """Images that can be read one by one in a fixed order. Worker processes get a copy: picklable.

    Attributes:
        kind: names the source, in files and messages.
        split: "train" or "held_out".
        labels: the class of each image, where the source has classes.
        classes: their names.
        ignored: how many files beside the images were passed over.
    """

    kind: str
    split: str
    labels: Int64[np.ndarray, " N"] | None = None
    classes: list[str] | None = None
    ignored: int = 0

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> UInt8[np.ndarray, "C H W"]:
        """One image; any exception says that it cannot be decoded."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Beside kind, split and shape, all that decides what is decoded, as JSON has it."""

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "split": self.split, **self.facts()}

    def name(self, index: int) -> str:
        """What errors call an image."""
        return f"{self.kind} {self.split} image {index}"

    def array(self) -> Rows | None:
        """All images, where they are in memory anyway."""
        return None

    def prepare(self) -> None:  # noqa: B027, nothing for most
        """What must be known before the first image is read, and is not needed once all are decoded."""

    def close(self) -> None:  # noqa: B027
        """Let go of what reading opened in this process."""


class ArraySource(Source):
    """Images in memory, known by their content."""

    def __init__(
        self,
        kind: str,
        split: str,
        images: Rows,
        labels: Int64[np.ndarray, " N"] | None = None,
        classes: Sequence[str] | None = None,
    ):
        self.kind, self.split, self.images = kind, split, np.ascontiguousarray(images)
        self.labels, self.classes = labels, list(classes) if classes else None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "C H W"]:
        return self.images[index]

    def facts(self) -> dict[str, Any]:
        return {"sha256": hashlib.sha256(self.images).hexdigest()}

    def array(self) -> Rows:
        return self.images


def fingerprint(root: Path, files: Iterable[str]) -> dict[str, Any]:
    """How many files, their bytes, and a hash of names, sizes and times: what changes when a file does."""
    count, total, digest = 0, 0, hashlib.sha256()
    for name in files:
        try:
            stat = (root / name).stat()
            size, time = stat.st_size, stat.st_mtime_ns
        except OSError:  # a missing file is a bad image, found again when it is read
            size, time = 0, -1
        count, total = count + 1, total + size
        digest.update(os.fsencode(name) + f"\0{size}\0{time}\n".encode())
    return {"files": count, "bytes": total, "sha256": digest.hexdigest()}
