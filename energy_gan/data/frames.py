"""Frames: which libraries' they are, and a table as one of them."""

from typing import Any

import pyarrow as pa


def is_frame(table: Any) -> bool:
    """Whether something has columns with names: a frame of pandas, polars or Arrow."""
    return hasattr(table, "__arrow_c_stream__")


def as_given(table: pa.Table, library: str) -> Any:
    """A table as a frame of that library: "pandas" or "polars"; Arrow's own for any other."""
    if library == "polars":
        import polars

        return polars.from_arrow(table)
    return table.to_pandas() if library == "pandas" else table
