"""The columns of a table: what each holds, detected or declared, and a number for each cell.

    continuous    a real number, with bounds where it has them
    integer       a whole number, as a count
    categorical   one of a few levels: text, truth values, a few whole numbers
    date          a time, as a number of days, hours, minutes or seconds since 1970

`encode` gives float64 in the columns' own units: the number itself, of text the place of its level, of a date
the number of its units; NaN where a cell is missing. `decode` gives back what the column held.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from pydantic import TypeAdapter, ValidationError

from energy_gan.data.arrow import own_type
from energy_gan.data.columns import Column, column_of, declared
from energy_gan.data.frames import is_frame
from energy_gan.errors import InputError

SHOWN = 12  # columns in a line


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order."""

    columns: tuple[Column, ...]

    @classmethod
    def of(
        cls, table: Any, given: Mapping[str, Any] | str | None = None, source: str = "the table"
    ) -> "Schema":
        """What the columns hold.

        Args:
            table: whatever `as_table` takes.
            given: by name a kind, or a mapping of kind, low, high, levels; one kind is that of all columns.
            source: what errors call it.

        Raises:
            InputError: two columns have one name, one holds what no kind is made for, or what is given
                does not fit.
        """
        table = as_table(table, source)
        settings = declared(given, table.column_names, source)
        pairs = zip(table.column_names, table.columns, strict=True)
        return cls(tuple(column_of(name, cells, settings.get(name, {}), source) for name, cells in pairs))

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def discrete(self) -> bool:
        """Whether a column takes noise to have a density."""
        return any(column.discrete for column in self.columns)

    def encode(self, table: Any, source: str = "the table", strict: bool = True) -> Float[np.ndarray, "N D"]:
        """A number for each cell, NaN where it is missing. Columns are taken by name, of an array by place.

        Args:
            strict: otherwise a cell of a table may hold what its column cannot, see `allows`.

        Raises:
            InputError: a column is missing, unknown or of another kind, or a cell holds what it cannot.
        """
        if not is_frame(table) and not isinstance(table, Mapping):
            rows = as_rows(table, source)
            if rows.dtype.kind in "biuf" and rows.shape[1] == len(self.columns):  # numbers as they are here
                self.check(rows := rows.astype(float), source)
                return rows
        table = as_table(table, source, self.names)
        self._check_names(table.column_names, source)
        x = [column.encoded(table[column.name], source, strict) for column in self.columns]
        return np.stack(x, axis=1) if x else np.empty((0, 0))

    def decode(self, x: Float[np.ndarray, "N D"]) -> pa.Table:
        """The table whose numbers these are, each column of its own type; missing cells are null.

        `.to_pandas()` of it is a frame.
        """
        x = np.asarray(x, dtype=float)
        return pa.table({column.name: column.decoded(x[:, i]) for i, column in enumerate(self.columns)})

    def renamed(self, names: Sequence[str]) -> "Schema":
        """The same columns under other names."""
        return Schema(tuple(replace(c, name=name) for c, name in zip(self.columns, names, strict=True)))

    def allows(self, x: Float[np.ndarray, "N D"]) -> Bool[np.ndarray, "N"]:
        """Which rows the columns can have."""
        return ~np.stack([c.refused(v) for c, v in zip(self.columns, x.T, strict=True)], 1).any(1)

    def check(self, x: Float[np.ndarray, "N D"], source: str = "the array") -> None:
        """InputError where a number is none that its column can have; a missing one it can."""
        for i, column in enumerate(self.columns):
            if (bad := column.refused(x[:, i])).any():
                row = int(np.argmax(bad))
                raise InputError(
                    f"{source}: row {row + 1}, column {column.name!r} holds {x[row, i]:.17g}, expected "
                    f"{column.expected}: mend or drop the row"
                )

    def to_config(self) -> list[dict[str, Any]]:
        """Plain values, for the checkpoint."""
        usual = {field.name: field.default for field in fields(Column)}
        return [
            {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(c).items() if v != usual[k]}
            for c in self.columns
        ]

    @classmethod
    def from_config(cls, config: Any) -> "Schema":
        """Back from plain values, which may be a stranger's.

        Raises:
            InputError: they are no columns.
        """
        try:
            columns = _columns().validate_python(config)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"the columns that were kept are damaged, at {where}: {first['msg']}") from error
        for column in columns:
            fits = len(column.levels) == len(column.shares) and all(s > 0 for s in column.shares)
            fits &= (column.kind == "categorical") == bool(column.levels)
            fits &= list(column.values) == sorted(set(column.values)) and 0 < column.scale < math.inf
            fits &= math.isfinite(column.shift) and (column.kind != "date" or column.unit is not None)
            fits &= len(column.atoms) == len(column.atom_shares) and sum(column.atom_shares) < 1
            fits &= list(column.atoms) == sorted(set(column.atoms)) and all(s > 0 for s in column.atom_shares)
            if not fits:
                raise InputError(f"the columns that were kept are damaged: {column.name}")
            own_type(column.type)
        return cls(tuple(columns))

    def __str__(self) -> str:
        """One line, shown before training."""
        more = f"; … {len(self.columns)} in all" if len(self.columns) > SHOWN else ""
        return "; ".join(map(str, self.columns[:SHOWN])) + more

    def _check_names(self, names: Sequence[str], source: str) -> None:
        said = f"the columns trained on are {', '.join(self.names)}"
        if lacking := [name for name in self.names if name not in names]:
            raise InputError(f"{source} has no column {lacking[0]!r} but {', '.join(names)}: {said}")
        if unknown := [name for name in names if name not in self.names]:
            raise InputError(f"{source} has a column {unknown[0]!r}, leave it out: {said}")


@cache
def _columns() -> TypeAdapter:
    """It is made once: a model asks for its columns again and again."""
    return TypeAdapter(list[Column])


def as_table(table: Any, source: str = "the table", names: Sequence[str] | None = None) -> pa.Table:
    """A frame of pandas, polars or Arrow, a mapping of columns, or an array or tensor of rows, as Arrow's.

    Args:
        names: of the columns of an array, which has none; x0, x1, … if None.

    Raises:
        InputError: it is none of these, two columns have one name, or a column mixes types.
    """
    if hasattr(table, "iloc"):  # pandas, whose index is no column
        _check_distinct([str(name) for name in table.columns], source)
        return _arrow(lambda: pa.Table.from_pandas(table, preserve_index=False), source)
    if is_frame(table) or isinstance(table, Mapping):
        found = _arrow(lambda: pa.table(dict(table) if isinstance(table, Mapping) else table), source)
        _check_distinct(found.column_names, source)
        return found
    rows = as_rows(table, source)
    if names is None:
        names = [f"x{i}" for i in range(rows.shape[1])]
    if rows.shape[1] != len(names):
        raise InputError(
            f"{source} has {rows.shape[1]} columns, expected {len(names)} ({', '.join(names[:8])}"
            f"{', …' * (len(names) > 8)})"
        )
    return _arrow(
        lambda: pa.table({name: pa.array(rows[:, i].tolist() if rows.dtype == object else rows[:, i])
                          for i, name in enumerate(names)}),
        source,
    )  # fmt: skip


def as_rows(array: Any, source: str = "the array") -> np.ndarray:
    """Rows of an array or a tensor; masked cells are NaN.

    Raises:
        InputError: it is no table of numbers.
    """
    if hasattr(array, "detach"):  # torch's
        array = array.detach().cpu()
        array = (array.double() if array.is_floating_point() else array).numpy()
    if isinstance(array, np.ma.MaskedArray):
        array = array.astype(float).filled(np.nan)
    try:
        rows = np.asarray(array)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"{source} is no table: give rows that all have as many numbers") from error
    if rows.ndim != 2:
        raise InputError(f"{source} has shape {rows.shape}: give one of shape (rows, columns)")
    if np.iscomplexobj(rows):
        raise InputError(f"{source} holds complex numbers: give real ones, as x.real and x.imag")
    return rows


def _arrow(make, source: str) -> pa.Table:
    try:
        return make()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError) as error:
        said = " ".join(" ".join(map(str, error.args)).split()).rstrip(".")
        raise InputError(f"{source} cannot be read as a table ({said}): give each column one type") from error


def _check_distinct(names: Sequence[str], source: str) -> None:
    if len(set(names)) < len(names):
        name = next(name for i, name in enumerate(names) if name in names[:i])
        places = [str(i + 1) for i, other in enumerate(names) if other == name]
        raise InputError(f"{source}: columns {' and '.join(places)} are both named {name!r}: rename one")
