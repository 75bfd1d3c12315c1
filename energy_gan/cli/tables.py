"""Numbers as text, points as files: what the doors print, read and write."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from energy_gan.errors import InputError
from energy_gan.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "kl_data_energy": "KL(data‖energy)",
    "kl_generator_energy": "KL(gen‖energy)",
    "tv_data_energy": "TV(data,energy)",
    "tv_data_generator": "TV(data,gen)",
    "tv_generator_energy": "TV(gen,energy)",
    "held_out_log_likelihood": "log-likelihood",
    "log_likelihood": "nats, held out",
    "log_likelihood_forward": "forward",
    "log_likelihood_reverse": "reverse",
    "drift_200": "drift in 200",
    "sliced_w2": "sliced W2",
    "hdr99": "in 99% region",
    "smallest_mode": "smallest mode",
    "modes": "modes found",
    "modes_kl": "KL of modes",
    "energy_gap": "energy gap",
    "mean_energy": "mean energy",
    "acceptance_rate": "acceptance",
    "auc_data_generator": "AUC data|gen",
    "auc_data_energy": "AUC data|energy",
    "frechet_lenet": "Fréchet, LeNet",
    "recall_lenet": "recall, LeNet",
    "frechet_inception": "FID",
    "recall_inception": "recall, Incept.",
    "class_smallest_share": "smallest class",
    "class_kl": "KL of classes",
    "mean_confidence": "confidence",
    "nearest_train_ratio": "nearest ratio",
    "border_mass": "border mass",
}
WRITERS = (".npy", ".csv", ".parquet")


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A line a row, a column for each number that any row has; what a row lacks is a dash."""
    shown = {key: title for key, title in COLUMNS.items() if any(key in row for row in rows.values())}
    width = max(map(len, rows), default=0)
    lines = [" " * width + "".join(f"  {title:>15}" for title in shown.values())]
    for name, row in rows.items():
        lines.append(f"{name:<{width}}" + "".join(f"  {_number(row.get(key)):>15}" for key in shown))
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if not math.isfinite(value) or abs(value) < 1e4 else f"{value:.2e}"


def read_metrics(run: Path) -> dict:
    """The metrics.json of a run's folder.

    Raises:
        InputError: the folder has none, or it is damaged.
    """
    path = run / "metrics.json"
    if not path.is_file():
        raise InputError(
            f"RUN={run} has no metrics.json: give a finished run's folder, or `make evaluate` it first"
        )
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({error}): make it anew with `make evaluate RUN={run}`"
        ) from error


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
    with file.open("w", newline="") as stream:
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
