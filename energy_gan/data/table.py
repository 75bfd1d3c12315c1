"""A user's own table, one row for each point: a frame, an array or a file.

Whatever is wrong with it is one line that names the place, what was expected and what to do.
Rows count from 1 and do not count a header.
"""

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.data.base import Batches, DataModule
from energy_gan.data.columns import reads_as_number
from energy_gan.data.density import Density
from energy_gan.data.schema import Schema, as_table
from energy_gan.data.units import FENCE, Units, fitted
from energy_gan.errors import InputError
from energy_gan.randomness import random_generator
from energy_gan.shapes import Batch

SEPARATED = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}  # by what
ENDINGS = (".npy", *SEPARATED, ".parquet", ".xlsx")
ROW_NUMBERS = ("", "__index_level_0__")  # how pandas names an index that it saves in .csv and .parquet
Given = Mapping[str, Any] | str | None


class ArrayPoints(DataModule):
    """The rows of a table in memory, a random part of them held out.

    Args:
        x: a frame, an array of shape (N, D), or whatever else `as_table` takes.
        columns: what they hold, as far as it is not to be detected, see `Schema.of`.
        missing: what becomes of rows that lack a value: they are refused, dropped, or their cells are imputed
            (and none of these rows is held out).
        held_out: the share of the rows that is kept back, between 0 and 1.
        batch_size, seed: as in `DataModule`; the seed draws the split too.
        density: the law that the rows were drawn from, where it is known. Training never sees it; what
            was learned is measured against it.

    Attributes:
        schema: the columns, after `setup` with their standardisation.

    Raises:
        InputError: x is no table, or not one in which every column varies.
    """

    def __init__(
        self,
        x: Any,
        columns: dict[str, str | dict[str, Any]] | str | None = None,
        missing: Literal["refuse", "drop", "impute"] = "refuse",
        held_out: float = 0.1,
        batch_size: int = 128,
        seed: int = 0,
        density: Density | None = None,
    ):
        table = as_table(x, self.source)
        super().__init__([table.num_columns], batch_size, seed)
        if density is not None and tuple(density.low.shape) != self.shape:
            raise ValueError(
                f"density must be of points of shape {list(self.shape)}, as the table's rows are, got one of "
                f"{list(density.low.shape)}"
            )
        self.density = density
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must be a share between 0 and 1, both excluded, got {held_out}")
        if missing not in ("refuse", "drop", "impute"):
            raise ValueError(f"missing must be refuse, drop or impute, got {missing!r}")
        self.missing, self.share = missing, held_out
        if not table.num_rows or not table.num_columns:
            raise InputError(f"{self.source} has no rows: give a table with one row for each point")
        known = columns if columns or density is None else "continuous"
        self.schema = Schema.of(table, known, self.source)
        self.x, self.columns = self.schema.encode(table, self.source), self.schema.names

    def load(self) -> tuple[Float[Tensor, "N D"], Float[Tensor, "M D"]]:
        lacks = np.isnan(self.x)
        if self.missing == "refuse":
            self._refuse(lacks)
        usable = ~lacks.any(1) if self.missing == "drop" else ~lacks.all(1)
        x, lacks = self.x[usable], lacks[usable]
        order = torch.randperm(len(x), generator=random_generator(self.seed, 0)).numpy()
        whole = order[~lacks.any(1)[order]]
        if len(whole) < 3:
            rows = (
                f"{len(whole)} row{'s' * (len(whole) != 1)}{' without a missing value' * bool(lacks.any())}"
            )
            raise InputError(f"{self.source} has {rows}: give 3 or more, to train on and to hold out")
        n_held_out = min(max(1, round(self.share * len(x))), len(whole) - 2)
        held_out = whole[:n_held_out]
        rest = order[~np.isin(order, held_out)]
        points = self._imputed(x[rest]) if lacks.any() else x[rest]
        for column, values in zip(self.schema.columns, points.T, strict=True):
            if values.min() == values.max():
                raise InputError(
                    f"{self.source}: column {column.name!r} is {column.shown(values[0])} in all "
                    f"{len(points)} rows to train on, and a density needs every column to vary: "
                    "drop the column"
                )
        return torch.from_numpy(points), torch.from_numpy(x[held_out])

    def _imputed(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        from energy_gan.data.missing import imputed  # with scikit-learn: a second

        return imputed(self.schema, x, random_generator(self.seed, 5))

    def moments(self) -> tuple[Float[Tensor, "D"], Float[Tensor, "D"]]:
        """The method itself gets numbers that are standardised already."""
        self.schema = fitted(self.schema, self.points.numpy(), self.seed)
        self.units = Units(self.schema)
        far = (self.units.networks(self.points).u.abs() > FENCE) & self.units.tails
        self.points = self.points[~far.any(1)]  # an energy bends towards the few that stand out
        self.batch_size = min(self.batch_size, len(self.points))
        return torch.zeros(self.shape), torch.ones(self.shape)

    def standardise(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        return self.units.random(x, random_generator(self.seed, 4)).u.float()

    def log_volume(self, x: Float[Tensor, "B D"]) -> float:
        return float(self.units.random(x, random_generator(self.seed, 4)).log_volume.mean())

    def train_dataloader(self) -> Batches:
        if not self.schema.discrete:
            return super().train_dataloader()
        return Noised(self.units, self.points, self.batch_size, self.seed, self._step)

    @property
    def described(self) -> dict[str, Any]:
        return super().described | {"schema": self.schema.to_config()}

    @property
    def notes(self) -> list[str]:
        """The columns in one line, and one for each column of which a few cells stand out."""
        lines = [f"{self.source}: {self.schema}"]
        lacks = np.isnan(self.x)
        if lacks.any():
            done = {"drop": "dropped", "impute": "imputed"}[self.missing]
            lines.append(
                f"{self.source}: {lacks.any(1).sum()} of {len(lacks)} rows lack a value and are {done}"
            )
        u = self.units.networks(torch.from_numpy(self.x)).u.numpy()
        for i, column in enumerate(self.schema.columns):
            far = np.abs(u[:, i]) > FENCE
            if column.tails and far.any():
                row = int(np.argmax(np.where(far, np.abs(u[:, i]), 0)))
                lines.append(
                    f"{self.source}: {far.sum()} of {len(far)} cells of column {column.name!r} stand out, "
                    f"the farthest {column.shown(self.x[row, i])} in row {row + 1}: the scale "
                    "is that of the others, and these rows are not trained on"
                )
        return lines

    def _refuse(self, lacks: np.ndarray) -> None:
        if lacks.any():
            row, column = np.argwhere(lacks)[0]
            counts = ", ".join(f"{name} {n}" for name, n in zip(self.columns, lacks.sum(0), strict=True) if n)
            raise InputError(
                f"{self.source}: {lacks.any(1).sum()} of {len(lacks)} rows hold a value that is missing, the "
                f"first in row {row + 1}, column {self.columns[column]!r} (cells: {counts}): give "
                "data.missing=drop or data.missing=impute, or fill them in"
            )

    @property
    def source(self) -> str:
        """What errors call the table."""
        return "the table"


class Noised(Batches):
    """Batches of which every number that is not continuous gets new noise; still functions of (seed, k)."""

    def __init__(self, units: Units, *settings: Any):
        super().__init__(*settings)
        self.units = units

    def __iter__(self) -> Iterator[Batch]:
        for step, batch in enumerate(super().__iter__(), self.start()):
            u = self.units.random(batch.x, random_generator(self.seed, 2, step)).u
            yield batch._replace(x=u.float())


class TablePoints(ArrayPoints):
    """The rows of a table on disk, a random part of them held out.

    Args:
        path: of a file, see `read_table`.
        shape: of one point, [number of columns].
        columns, missing, held_out, batch_size, seed, density: as in `ArrayPoints`.
    """

    def __init__(
        self,
        path: str,
        shape: Sequence[int],
        columns: dict[str, str | dict[str, Any]] | str | None = None,
        missing: Literal["refuse", "drop", "impute"] = "refuse",
        held_out: float = 0.1,
        batch_size: int = 128,
        seed: int = 0,
        density: Density | None = None,
    ):
        if len(shape) != 1:
            raise ValueError(f"shape must be one number, the number of columns, got {list(shape)}")
        self.path = path
        table = read_table(path, n_columns=shape[0])
        super().__init__(table, columns, missing, held_out, batch_size, seed, density)

    @property
    def source(self) -> str:
        return self.path


def read_table(path: str, n_columns: int | None = None) -> pa.Table:
    """A table; its columns are named x0, x1, … where it has no names.

    A .npy file holds an array of two dimensions; nothing pickled is read. A .csv file is separated by commas,
    a .tsv file by tabs, and .gz may follow; if all cells of its first line are numbers, it has no header. Of
    .xlsx the first sheet is read.

    Args:
        n_columns: how many there must be, None for any number.

    Raises:
        InputError: the file is missing or unreadable, has no rows or another number of columns, or a column
            has no name.
    """
    file = _file(path)
    table = _read_npy(file) if _ending(file) == ".npy" else _read_arrow(file)
    names = table.column_names
    if n_columns not in (None, len(names)):
        listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise InputError(
            f"{path} has {len(names)} column{'s' * (len(names) != 1)} ({listed}), expected {n_columns}: "
            f"give a table with {n_columns}"
        )
    if not table.num_rows:
        raise InputError(f"{path} has no rows: give a table with one row for each point")
    return as_table(table, path)


def table_shape(path: str) -> list[int]:
    """The shape of one row, [D], from the file's header alone.

    Raises:
        InputError: the file is missing or its header unreadable.
    """
    file = _file(path)
    if _ending(file) == ".npy":
        return [_open_npy(file).shape[1]]
    if _ending(file) in SEPARATED:
        return [len(_first_line(file))]
    if _ending(file) == ".xlsx":
        return [_read_xlsx(file).num_columns]
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
    return "".join(file.suffixes[-2 if file.suffix.lower() == ".gz" else -1 :]).lower()


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """What a library raises on a damaged file becomes one line for the user."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # NumPy and Arrow raise whatever the damaged bytes lead to
        said = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{file} cannot be read as {_ending(file)} ({said}): write it anew") from error


def _open_npy(file: Path) -> np.ndarray:
    with _explained(file):
        array = np.lib.format.open_memmap(file, mode="r")  # unlike np.load, it never unpickles
    if array.ndim != 2:
        raise InputError(f"{file} holds an array of shape {array.shape}: reshape it to (rows, columns)")
    return array


def _read_npy(file: Path) -> pa.Table:
    array = _open_npy(file)
    names = _numbered(array.shape[1])
    if array.size and array.dtype.kind not in "biuf":
        values = array[:, 0].tolist()
        row = next((i for i, value in enumerate(values) if not reads_as_number(value)), 0)
        raise InputError(
            f"{file}: row {row + 1}, column {names[0]!r} holds {values[row]!r}, expected a number: "
            "save text as .csv or .parquet"
        )
    return as_table(np.array(array), str(file), names)


def _read_arrow(file: Path) -> pa.Table:
    readers = {".parquet": pa.parquet.read_table, ".xlsx": _read_xlsx}
    with _explained(file):
        table = readers.get(_ending(file), _read_separated)(file)
    for number, name in enumerate(table.column_names, start=1):
        if name in ROW_NUMBERS:
            raise InputError(
                f"{file}: column {number} has no name, it may number the rows: name it or save the table "
                "without it (in pandas, index=False)"
            )
    return table


def _read_separated(file: Path) -> pa.Table:
    first = _first_line(file)
    names = _numbered(len(first)) if all(map(reads_as_number, first)) else None
    # one thread: Arrow then tells the number of a bad line
    read, parse = pa.csv.ReadOptions(use_threads=False, column_names=names), pa.csv.ParseOptions
    return pa.csv.read_csv(file, read, parse(delimiter=SEPARATED[_ending(file)]))


def _read_xlsx(file: Path) -> pa.Table:
    """The first sheet, by an extra."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise InputError(
            f"{file}: .xlsx is read with an extra: pip install 'energy_gan[excel]', or save it as .csv"
        ) from error
    with _explained(file):
        sheet = load_workbook(file, read_only=True, data_only=True).worksheets[0]
        first, *rows = [*sheet.values] or [()]
        if all(map(reads_as_number, first)):
            first, rows = _numbered(len(first)), [first, *rows]
        names = ["" if name is None else str(name) for name in first]
        return pa.Table.from_arrays([pa.array([row[i] for row in rows]) for i in range(len(names))], names)


def _first_line(file: Path) -> list[str]:
    separator, opened = SEPARATED[_ending(file)], gzip.open if file.suffix.lower() == ".gz" else open
    with _explained(file), opened(file, "rt", encoding="utf-8-sig", newline="") as lines:
        first = next((line for line in csv.reader(lines, delimiter=separator) if line), [])
    if not first:
        raise InputError(f"{file} has no rows: give a table with one row for each point")
    if len(first) == 1 and any(mark in first[0] for mark in {*",;\t"} - {separator}):
        called = "comma" if separator == "," else "tab"
        raise InputError(
            f"{file}: its first line, {first[0]!r}, has no {called}: separate the columns by {called}s"
        )
    return first


def _numbered(columns: int) -> list[str]:
    return [f"x{i}" for i in range(columns)]


def read_rows(path: str, schema: Schema) -> Float[np.ndarray, "N D"]:
    """The numbers of a table with the columns of a schema; by place where either has no names.

    Raises:
        InputError: it has others, cannot be read, or lacks a value.
    """
    table = read_table(path, n_columns=len(schema.columns))
    if schema.names == _numbered(len(schema.columns)):
        schema = schema.renamed(table.column_names)
    elif table.column_names == _numbered(len(schema.columns)):
        table = table.rename_columns(schema.names)
    x = schema.encode(table, path)
    if (lacks := np.isnan(x)).any():
        row, column = np.argwhere(lacks)[0]
        raise InputError(
            f"{path}: {lacks.any(1).sum()} of {len(x)} rows hold a value that is missing, the first in row "
            f"{row + 1}, column {schema.names[column]!r}: drop these rows or fill them in"
        )
    return x
