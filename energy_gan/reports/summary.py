"""What a run says at its end: its numbers beside the yardsticks, its folder, what to type next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from energy_gan.reports.numbers import REFINED
from energy_gan.reports.tables import read_metrics, table
from energy_gan.system.commands import command

FILES = {  # to give, to get
    "points": ("points.csv", "samples.csv"),
    "images": ("folder", "samples.png"),
    "text": ("sentences.txt", "samples.txt"),
}
SHORT = "none: measured in short, of {n:,} samples; for all numbers and pictures {evaluate}"
NO_ENERGY = "none: this run offers no energy of points"
NOT_INTEGRABLE = (
    "Not integrable by construction (no quadratic term, or unbounded features): log Z and all that rests "
    "on it hold on the grid only."
)


def summary(run: Path) -> str:
    """The table and the next commands of a finished run; its folder alone if nothing was measured."""
    if not (run / "metrics.json").is_file():
        return f"\nfolder   {run}"
    report = read_metrics(run)
    laws = {report["name"]: report["metrics"]}
    if refined := _refined(report["metrics"]):
        laws["refined by MALA"] = refined
    if limit := exact_likelihood(run, report):
        laws["exact likelihood"] = limit
    laws |= report["yardsticks"]
    head = f"{report['name']}, seed {report['seed']}, {report['step']} steps, {report['seconds']} s"
    if "energy" in report["offers"] and not report["integrable"]:
        head += "\n" + NOT_INTEGRABLE
    short, verdict = report["verdict"] is None, report["verdict"] or NO_ENERGY
    if short:
        verdict = SHORT.format(n=report["n_samples"], evaluate=command("evaluate", RUN=str(run)))
    said = f"verdict  {verdict}"
    if report["no_log_normalizer"]:
        said += f"\nno estimate of log Z: {'; '.join(report['no_log_normalizer'])}"
    pictures = f"pictures {run}/figures/*.png\n" if (run / "figures").is_dir() else ""
    after = f"{pictures}folder   {run}\nnext     " + "\n         ".join(next_commands(run, report))
    return f"\n{head}\n\n{table(laws)}\n\n{said}\n\n{after}"


def next_commands(run: Path, report: Mapping[str, Any]) -> list[str]:
    """What to type next, as far as the run offers it."""
    given, made = FILES[report["kind"]]
    found = [command("compare", RUNS=f"{run} …")]
    if "energy" in report["offers"]:
        found.append(command("energy", RUN=str(run), INPUT=given, OUT="energies.csv"))
    if "classes" in report["offers"]:
        found.append(command("classify", RUN=str(run), INPUT=given, OUT="classes.csv"))
    if "generator" in report["offers"]:
        found.append(command("sample", RUN=str(run), N="1000", OUT=made))
    return found


def _refined(metrics: dict[str, float]) -> dict[str, float]:
    """The numbers of the refined samples, by their plain names."""
    return {k.removeprefix(REFINED): v for k, v in metrics.items() if k.startswith(REFINED)}


def exact_likelihood(run: Path, report: Mapping[str, Any]) -> dict[str, float] | None:
    """The numbers of the newest exact-likelihood run on the same data, if there is one."""
    others = run.parent.parent.parent.glob(f"exact_likelihood/{run.parent.name}/*/metrics.json")
    for other in sorted(others, reverse=True):
        if other.parent != run and _data(found := read_metrics(other.parent)) == _data(report):
            return found["metrics"]
    return None


def _data(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the data were drawn from: all settings but the seed and the batches."""
    return {k: v for k, v in report.get("data", {}).items() if k not in ("seed", "batch_size")}
