"""Tables in files: .csv, .tsv, .npy, .parquet, .xlsx.

Whatever is wrong with one is one line that names the place, what was expected and what to do.
Rows count from 1 and do not count a header.
"""

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from jaxtyping import Float

from energy_gan.data.arrow import reads_as_number
from energy_gan.data.schema import Schema, as_table
from energy_gan.errors import InputError

SEPARATED = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}  # by what
ENDINGS = (".npy", *SEPARATED, ".parquet", ".xlsx")
ROW_NUMBERS = ("", "__index_level_0__")  # how pandas names an index that it saves in .csv and .parquet


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


def read_rows(
    path: str, schema: Schema, table: pa.Table | None = None, strict: bool = True
) -> Float[np.ndarray, "N D"]:
    """The numbers of a table with the columns of a schema; by place where either has no names.

    Args:
        table: what was read of the path already.
        strict: as in `Schema.encode`.

    Raises:
        InputError: it has others, cannot be read, or lacks a value.
    """
    if table is None or table.num_columns != len(schema.columns):
        table = read_table(path, n_columns=len(schema.columns))
    if schema.names == _numbered(len(schema.columns)):
        schema = schema.renamed(table.column_names)
    elif table.column_names == _numbered(len(schema.columns)):
        table = table.rename_columns(schema.names)
    x = schema.encode(table, path, strict)
    if (lacks := np.isnan(x)).any():
        row, column = np.argwhere(lacks)[0]
        raise InputError(
            f"{path}: {lacks.any(1).sum()} of {len(x)} rows hold a value that is missing, the first in row "
            f"{row + 1}, column {schema.names[column]!r}: drop these rows or fill them in"
        )
    return x
