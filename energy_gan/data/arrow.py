"""Arrow's cells as plain values and numbers, and the names of their types."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from energy_gan.errors import InputError

SECONDS = {"D": 86_400, "h": 3_600, "m": 60, "s": 1}
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a second, in Arrow's units of time


def plain(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values instead of a dictionary's places; one type of text."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        return plain(cells.cast(kind.value_type))
    return cells.cast(pa.string()) if pa.types.is_large_string(kind) or kind == pa.string_view() else cells


def is_number(kind: pa.DataType) -> bool:
    types = pa.types
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    return any(test(kind) for test in tests)


def floats(cells: pa.ChunkedArray | pa.Array) -> Float[np.ndarray, "N"]:
    """float64, NaN where a cell is missing."""
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.int8())
    return np.array(cells.cast(pa.float64(), safe=False).to_pandas(), dtype=float)


def since_1970(cells: pa.ChunkedArray) -> Float[np.ndarray, "N"]:
    """Seconds."""
    if pa.types.is_date(cells.type):
        return floats(cells.cast(pa.date32()).cast(pa.int32())) * SECONDS["D"]
    if pa.types.is_timestamp(cells.type) or pa.types.is_duration(cells.type):
        return floats(cells.cast(pa.int64())) / TICKS[cells.type.unit]
    raise InputError(f"cells of type {cells.type} are no dates: give dates, or numbers")


def own_type(name: str) -> pa.DataType:
    """Arrow's type of a name as `str` gives it.

    Raises:
        InputError: there is none that a column can have.
    """
    if match := re.fullmatch(r"(timestamp|duration)\[(s|ms|us|ns)(?:, tz=([\w/+:-]+))?\]", name):
        return pa.duration(match[2]) if match[1] == "duration" else pa.timestamp(match[2], match[3])
    if re.fullmatch(r"decimal\d+\(.*\)|null", name):
        return pa.float64()
    try:
        return pa.type_for_alias(name.partition("[")[0] if name.startswith("date") else name)
    except ValueError as error:
        raise InputError(f"{name} is no type of a column") from error


def reads_as_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
