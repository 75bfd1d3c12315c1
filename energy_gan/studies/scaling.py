"""How quality and time grow with points and dimensions: METHOD=aligned on eight Gaussians, data=mixture.

Trials are runs, runs/scaling/<dimension>_<points>; what is there is not run again. The picture is
docs/figures/scaling.png, the table is printed.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from tqdm import tqdm

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.studies.trials import check_recipe, run_trial


def main() -> None:
    parser = Parser("scaling", description=__doc__)
    parser.add_argument("--dimensions", nargs="+", type=int, default=[2, 10, 50])
    parser.add_argument("--points", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time, one thread each (2)")
    parser.add_argument("--folder", type=Path, default=Path("runs/scaling"), help="of the trials")
    parser.add_argument("--out", type=Path, default=Path("docs/figures/scaling.png"))
    given = parser.parse_args()
    if min(given.dimensions) < 1 or min(given.points) < 10 or given.jobs < 1:
        raise InputError("--dimensions and --jobs must be at least 1 and --points at least 10")
    trials = list(product(given.dimensions, given.points))
    for trial in trials:
        check_recipe(path_of(*trial, given.folder), overrides(*trial))
    with ThreadPoolExecutor(given.jobs) as pool:
        logs = list(tqdm(pool.map(lambda t: run(*t, given.folder), trials), total=len(trials), unit="run"))
    files = {trial: path_of(*trial, given.folder) / "metrics.json" for trial in trials}
    rows = {trial: row(json.loads(file.read_text())) for trial, file in files.items() if file.is_file()}
    print("| dimensions | points | KL(data‖energy) | of a Gaussian | AUC data/generator | seconds |")
    print("|---" * 6 + "|")
    for (dimension, points), r in rows.items():
        print(
            f"| {dimension} | {points:,} | {r['kl']:.3f} | {r['gaussian']:.2f} | {r['auc']:.3f} | "
            f"{r['seconds']:.0f} |"
        )
    if rows:
        draw(rows, given.out)
    if failures := [log for log in logs if log]:
        raise InputError(f"{len(failures)} trials failed, their logs: {', '.join(map(str, failures))}")


def path_of(dimension: int, points: int, folder: Path) -> Path:
    return folder / f"{dimension}_{points}"


def run(dimension: int, points: int, folder: Path) -> Path | None:
    """One trial, if it is not there yet; the path of its log if it failed."""
    path = path_of(dimension, points, folder)
    if (path / "metrics.json").is_file():
        return None
    return run_trial(path, overrides(dimension, points))


def overrides(dimension: int, points: int) -> list[str]:
    of_data = [f"data.density.dimension={dimension}", f"data.n_points={points}"]
    return ["data=mixture", "method=aligned", *of_data]


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


def draw(rows: dict[tuple[int, int], dict[str, float]], out: Path) -> None:
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
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    print(f"\npicture {out}")


if __name__ == "__main__":
    door(main)
