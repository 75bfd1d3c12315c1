"""Files, whole or not at all, and held by one process at a time."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from energy_gan.errors import InputError


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """`write` fills a temporary file beside `path`, which then takes its place at once, on the disk itself.

    A process that is killed in between leaves `.STEM.xxxx.SUFFIX` behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.stem}.{secrets.token_hex(4)}{path.suffix}"
    temporary.touch(exist_ok=False)  # with the rights that the user's umask leaves
    try:
        write(temporary)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)  # the new name as well
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """The text as the whole of a file."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_lines(path: Path, blocks: Iterable[Sequence[str]]) -> None:
    """Lines, block by block, as the whole of a file."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as file:
            for block in blocks:
                file.writelines(f"{line}\n" for line in block)

    write_atomically(path, write)


def write_json(path: Path, numbers: Mapping) -> None:
    """Numbers as the whole of a .json file."""
    write_text(path, json.dumps(numbers, indent=2, ensure_ascii=False) + "\n")


def room(path: Path) -> int:
    """Free bytes where this file or folder is, or would be made."""
    there = path.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def require_room(what: str, needed: int, place: Path, remedy: str) -> None:
    """InputError unless so many bytes are free where this file or folder is, or would be made."""
    free = room(place)
    if needed > free:
        raise InputError(
            f"{what} need {in_bytes(needed)} and {place.absolute()} has {in_bytes(free)} free: make room, or "
            f"{remedy}"
        )


def in_bytes(size: int) -> str:
    """A size as people read it."""
    return next(
        (f"{size / 2**k:.1f} {u}" for k, u in [(30, "GiB"), (20, "MiB")] if size >= 2**k), f"{size} B"
    )


@contextmanager
def held(path: Path, refusal: str) -> Iterator[None]:
    """Hold a file or a folder for this process alone; InputError, the refusal, if another one does.

    The lock dies with its owner. A file system without locks has none.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(refusal) from error
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
