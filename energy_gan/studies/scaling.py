"""How quality and time grow with points and dimensions: METHOD=aligned on eight Gaussians, data=mixture.

Trials are runs/scaling/<dimension>_<points>. The picture is docs/figures/scaling.png, the table is printed.
"""

import argparse
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

from energy_gan.errors import InputError
from energy_gan.studies.study import Study
from energy_gan.studies.trials import markdown

SHOWN = {
    "kl": ("KL(data‖energy)", ".3f"),
    "gaussian": ("of a Gaussian", ".2f"),
    "auc": ("AUC data/generator", ".3f"),
    "seconds": ("seconds", ".0f"),
}


class Size(NamedTuple):
    dimension: int
    points: int


class Scaling(Study):
    name = "scaling"
    about = "how quality and time grow with points and dimensions -> docs/figures/scaling.png"
    folder = Path("runs/scaling")
    out = Path("docs/figures/scaling.png")

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dimensions", nargs="+", type=int, default=[2, 10, 50], help="(2 10 50)")
        points = [1_000, 10_000, 100_000]
        parser.add_argument("--points", nargs="+", type=int, default=points, help="(1000 10000 100000)")
        super().arguments(parser)

    def check(self) -> None:
        super().check()
        if min(self.given.dimensions) < 1 or min(self.given.points) < 10:
            raise InputError("--dimensions must be at least 1 and --points at least 10")

    def trials(self) -> list[Size]:
        return [Size(*sizes) for sizes in product(self.given.dimensions, self.given.points)]

    def path(self, trial: Size) -> Path:
        return self.given.folder / f"{trial.dimension}_{trial.points}"

    def overrides(self, trial: Size) -> list[str]:
        of_data = [f"data.density.dimension={trial.dimension}", f"data.n_points={trial.points}"]
        return ["data=mixture", "method=aligned", *of_data, *self.given.set]

    def write(self, rows: Mapping[Size, dict]) -> None:
        numbers = {size: row(report) for size, report in rows.items()}
        cells = [
            (f"{d}", f"{n:,}", *(f"{r[key]:{form}}" for key, (_, form) in SHOWN.items()))
            for (d, n), r in numbers.items()
        ]
        print(markdown(["dimensions", "points", *(title for title, _ in SHOWN.values())], cells))
        draw(numbers, self.given.out)


def row(report: dict) -> dict[str, float]:
    """KL(data ‖ energy) = E[log p(x)] − E[log p_energy(x)] on the held-out points."""
    metrics, yardsticks = report["metrics"], report["yardsticks"]
    true = yardsticks["fresh data"]["held_out_log_likelihood"]
    return {
        "kl": true - metrics.get("held_out_log_likelihood", float("nan")),
        "gaussian": true - yardsticks["gaussian"]["held_out_log_likelihood"],
        "auc": metrics["auc_data_generator"],
        "seconds": report["seconds"],
    }


def draw(rows: Mapping[Size, dict[str, float]], out: Path) -> None:
    """Three panels over the number of points, one line for each dimension."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    panels = {"kl": "KL(data‖energy), nats", "auc": "AUC data/generator", "seconds": "seconds of training"}
    for axes, (key, title) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for dimension in dict.fromkeys(d for d, _ in rows):
            line = [(points, r[key]) for (d, points), r in rows.items() if d == dimension]
            axes.plot(*zip(*line, strict=True), marker="o", label=f"{dimension} dimensions")
        axes.set(title=title, xscale="log", xlabel="points", yscale="log" if key == "kl" else "linear")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(out, dpi=110)
    print(f"\npicture {out}")
