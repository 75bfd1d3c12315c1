"""Decode once: the images of a source become one uint8 array (N, C, H, W) on disk, memory-mapped.

    NAME.npy        the array
    NAME.json       its manifest: what it was made from, how many rows, their sha256, what was left out
    NAME.part.npy   the array while it grows: rows are appended chunk by chunk, in the source's order
    NAME.journal    a line for each finished chunk: how many rows, their crc32, what was left out
    NAME.lock       held by the one process that builds

A chunk's rows are written before its line. So whatever moment a build is killed at, the next one goes on
after the last chunk whose line is whole and whose rows have its crc32, and ends with the same array as a
build that was never disturbed. A file that cannot be decoded takes no row, so nothing moves at the end.

The array is put in place between taking the old manifest away and writing the new one. So a reader that
finds the same manifest before and after it opened the array has the array that the manifest describes.
"""

import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch.utils.data import DataLoader
from tqdm import tqdm

from energy_gan.data.source import Rows, Source
from energy_gan.errors import InputError
from energy_gan.system.files import require_room
from energy_gan.system.processes import end_with

FORMAT = 1  # raise it when images come to be decoded otherwise
CHUNK = 256  # images
RESULT = {"count", "sha256", "skipped"}  # what a manifest adds to the description of its source
OnError = Literal["stop", "skip"]


class Decoded(NamedTuple):
    """A source's good images, in its order."""

    images: Rows
    labels: Int64[np.ndarray, " N"] | None
    skipped: list[str]  # name and reason
    sha256: str  # of the rows
    file: Path | None  # None: in memory
    built: bool  # now, not found ready


def decode_once(
    source: Source,
    folder: Path,
    shape: Sequence[int],
    workers: int = 0,
    on_error: OnError = "stop",
    progress: str = "",
) -> Decoded:
    """The decoded images from the folder; first decoded into it if they are not there yet.

    Args:
        shape: of one image, [C, H, W].
        workers: processes that decode; 0: in this one.
        on_error: what a file that cannot be decoded does; "stop" also refuses an array from which
            files were left out.
        progress: the text before the bar; no bar if empty, or if standard error is no terminal.

    Raises:
        InputError: a bad file under on_error="stop", no good file at all, or too little space.
    """
    if not len(source):
        raise InputError(f"{source.kind} has no {source.split} images: give it more")
    place = _Place(folder, source, shape)
    found, built = place.read(), False
    if found is None:
        _check_space(place, len(source) * prod(shape))
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(place.lock):
            found = place.read()  # another process may have built it meanwhile
            if found is None:
                _build(source, place, workers, on_error, progress)
                found, built = place.read(), True
    images, manifest = found
    skipped = manifest["skipped"]
    if skipped and on_error == "stop":
        raise _bad_file(skipped[0])
    labels = source.labels
    if labels is not None:
        labels = np.delete(labels, [index for index, *_ in skipped])
    listed = [f"{name}: {reason}" for _, name, reason in skipped]
    return Decoded(images, labels, listed, manifest["sha256"], place.array, built)


class _Place:
    """The files of one source's array, and what its manifest must say."""

    def __init__(self, folder: Path, source: Source, shape: Sequence[int]):
        name = f"{source.kind}_{source.split}_{'x'.join(map(str, shape))}"
        self.folder, self.shape = folder, tuple(shape)
        self.array, self.manifest = folder / f"{name}.npy", folder / f"{name}.json"
        self.part, self.journal = folder / f"{name}.part.npy", folder / f"{name}.journal"
        self.lock = folder / f"{name}.lock"
        about = {"format": FORMAT, "shape": self.shape, "images": len(source), "source": source.describe()}
        self.about = json.loads(json.dumps(about))

    def read(self) -> tuple[Rows, dict[str, Any]] | None:
        """The array and its manifest; None if there is none that fits."""
        try:
            before = self.manifest.read_bytes()
            manifest = json.loads(before)
            if {key: manifest[key] for key in self.about} != self.about or not manifest.keys() >= RESULT:
                return None
            # read-only: a private writable map must fit into memory and swap as a whole
            images = np.load(self.array, mmap_mode="r")
            if images.dtype != np.uint8 or images.shape != (manifest["count"], *self.shape):
                return None
            return (images, manifest) if self.manifest.read_bytes() == before else None
        except (
            FileNotFoundError,
            NotADirectoryError,
            EOFError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ):
            return None


def _check_space(place: _Place, size: int) -> None:
    there = place.folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise InputError(f"data.cache={place.folder}: {there} is a file, give a folder: data.cache=FOLDER")
    needed = size - (place.part.stat().st_size if place.part.exists() else 0)
    require_room("the decoded images", needed, place.folder, "give another place, data.cache=FOLDER")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time. Worker processes do not inherit this lock, so it dies with its owner."""
    with lock.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def _bad_file(skipped: Sequence[Any]) -> InputError:
    _, name, reason = skipped
    return InputError(
        f"{name} cannot be decoded ({reason}): mend or remove it, or give data.on_error=skip to leave out "
        "such files"
    )


def _build(source: Source, place: _Place, workers: int, on_error: OnError, progress: str) -> None:
    source.prepare()
    part = _Part(place)
    hidden = None if progress else True  # None: unless standard error is a terminal
    try:
        with tqdm(total=len(source), desc=progress, unit=" images", disable=hidden) as bar:
            bar.update(min(part.chunks * CHUNK, len(source)))
            for rows, skipped in _chunks(source, part.chunks, place.shape, workers):
                if skipped and on_error == "stop":
                    raise _bad_file(skipped[0])
                part.append(rows, skipped)
                bar.set_postfix(skipped=len(part.skipped), refresh=False)
                bar.update(len(rows) + len(skipped))
        part.finish()
    finally:
        part.close()
        source.close()


def _chunks(
    source: Source, first: int, shape: Sequence[int], workers: int
) -> Iterator[tuple[Rows, list[tuple[int, str, str]]]]:
    """The chunks from the first on, in order: the good rows, and what cannot be decoded."""
    starts = range(first * CHUNK, len(source), CHUNK)
    array = source.array()
    if array is not None:
        yield from ((array[start : start + CHUNK], []) for start in starts)
    elif starts:
        yield from DataLoader(
            _Decoder(source, tuple(shape)),
            batch_size=None,
            sampler=starts,
            num_workers=min(workers, len(starts), _cores()),
            collate_fn=_unchanged,
            worker_init_fn=partial(_begin_worker, os.getpid()),
            generator=torch.Generator(),  # else it would draw from the run's own random numbers
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin_worker(parent: int, _: int) -> None:
    end_with(parent)  # torch's own watch begins later, and never ends a worker whose parent is dead by then


def _unchanged(chunk: Any) -> Any:
    return chunk


class _Decoder(torch.utils.data.Dataset):
    """From the first index of a chunk to its rows; runs in a worker process."""

    def __init__(self, source: Source, shape: tuple[int, ...]):
        self.source, self.shape = source, shape

    def __getitem__(self, start: int) -> tuple[Rows, list[tuple[int, str, str]]]:
        rows, skipped = [], []
        for index in range(start, min(start + CHUNK, len(self.source))):
            try:
                rows.append(self._one(index))
            except Exception as error:  # Pillow raises whatever the damaged bytes lead to
                skipped.append((index, self.source.name(index), _reason(error)))
        return np.stack(rows) if rows else np.empty((0, *self.shape), np.uint8), skipped

    def _one(self, index: int) -> UInt8[np.ndarray, "C H W"]:
        image = self.source[index]
        if image.shape != self.shape:
            raise ValueError(f"it is decoded to shape {list(image.shape)}, expected {list(self.shape)}")
        return image


def _reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()) or type(error).__name__


class _Part:
    """The array as far as it is built, and the journal of its chunks."""

    def __init__(self, place: _Place):
        self.place, self.digest = place, hashlib.sha256()
        self.chunks, self.count, self.skipped = 0, 0, []
        if place.array.exists() and not place.part.exists() and not place.manifest.exists():
            place.array.replace(place.part)  # killed between array and manifest
        first = json.dumps({**place.about, "chunk": CHUNK}).encode() + b"\n"
        lines = place.journal.read_bytes().splitlines(keepends=True) if place.journal.exists() else []
        if not place.part.exists() or lines[:1] != [first]:
            place.part.write_bytes(self._header())
            place.journal.write_bytes(first)
            lines = [first]
        self.rows, self.lines = place.part.open("r+b"), place.journal.open("r+b")
        self.rows.seek(len(self._header()))
        self._recover(lines)
        self.rows.truncate()
        self.lines.truncate()

    def _recover(self, lines: Sequence[bytes]) -> None:
        """Count the chunks that are whole; leave both files open where the next one belongs."""
        self.lines.seek(len(lines[0]))
        for line in lines[1:]:
            start = self.rows.tell()
            try:
                entry = json.loads(line)
                rows = self.rows.read(entry["rows"] * prod(self.place.shape))
                whole = line.endswith(b"\n") and zlib.crc32(rows) == entry["crc32"]
            except (ValueError, KeyError, TypeError):  # a torn line
                whole = False
            if not whole:
                self.rows.seek(start)
                return
            self._count(rows, entry["rows"], entry["skipped"])
            self.lines.seek(len(line), os.SEEK_CUR)

    def _count(self, rows: bytes, count: int, skipped: list[Any]) -> None:
        self.digest.update(rows)
        self.chunks, self.count = self.chunks + 1, self.count + count
        self.skipped += skipped

    def append(self, rows: Rows, skipped: list[Any]) -> None:
        data = rows.tobytes()
        self.rows.write(data)
        self.rows.flush()
        entry = {"rows": len(rows), "crc32": zlib.crc32(data), "skipped": skipped}
        self.lines.write(json.dumps(entry).encode() + b"\n")
        self.lines.flush()
        self._count(data, len(rows), skipped)

    def finish(self) -> None:
        place = self.place
        if not self.count:
            _, name, reason = self.skipped[0]
            raise InputError(
                f"none of {len(self.skipped)} images can be decoded, the first is {name} ({reason}): "
                "give images of a common format"
            )
        self.rows.seek(0)
        self.rows.write(self._header())
        self.rows.flush()
        os.fsync(self.rows.fileno())
        place.manifest.unlink(missing_ok=True)
        place.part.replace(place.array)
        manifest = place.about | {
            "count": self.count,
            "sha256": self.digest.hexdigest(),
            "skipped": self.skipped,
        }
        part = place.manifest.with_suffix(".part.json")
        part.write_text(json.dumps(manifest, indent=1) + "\n")
        part.replace(place.manifest)
        place.journal.unlink()

    def _header(self) -> bytes:
        """The .npy header; NumPy leaves room in it, so that its length is the same for any count."""
        header = BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.place.shape)}
        )
        return header.getvalue()

    def close(self) -> None:
        self.rows.close()
        self.lines.close()
