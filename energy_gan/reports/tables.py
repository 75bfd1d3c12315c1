"""Numbers as text, points as files: what the doors print, read and write."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from energy_gan.errors import InputError

if TYPE_CHECKING:
    pass

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
