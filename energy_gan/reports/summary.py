"""What a run says at its end: its numbers beside the yardsticks, its folder, what to type next."""

from pathlib import Path

import yaml

from energy_gan.reports.numbers import REFINED
from energy_gan.reports.tables import read_metrics, table

NEXT = """\
folder   {run}
pictures {run}/figures/*.png
next     make compare RUNS='{run} …'"""
NEXT_ENERGY = "\n         make energy RUN={run} INPUT={input} OUT=energies.csv"
FILES = {
    "points": {"input": "points.csv", "out": "samples.csv"},
    "images": {"input": "folder", "out": "samples.png"},
}
NEXT_SAMPLE = "\n         make sample RUN={run} N=1000 OUT={out}"

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
    if limit := exact_likelihood(run):
        laws["exact likelihood"] = limit
    laws |= report["yardsticks"]
    head = f"{report['name']}, seed {report['seed']}, {report['step']} steps, {report['seconds']} s"
    if "energy" in report["offers"] and not report["integrable"]:
        head += "\n" + NOT_INTEGRABLE
    said = f"verdict  {report['verdict'] or 'none: this run offers no energy'}"
    if report["no_log_normalizer"]:
        said += f"\nno estimate of log Z: {'; '.join(report['no_log_normalizer'])}"
    after = NEXT + (NEXT_ENERGY if "energy" in report["offers"] else "")
    after += NEXT_SAMPLE if "generator" in report["offers"] else ""
    after = after.format(run=run, **FILES[report["kind"]])
    return f"\n{head}\n\n{table(laws)}\n\n{said}\n\n{after}"


def _refined(metrics: dict[str, float]) -> dict[str, float]:
    """The numbers of the refined samples, by their plain names."""
    return {k.removeprefix(REFINED): v for k, v in metrics.items() if k.startswith(REFINED)}


def exact_likelihood(run: Path) -> dict[str, float] | None:
    """The numbers of the newest exact-likelihood run on the same data, if there is one."""
    data = _data(run)
    for other in sorted(run.parent.parent.parent.glob(f"exact_likelihood/{run.parent.name}/*/metrics.json"))[
        ::-1
    ]:
        if other.parent != run and _data(other.parent) == data:
            return read_metrics(other.parent)["metrics"]
    return None


def _data(run: Path) -> dict:
    """What the data were drawn from: all settings but the seed and the batches."""
    data = yaml.safe_load((run / "config.yaml").read_text())["data"]
    return {key: value for key, value in data.items() if key not in ("seed", "batch_size")}
