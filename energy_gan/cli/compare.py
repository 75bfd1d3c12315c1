"""Compare finished runs: a table, and their curves in one picture."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.reports.numbers import CURVES
from energy_gan.reports.tables import read_metrics, table


def main() -> None:
    parser = Parser("compare", __doc__)
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--out", type=Path, help="the picture, .png (runs/compare/<time>.png)")
    given = parser.parse_args()
    out = given.out or Path("runs/compare", f"{time.strftime('%Y-%m-%d_%H-%M-%S')}.png")
    if out.exists():
        raise InputError(f"OUT={out} exists already and nothing is overwritten: name another file")
    if out.suffix != ".png":
        raise InputError(f"OUT={out} has an unknown ending: give a .png")
    labels = [_label(run, given.runs) for run in given.runs]
    if len(set(labels)) < len(labels):  # of different folders: then their whole paths
        labels = [str(run) for run in given.runs]
    reports = {label: read_metrics(run) for label, run in zip(labels, given.runs, strict=True)}

    from energy_gan.reports.drawing import curves

    print(table({label: report["metrics"] for label, report in reports.items()}))
    print()
    for label, report in reports.items():
        print(f"{label}: {_costs(report)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    curves({label: report["history"] for label, report in reports.items()}, CURVES).savefig(out, dpi=110)
    print(f"\ncurves   {out}")


def _costs(report: Mapping[str, Any]) -> str:
    """Whether its energy may pass for a density, and the seconds that training and samples take."""
    from energy_gan.metrics.verdict import standing

    density, sampling = standing(report["metrics"]), report.get("sampling_seconds")
    said = [f"a density: {density}"] if density else []
    said.append(f"trained in {report['seconds']:.0f} s")
    return ", ".join(said + ([f"1,000 samples in {sampling:.2f} s"] if sampling is not None else []))


def _label(run: Path, runs: list[Path]) -> str:
    """method/data/time, without what all runs share at the front."""
    parts = [r.resolve().parts[-3:] for r in runs]
    shared = 0
    while shared < 2 and len({p[shared] for p in parts}) == 1:
        shared += 1
    return "/".join(run.resolve().parts[-3:][shared:])


if __name__ == "__main__":
    door(main)
