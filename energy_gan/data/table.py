"""A user's own table, one row for each point: .npy, .csv or .parquet, numbers only.

Whatever is wrong with a file is one line that names the place, what was expected and what to do.
Rows count from 1 and do not count a header.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.data.density import Density
from energy_gan.errors import InputError
from energy_gan.randomness import random_generator

ENDINGS = (".npy", ".csv", ".parquet")
ROW_NUMBERS = ("", "__index_level_0__")  # how pandas names an index that it saves in .csv and .parquet


class ArrayPoints(DataModule):
    """The rows of an array, a random part of them held out.

    Args:
        x: of shape (N, D), numbers only.
        columns: their names; "x0", "x1", … if None.
        held_out: the share of the rows that is kept back, between 0 and 1.
        batch_size, seed: as in `DataModule`; the seed draws the split too.
        density: the law that the rows were drawn from, where it is known. Training never sees it; what
            was learned is measured against it.

    Raises:
        InputError: x is no table of finite numbers in which every column varies.
    """

    def __init__(
        self,
        x: Float[np.ndarray, "N D"],
        columns: Sequence[str] | None = None,
        held_out: float = 0.1,
        batch_size: int = 128,
        seed: int = 0,
        density: Density | None = None,
    ):
        super().__init__(x.shape[1:], batch_size, seed)
        if density is not None and tuple(density.low.shape) != self.shape:
            raise ValueError(
                f"density must be of points of shape {list(self.shape)}, as the table's rows are, got one of "
                f"{list(density.low.shape)}"
            )
        self.density = density
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must be a share between 0 and 1, both excluded, got {held_out}")
        self.x, self.share = x, held_out
        self.columns = list(columns or (f"x{i}" for i in range(x.shape[1])))

    def load(self) -> tuple[Float[Tensor, "N D"], Float[Tensor, "M D"]]:
        check_rows(self.x, self.columns, self.source)
        if len(self.x) < 2:
            raise InputError(f"{self.source} has 1 row: give 2 or more, one to train on and one to hold out")
        order = torch.randperm(len(self.x), generator=random_generator(self.seed, 0))
        rows = torch.from_numpy(self.x)[order]
        n_held_out = min(max(1, round(self.share * len(rows))), len(rows) - 1)
        held_out, points = rows[:n_held_out], rows[n_held_out:]
        for name, column in zip(self.columns, points.T, strict=True):
            if column.min() == column.max():
                raise InputError(
                    f"{self.source}: column {name!r} is {column[0]:g} in all {len(points)} rows to train on, "
                    "and a density needs every column to vary: drop the column"
                )
        return points, held_out

    @property
    def source(self) -> str:
        """What errors call the table."""
        return "the array"


class TablePoints(ArrayPoints):
    """The rows of a table on disk, a random part of them held out.

    Args:
        path: of a .npy, .csv or .parquet file, see `read_table`.
        shape: of one point, [number of columns].
        held_out, batch_size, seed, density: as in `ArrayPoints`.
    """

    def __init__(
        self,
        path: str,
        shape: Sequence[int],
        held_out: float = 0.1,
        batch_size: int = 128,
        seed: int = 0,
        density: Density | None = None,
    ):
        if len(shape) != 1:
            raise ValueError(f"shape must be one number, the number of columns, got {list(shape)}")
        self.path = path
        x, columns = read_table(path, columns=shape[0])
        super().__init__(x, columns, held_out, batch_size, seed, density)

    @property
    def source(self) -> str:
        return self.path


def read_table(path: str, columns: int | None = None) -> tuple[Float32[np.ndarray, "N D"], list[str]]:
    """The numbers of a table and the names of its columns, which are x0, x1, … where it has none.

    A .npy file holds an array of two dimensions; nothing pickled is read. A .csv file is separated
    by commas; if all cells of its first line are numbers, it has no header.

    Args:
        columns: how many there must be, None for any number.

    Raises:
        InputError: the file is missing or unreadable, has no rows or another number of columns, or
            a cell is not a finite number.
    """
    file = _file(path)
    values, names = _read_npy(file) if _ending(file) == ".npy" else _read_arrow(file)
    if columns not in (None, len(names)):
        listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise InputError(
            f"{path} has {len(names)} column{'s' * (len(names) != 1)} ({listed}), expected {columns}: "
            f"give a table with {columns}"
        )
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite and is refused
        numbers = np.array(values, dtype=np.float32)
    check_rows(numbers, names, path)
    return numbers, names


def check_rows(x: Float32[np.ndarray, "N D"], columns: Sequence[str], source: str) -> None:
    """InputError if there are no rows, or a number in them is not finite."""
    if not x.size:
        raise InputError(f"{source} has no rows: give a table with one row for each point")
    bad = ~np.isfinite(x)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"{source}: {bad.any(1).sum()} of {len(bad)} rows hold a value that is missing or infinite in "
            f"float32, the first {x[row, column]:g} in row {row + 1}, column {columns[column]!r}: "
            "drop these rows or fill them in"
        )


def table_shape(path: str) -> list[int]:
    """The shape of one row, [D], from the file's header alone.

    Raises:
        InputError: the file is missing or its header unreadable.
    """
    file = _file(path)
    if _ending(file) == ".npy":
        return [_open_npy(file).shape[1]]
    if _ending(file) == ".csv":
        return [len(_first_line(file))]
    with _explained(file):
        return [len(pa.parquet.read_schema(file))]


def _file(path: str) -> Path:
    file = Path(path)
    formats = f"a {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]} file"
    if file.is_dir():
        raise InputError(f"{path} is a folder: give the path of {formats}")
    if not file.is_file():
        raise InputError(f"{path} does not exist (looked in {Path.cwd()}): give the path of {formats}")
    if _ending(file) not in ENDINGS:
        raise InputError(f"{path} is of an unknown kind, {file.suffix or 'no ending'}: give {formats}")
    if not file.stat().st_size:
        raise InputError(f"{path} is an empty file: give a table with one row for each point")
    return file


def _ending(file: Path) -> str:
    return file.suffix.lower()


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """What a library raises on a damaged file becomes one line for the user."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # NumPy and Arrow raise whatever the damaged bytes lead to
        said = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{file} cannot be read as {_ending(file)} ({said}): write it anew, numbers only"
        ) from error


def _open_npy(file: Path) -> np.ndarray:
    with _explained(file):
        array = np.lib.format.open_memmap(file, mode="r")  # unlike np.load, it never unpickles
    if array.ndim != 2:
        raise InputError(f"{file} holds an array of shape {array.shape}: reshape it to (rows, columns)")
    return array


def _read_npy(file: Path) -> tuple[np.ndarray, list[str]]:
    array = _open_npy(file)
    names = _numbered(array.shape[1])
    if array.size and array.dtype.kind not in "biuf":
        raise _not_a_number(file, names[0], array[:, 0].tolist())
    return array, names


def _read_arrow(file: Path) -> tuple[np.ndarray, list[str]]:
    with _explained(file):
        table = pa.parquet.read_table(file) if _ending(file) == ".parquet" else _read_csv(file)
    columns = []
    for number, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True), start=1):
        if name in ROW_NUMBERS:
            raise InputError(
                f"{file}: column {number} has no name, it may number the rows: name it or save the table "
                "without it (in pandas, index=False)"
            )
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not _is_numeric(column.type):
            raise _not_a_number(file, name, column.to_pylist())
        columns.append(column.cast(pa.float64(), safe=False).to_numpy())
    return np.column_stack(columns) if columns else np.empty((0, 0)), table.column_names


def _read_csv(file: Path) -> pa.Table:
    first = _first_line(file)
    names = _numbered(len(first)) if all(map(_is_number, first)) else None
    # one thread: Arrow then tells the number of a bad line
    return pa.csv.read_csv(file, pa.csv.ReadOptions(use_threads=False, column_names=names))


def _first_line(file: Path) -> list[str]:
    with _explained(file), file.open(encoding="utf-8-sig", newline="") as lines:
        first = next((line for line in csv.reader(lines) if line), [])
    if not first:
        raise InputError(f"{file} has no rows: give a table with one row for each point")
    if len(first) == 1 and any(mark in first[0] for mark in ";\t"):
        raise InputError(
            f"{file}: its first line, {first[0]!r}, has no comma: separate the columns by commas"
        )
    return first


def _numbered(columns: int) -> list[str]:
    return [f"x{i}" for i in range(columns)]


def _is_numeric(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal,
        pa.types.is_null,
    )
    return any(test(kind) for test in tests)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _not_a_number(file: Path, name: str, values: list[Any]) -> InputError:
    """The error for a column of text, dates, lists …, whose first value is named that is no number."""
    row = next((i for i, value in enumerate(values) if value is not None and not _is_number(value)), 0)
    return InputError(
        f"{file}: row {row + 1}, column {name!r} holds {values[row]!r}, expected a number: "
        "drop the column or turn it into numbers"
    )


def read_in_order(path: str, columns: Sequence[str]) -> Float32[np.ndarray, "N D"]:
    """A table's rows, its columns in the order of those trained on; as they are where either has no names.

    Raises:
        InputError: it has others, or cannot be read, see `read_table`.
    """
    x, names = read_table(path, columns=len(columns))
    unnamed = _numbered(len(columns))
    if list(columns) == unnamed or names in (unnamed, list(columns)):
        return x
    if set(names) != set(columns):
        raise InputError(
            f"{path} has the columns {', '.join(names)}, the run was trained on {', '.join(columns)}: "
            "give a table with these"
        )
    return x[:, [names.index(column) for column in columns]]
