"""What is given as a table or as points, and a table as a frame of the library that it came from."""

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from energy_gan.errors import InputError

NUMBERS = "biuf"  # NumPy's kinds


def is_frame(table: Any) -> bool:
    """Whether it is a frame of pandas, polars or Arrow: columns with names."""
    return hasattr(table, "__arrow_c_stream__")


def as_points(x: Any) -> np.ndarray | torch.Tensor:
    """Rows of an array, a tensor as it is.

    Raises:
        InputError: rows are of different lengths, numbers are complex or a cell is masked.
    """
    if not isinstance(x, torch.Tensor):
        if np.ma.getmaskarray(x).any() if isinstance(x, np.ma.MaskedArray) else False:
            where = ", ".join(str(i + 1) for i in np.argwhere(np.ma.getmaskarray(x))[0])
            raise InputError(
                f"the points have {np.ma.count_masked(x)} masked cells, the first at {where}: fill them in "
                "or drop their rows"
            )
        try:
            x = np.asarray(x)
        except ValueError as error:
            raise InputError("the points are no table: give rows that all have as many numbers") from error
    if x.is_complex() if isinstance(x, torch.Tensor) else x.dtype.kind == "c":
        raise InputError("the points are complex numbers: give real ones, as x.real and x.imag")
    return x


def as_numbers(x: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Points as a tensor.

    Raises:
        InputError: they hold something else than numbers.
    """
    if isinstance(x, torch.Tensor):
        return x
    if x.dtype.kind not in NUMBERS:
        raise InputError(f"the points are of type {x.dtype}, expected numbers: turn them into some")
    return torch.as_tensor(x if x.dtype.itemsize <= 8 else x.astype(np.float64))


def as_given(table: pa.Table, library: str) -> Any:
    """A table as a frame of that library: "pandas" or "polars"; Arrow's own for any other."""
    if library == "polars":
        import polars

        return polars.from_arrow(table)
    return table.to_pandas() if library == "pandas" else table
