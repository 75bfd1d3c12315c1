"""Folders of images that are damaged, no images, or too large: named, or left out where that is asked for."""

import contextlib
import io
import random
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from faults.common import Outcome, fresh
from PIL import Image

from energy_gan.data.folder import Folder
from energy_gan.errors import InputError

SHAPE = [3, 8, 8]


def encoded(format: str, seed: int = 0, size: int = 12) -> bytes:  # noqa: A002, Pillow's name for it
    """A picture of noise as a file of this format."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def pictures(n_flips: int = 10, seed: int = 0) -> Iterator[Outcome]:
    """One bad file among good ones, for each way to be bad."""
    places = random.Random(seed)
    for ending, format in (("png", "PNG"), ("jpg", "JPEG"), ("gif", "GIF"), ("webp", "WEBP"), ("bmp", "BMP")):  # noqa: A001
        whole = encoded(format)
        for tenth in range(10):
            yield _among_good(f"{ending} cut at {tenth}/10", ending, whole[: len(whole) * tenth // 10])
        for _ in range(n_flips):
            place, bit = places.randrange(len(whole)), places.randrange(8)
            changed = whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
            yield _among_good(f"{ending} flipped at byte {place}, bit {bit}", ending, changed)
    for case, contents in {
        "text": b"not an image",
        "a script": b"#!/bin/sh\ntouch canary\n",
        "zeros": bytes(1000),
        "a picture of 60000 by 60000 by its header": _huge(60_000),
        "a picture of no size by its header": _huge(0),
    }.items():
        yield _among_good(case, "png", contents)
    for case, make in {
        "a folder called x.png": lambda path: path.mkdir(),
        "a link to nowhere": lambda path: path.symlink_to("nowhere"),
        "a link to itself": lambda path: path.symlink_to(path.name),
    }.items():
        folder = _good()
        make(folder / "x.png")
        yield Outcome("image", case, *_read(folder))
    elsewhere = fresh("elsewhere")
    (elsewhere / "secret.png").write_bytes(encoded("PNG"))
    for case, name, target in (
        ("an image", "x.png", "../elsewhere/secret.png"),
        ("a folder", "x", "../elsewhere"),
        ("no image", "x.png", "/etc/passwd"),
        ("a link out", "x.png", "y"),
    ):
        folder = _good()
        (folder / "y").symlink_to("../elsewhere/secret.png")
        (folder / name).symlink_to(target)
        yield Outcome("link out of the folder", f"to {case}", *_refused(folder))


def _good() -> Path:
    folder = fresh("images")
    for k in range(6):
        (folder / f"{k}.png").write_bytes(encoded("PNG", k))
    return folder


def _among_good(case: str, ending: str, contents: bytes) -> Outcome:
    folder = _good()
    (folder / f"x.{ending}").write_bytes(contents)
    return Outcome("image", case, *_read(folder))


def _read(folder: Path) -> tuple[bool, str]:
    """Stopping names the file in one line; leaving out keeps the six good ones."""
    shutil.rmtree("cache", ignore_errors=True)
    stops = ""
    for how in ("stop", "skip"):
        data = Folder(str(folder), SHAPE, cache="cache", batch_size=2, workers=0, on_error=how)
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # a warning of what is left out
                data.setup()
        except InputError as error:
            stops = str(error)
            if how == "skip" or "x." not in stops or "\n" in stops:
                return False, f"{how}: {stops}"
        except Exception as error:
            return False, f"{how}: {type(error).__name__}: {error}"
    n = len(data.points) + len(data.held_out)
    good = n == 6 if stops else n in (6, 7)
    return good, f"{n} images; {stops}"


def _refused(folder: Path) -> tuple[bool, str]:
    """One line that names the link, whatever on_error says, and nothing decoded."""
    for how in ("stop", "skip"):
        shutil.rmtree("cache", ignore_errors=True)
        try:
            Folder(str(folder), SHAPE, cache="cache", batch_size=2, workers=0, on_error=how).setup()
        except InputError as error:
            if "is a link out of images" not in str(error) or "\n" in str(error) or Path("cache").exists():
                return False, str(error)
        else:
            return False, "it was read"
    return True, ""


def _huge(size: int) -> bytes:
    """A PNG that claims this many pixels a side and holds none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
