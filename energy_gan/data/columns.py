"""One column of a table: Arrow's cells as numbers and back, and what kind of column they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float

from energy_gan.data.arrow import (
    SECONDS,
    TICKS,
    floats,
    is_number,
    own_type,
    plain,
    reads_as_number,
    since_1970,
)
from energy_gan.errors import InputError

Kind = Literal["continuous", "integer", "categorical", "date"]
KINDS = ("continuous", "integer", "categorical", "date")
SETTINGS = ("kind", "low", "high", "levels")
LEVELS = 100  # that a column of text may have,
FEW = 20  # that one of whole numbers may have and count as categorical,
EACH = 10  # rows that each of these then has on average
SPIKE, ROWS, OFTENER = (
    0.02,
    20,
    4,
)  # the share and the rows of an atom at least, and how much oftener it is there
SKEWED = 0.3  # (q95 + q05 − 2 q50) / (q95 − q05) from which the logarithm of a positive column is looked at


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        type: Arrow's name of what its cells are, which samples are turned back into.
        levels, shares: of a categorical one, in order, with their shares of the rows.
        low, high: bounds that its numbers never reach; of whole numbers, the least and the greatest.
        unit: of a date: "D", "h", "m" or "s".
        whole: all numbers are whole.
        shift, scale, tails: how its numbers are standardised, see `data/units.py`; found on the rows to
            train on, as are
        atoms, atom_shares: whole numbers that it holds far oftener than their neighbours, see
            `data/atoms.py`.
    """

    name: str
    kind: Kind
    type: str = "double"
    levels: tuple[str | bool | int | float, ...] = ()
    shares: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    unit: Literal["D", "h", "m", "s"] | None = None
    whole: bool = False
    shift: float = 0.0
    scale: float = 1.0
    tails: bool = False
    atoms: tuple[float, ...] = ()
    atom_shares: tuple[float, ...] = ()

    @property
    def discrete(self) -> bool:
        """Whether it takes noise to have a density."""
        return self.whole or self.kind == "categorical"

    @property
    def values(self) -> Float[np.ndarray, "K"]:
        """The number of each level, ascending: itself, or the place of a text."""
        text = any(isinstance(level, str) for level in self.levels)
        return np.arange(len(self.levels), dtype=float) if text else np.array(self.levels, dtype=float)

    def refused(self, v: Float[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
        """Which numbers it cannot have; a missing one it can."""
        bad = np.isinf(v)
        if self.kind == "categorical":
            bad |= ~np.isin(v, self.values)
        if self.whole:
            bad |= v != np.floor(v)
        if self.low is not None:
            bad |= v < self.low if self.whole else v <= self.low
        if self.high is not None:
            bad |= v > self.high if self.whole else v >= self.high
        return bad & ~np.isnan(v)

    @property
    def expected(self) -> str:
        """What its cells are, in words."""
        if self.kind == "categorical":
            shown = ", ".join(map(str, self.levels[:8]))
            return f"one of the {len(self.levels)} levels {shown}{', …' * (len(self.levels) > 8)}"
        words = f"a date, in {self.unit} since 1970" if self.kind == "date" else "a finite number"
        if self.kind == "integer":
            words = "a whole number"
        marks = ("≥", "≤") if self.whole else (">", "<")
        bounds = zip(marks, (self.low, self.high), strict=True)
        return words + "".join(f" {mark} {bound:g}" for mark, bound in bounds if bound is not None)

    # ---- cells and numbers

    def encoded(self, cells: pa.ChunkedArray, source: str, strict: bool = True) -> Float[np.ndarray, "N"]:
        """A number for each cell, NaN where it is missing.

        Args:
            strict: otherwise a cell may hold what the column cannot, as an unknown level, which is ∞.

        Raises:
            InputError: the cells are of another kind, or one holds what the column cannot.
        """
        cells = plain(cells)
        if self.kind == "categorical" and any(isinstance(level, str) for level in self.levels):
            places = pc.index_in(cells.cast(pa.string()), pa.array(self.levels, pa.string()))
            unknown = pc.and_(pc.is_null(places), pc.is_valid(cells)).to_numpy()
            if strict:
                self._refuse(unknown, cells, source)
            return np.where(unknown, np.inf, floats(places))
        if self.kind == "date":
            if not pa.types.is_temporal(cells.type):
                self._refuse(pc.is_valid(cells).to_numpy(), cells, source)
            v = since_1970(cells) / SECONDS[self.unit]
        elif not is_number(cells.type):
            bad = np.array([v is not None and not reads_as_number(v) for v in cells.to_pylist()], bool)
            self._refuse(bad if bad.any() else ~bad, cells, source)
            v = np.full(len(cells), np.nan)
        else:
            v = floats(cells)
        self._refuse(self.refused(v) if strict else np.isinf(v), cells, source)
        return v

    def number(self, value: Any, source: str) -> float:
        """Of one cell, which may be a word that says what it holds.

        Raises:
            InputError: it is none that the column can have.
        """
        words = isinstance(value, str) and not any(isinstance(level, str) for level in self.levels)
        try:
            if words and self.kind == "date":
                value = pa.scalar(value).cast(pa.timestamp("us")).as_py()
            elif words:
                truths = {"true": 1.0, "false": 0.0}
                value = truths[value.lower()] if value.lower() in truths else float(value)
            return float(self.encoded(pa.chunked_array([[value]]), source)[0])
        except (pa.ArrowInvalid, ValueError) as error:
            said = f"{source}: {self.name}={value} is not {self.expected}"
            raise InputError(said) from error

    def decoded(self, v: Float[np.ndarray, "N"]) -> pa.Array:
        """Cells of the column's own type."""
        own, missing = own_type(self.type), np.isnan(v)
        if self.kind == "categorical":
            places = np.searchsorted(self.values, np.where(missing, self.values[0], v))
            levels = pa.array(self.levels).cast(own)
            return levels.take(pa.array(places, mask=missing))
        if self.kind == "date":
            days = pa.types.is_date(own)
            per_second = 1 / SECONDS["D"] if days else TICKS[own.unit]
            whole = np.rint(np.where(missing, 0, v) * SECONDS[self.unit] * per_second).astype(np.int64)
            stamps = pa.array(whole, mask=missing)
            return stamps.cast(pa.int32()).cast(pa.date32()).cast(own) if days else stamps.cast(own)
        if pa.types.is_integer(own):
            return pa.array(np.rint(np.where(missing, 0, v)).astype(np.int64), mask=missing).cast(own)
        return pa.array(v, mask=missing).cast(own, safe=False)

    def shown(self, number: float) -> str:
        """What a cell with this number holds."""
        cell = self.decoded(np.array([number]))[0].as_py()
        return f"{cell:.10g}" if isinstance(cell, float) else str(cell)

    def _refuse(self, bad: Bool[np.ndarray, "N"], cells: pa.ChunkedArray, source: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{source}: row {row + 1}, column {self.name!r} holds {cells[row].as_py()!r}, expected "
                f"{self.expected}: mend or drop the row, or declare the column otherwise"
            )

    def __str__(self) -> str:
        """As it is shown before training."""
        if self.kind == "categorical":
            return f"{self.name} categorical ({len(self.levels)} levels)"
        bounds = "".join(
            f" {mark}{'=' * self.whole} {bound:g}"
            for mark, bound in ((">", self.low), ("<", self.high))
            if bound is not None
        )
        return f"{self.name} {self.kind}{f' ({self.unit})' if self.unit else ''}{bounds}"


def column_of(name: str, cells: pa.ChunkedArray, given: Mapping[str, Any], source: str) -> Column:
    """What the cells make, as far as it is not given.

    Raises:
        InputError: no column, or not the one that is given.
    """
    cells = plain(cells)
    kind, own = given.get("kind"), str(cells.type)
    if pa.types.is_string(cells.type):
        if kind not in (None, "categorical"):
            raise _no_number(name, cells, source)
        return _of_levels(name, own, cells, given, source)
    if pa.types.is_temporal(cells.type) and not pa.types.is_time(cells.type):
        if kind not in (None, "date"):
            raise InputError(
                f"{source}: column {name!r} holds dates and was declared {kind}: declare it date"
            )
        seconds = since_1970(cells)
        seconds = seconds[np.isfinite(seconds)]
        unit = next((u for u, n in SECONDS.items() if (seconds % n == 0).all()), None)
        return Column(name, "date", own, unit=unit or "s", whole=unit is not None)
    if not is_number(cells.type) or kind == "date":
        raise _no_number(name, cells, source, "a date" if kind == "date" else "a number")
    v = floats(cells)
    v = v[np.isfinite(v)]
    distinct = np.unique(v)
    is_bool = pa.types.is_boolean(cells.type)
    whole = (
        len(v) > 0 and bool((distinct == np.floor(distinct)).all()) and bool((abs(distinct) < 2**53).all())
    )
    few = whole and 1 < len(distinct) <= FEW and len(v) >= EACH * len(distinct)
    if kind == "categorical" or (kind is None and (is_bool or (few and not given.keys() & {"low", "high"}))):
        return _of_levels(name, own, cells, given, source)
    kind = kind or ("integer" if whole and len(distinct) > 2 and not is_bool else "continuous")
    if kind == "integer" and not whole:
        raise InputError(
            f"{source}: column {name!r} was declared integer and has fractions: leave it continuous"
        )
    low, high = (None if given.get(end) is None else float(given[end]) for end in ("low", "high"))
    if low is None and high is None and given.get("kind") != "continuous":
        low, high = bounds_of(v, kind == "integer")
    if kind == "integer" and pa.types.is_floating(cells.type):  # pandas has them so beside missing ones
        own = "int64"
    column = Column(name, kind, own, low=low, high=high, whole=kind == "integer")
    column.encoded(cells, source)  # refuses what is beyond the bounds
    return column


def bounds_of(v: Float[np.ndarray, "N"], whole: bool) -> tuple[float | None, float | None]:
    """0 of counts, and of positive numbers whose logarithms are less skewed; 0 and 1 of shares.

    The least and the greatest of whole numbers where they are atoms, as of marks from 0 to 100.
    """
    if not len(v):
        return None, None
    least, q05, q50, q95, greatest = np.quantile(v, [0, 0.05, 0.5, 0.95, 1])
    if whole:
        atoms, _ = atoms_of(v)
        low = 0.0 if 0 <= least <= q95 - q05 else None
        return float(least) if least in atoms else low, float(greatest) if greatest in atoms else None
    if least <= 0:
        return None, None
    if greatest < 1 and least < 0.05 and greatest > 0.95:
        return 0.0, 1.0
    skew = (q95 + q05 - 2 * q50) / (q95 - q05) if q95 > q05 else 0.0
    l05, l50, l95 = np.log([q05, q50, q95])
    if skew > SKEWED and abs(l95 + l05 - 2 * l50) / (l95 - l05) < skew / 2:
        return 0.0, None
    return None, None


def atoms_of(v: Float[np.ndarray, "N"]) -> tuple[Float[np.ndarray, "K"], Float[np.ndarray, "K"]]:
    """The whole numbers that are there far oftener than the next ones on either side, and their shares.

    Of the least and the greatest the next one is that on the one side which there is.
    """
    values, counts = np.unique(v, return_counts=True)
    number = dict(zip(values, counts, strict=True))
    sides = np.where((values == values[0]) | (values == values[-1]), 1, 2)
    beside = np.array([number.get(a - 1, 0) + number.get(a + 1, 0) for a in values]) / sides
    often = (counts >= SPIKE * len(v)) & (counts >= ROWS) & (counts >= OFTENER * beside)
    return values[often], counts[often] / (len(v) + 1)  # there is always a share for other numbers


def _of_levels(name: str, own: str, cells: pa.ChunkedArray, given: Mapping[str, Any], source: str) -> Column:
    found = pc.value_counts(cells.drop_null())
    counts = dict(zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True))
    if not given and pa.types.is_string(cells.type) and any(map(reads_as_number, counts)):
        raise _no_number(name, cells, source)
    levels = list(given.get("levels") or sorted(counts))
    if unknown := [level for level in counts if level not in levels]:
        row = cells.to_pylist().index(unknown[0]) + 1
        raise InputError(
            f"{source}: row {row}, column {name!r} holds {unknown[0]!r}, none of the declared levels "
            f"{', '.join(map(str, levels))}: add it"
        )
    if len(levels) > LEVELS:
        raise InputError(
            f"{source}: column {name!r} has {len(levels)} different values, as {levels[0]!r} and "
            f"{levels[1]!r}, and {LEVELS} levels are the most: drop the column or merge them"
        )
    total = sum(counts.values()) + len(levels)  # each level is seen once more than it is: none has share 0
    shares = tuple((counts.get(level, 0) + 1) / total for level in levels)
    return Column(name, "categorical", own, tuple(levels), shares)


def _no_number(name: str, cells: pa.ChunkedArray, source: str, expected: str = "a number") -> InputError:
    """For a column of lists, or of text among numbers: names the first value that is none."""
    values = cells.to_pylist()
    row = next((i for i, v in enumerate(values) if v is not None and not reads_as_number(v)), 0)
    return InputError(
        f"{source}: row {row + 1}, column {name!r} holds {values[row]!r}, expected {expected}: "
        "drop the column or turn it into numbers"
    )


def declared(
    given: Mapping[str, Any] | str | None, names: Sequence[str], source: str
) -> dict[str, dict[str, Any]]:
    """By name the settings of columns, from a kind of all, or by name a kind or its settings.

    Raises:
        InputError: a column, a kind or a setting is unknown.
    """
    by_name = dict.fromkeys(names, given) if isinstance(given, str) else dict(given or {})
    settings = {}
    for name, value in by_name.items():
        if name not in names:
            raise InputError(f"columns: {source} has no column {name!r}, but {', '.join(names)}")
        value = {"kind": value} if isinstance(value, str) else dict(value)
        if unknown := [key for key in value if key not in SETTINGS]:
            raise InputError(f"columns: {name}.{unknown[0]} is unknown: give {', '.join(SETTINGS)}")
        if value.get("kind") not in (None, *KINDS):
            raise InputError(f"columns: {name}={value['kind']!r} is no kind: give one of {', '.join(KINDS)}")
        bounds = [value[end] for end in ("low", "high") if value.get(end) is not None]
        if not all(isinstance(b, int | float) for b in bounds) or (
            len(bounds) == 2 and bounds[0] >= bounds[1]
        ):
            raise InputError(f"columns: {name} has the bounds {bounds}: give numbers, the lower one first")
        settings[name] = value
    return settings
