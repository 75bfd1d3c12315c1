"""Tables as files: .npy, .csv and .parquet, written block by block, whole or not at all."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from energy_gan.errors import InputError
from energy_gan.system.files import require_room, write_atomically

if TYPE_CHECKING:
    import pandas as pd

WRITERS = (".npy", ".csv", ".parquet")


def check_writable(path: Path, endings: Sequence[str] = WRITERS) -> None:
    """Refuse an output file that exists, whose folder does not, or whose ending is unknown.

    Raises:
        InputError: in these cases.
    """
    if path.suffix not in endings:
        named = [ending or "a folder's name" for ending in endings]
        raise InputError(f"OUT={path} has an unknown ending: give one of {', '.join(named)}")
    if path.exists():
        raise InputError(f"OUT={path} exists already and nothing is overwritten: name another file")
    if not path.parent.is_dir():
        raise InputError(f"OUT={path}: the folder {path.parent} does not exist, make it first")


def require_room_for(path: Path, n: int, numbers: int) -> None:
    """InputError where the disk has no room for n samples of so many numbers.

    4 bytes a number are what .npy takes; digits take more, a compressed picture or table may take less.
    """
    if path.suffix in (".npy", ".csv"):
        require_room(f"{n} samples", 4 * n * numbers, path, "draw fewer")


def write_table(
    path: Path, blocks: Iterable[np.ndarray], shape: Sequence[int], columns: Sequence[str]
) -> None:
    """Rows as .npy, .csv or .parquet, whole or not at all; one block of them is in memory at a time.

    Args:
        blocks: at least one; together they have `shape`, rows first. All are of one type of number.
        columns: a name for each number of a row. An array has none, but the shape.
    """
    if path.suffix == ".npy":
        write_atomically(path, lambda file: _write_array(file, blocks, shape))
        return
    import pandas as pd

    rows = (block.reshape(len(block), -1) for block in blocks)
    write_frames(path, (pd.DataFrame(block, columns=list(columns)) for block in rows))


def write_frames(path: Path, frames: Iterable["pd.DataFrame"]) -> None:
    """One table after another, at least one, as one .csv or .parquet, whole or not at all."""
    write_atomically(
        path, lambda file: (_write_csv if path.suffix == ".csv" else _write_parquet)(file, frames)
    )


def _write_array(file: Path, blocks: Iterable[np.ndarray], shape: Sequence[int]) -> None:
    from numpy.lib import format as npy

    blocks = iter(blocks)
    first = np.ascontiguousarray(next(blocks))
    header = {"descr": npy.dtype_to_descr(first.dtype), "fortran_order": False, "shape": tuple(shape)}
    with file.open("wb") as stream:
        npy.write_array_header_1_0(stream, header)
        for block in chain([first], blocks):
            stream.write(np.ascontiguousarray(block).data)


def _write_csv(file: Path, frames: Iterable["pd.DataFrame"]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        for number, frame in enumerate(frames):
            frame.to_csv(stream, index=False, header=number == 0)


def _write_parquet(file: Path, frames: Iterable["pd.DataFrame"]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    tables = (pa.Table.from_pandas(frame, preserve_index=False) for frame in frames)
    first = next(tables)
    with parquet.ParquetWriter(file, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
