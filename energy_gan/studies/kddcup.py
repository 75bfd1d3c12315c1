"""KDD Cup 99 over seeds: each method's energies and the detectors of scikit-learn -> docs/anomaly.md.

A trial is a run, runs/anomaly/<method>/seed_<seed>; what its scores are worth is kept in it as anomaly.json,
for the detectors beside it. What is there is not run again, and what was cut short goes on from its last
checkpoint; a trial that was made with other settings is refused.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from tqdm import tqdm

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.metrics.anomaly import scores_of
from energy_gan.run.compose import compose, split_trust
from energy_gan.studies.trials import (
    add_missing,
    cell,
    check_given,
    check_recipe,
    check_test,
    keep,
    read_numbers,
    run_trial,
)

DATA = "kddcup99"
SEEDS = (0, 1, 2, 3, 4)
SHOWN = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "average_precision": "average precision",
    "auprc_trapezoid": "AUPRC, trapezoid",
    "auroc": "AUROC",
}
PUBLISHED = {  # precision, recall, F1, as Kumar et al. (2019) give them
    "Kernel PCA": (0.8627, 0.6319, 0.7352),
    "OC-SVM": (0.7457, 0.8523, 0.7954),
    "DSEBM-e": (0.8619, 0.6446, 0.7399),
    "DAGMM": (0.9297, 0.9442, 0.9369),
    "MEG, by ‖∇E‖²": (0.9307, 0.9472, 0.9389),
}
HEAD = """\
# Anomaly detection: KDD Cup 99, 10 %

Made by `make anomaly ARGS='--methods {methods}'`. Attacks are the inliers; half of the rows, drawn with
seed {split_seed}, is trained on, its attacks only: {n_train:,} rows. The test has {n_test:,}, of which
{base_rate:.4f} are anomalies ({ratio:g} was asked for; if there are too few, all are taken, as published).
Flagged is, as published, what scores at least the {quantile:g} quantile of the test. Many rows of the test
are equal to one that was trained on, as published. The settings of `meg` were chosen on the split of seed
7, half of whose test rows are in this test too. Published numbers are means over the last ten epochs. Mean
± standard deviation over the seeds. ‖∇E‖² is in the units that the networks see. The detectors see each
feature scaled to [0, 1]; the one-class SVM and the local outlier factor see {most:,} random rows, the
nearest neighbour all distinct ones. Seconds are of training, or of fitting and scoring, on one thread of a
shared machine.
"""
QUICK = (
    "callbacks.report.n_samples=10000",
    "callbacks.report.n_samples_during=1000",
)  # they are not shown here


def main() -> None:
    parser = Parser("anomaly", description=__doc__)
    parser.add_argument("--methods", nargs="*", default=["meg", "aligned"], help="(meg aligned)")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="(0 to 4)")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="key=value", help="for every trial, as data.root=…"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/anomaly"), help="of the trials")
    parser.add_argument("--out", type=Path, default=Path("docs/anomaly.md"))
    parser.add_argument(
        "--no-runs", action="store_true", help="show what is there, whatever its settings; run nothing"
    )
    given = parser.parse_args()
    check_given(given)

    from energy_gan.run.build import build, check

    settings = [o for o in given.set if o.startswith("data.")]
    config = compose([f"data={DATA}", *settings])
    check({"data": config["data"]}, split_trust(given.set)[1])
    data = build(config["data"], "data")
    data.setup()
    check_test(given.folder / "test.json", facts_of(data))
    failures = [] if given.no_runs else run_all(data, given)
    rows = read(given.methods, given.seeds, given.folder)
    if not rows and not failures:
        raise InputError(
            f"there is no finished trial in {given.folder}: run `make anomaly` without --no-runs"
        )
    if rows:
        shown = table(rows)
        given.out.write_text(head(data, given.methods) + "\n" + shown + "\n")
        print(f"{shown}\n-> {given.out}")
    if failures:
        raise InputError(f"{len(failures)} trials failed, their logs: {', '.join(map(str, failures))}")


def run_all(data, given) -> list[Path]:
    """Train, score and measure what is not there yet; the logs of the trials that failed."""
    trials = sorted(product(given.methods, given.seeds), key=lambda t: t[1])  # a first table early
    for trial in trials:
        check_recipe(run_of(*trial, given.folder), overrides(*trial, given))
    failures = []
    for seed in given.seeds:
        detect(data, seed, given.folder, first=seed == given.seeds[0])
    for method, seed in tqdm(trials, unit="run", disable=not trials):
        path = run_of(method, seed, given.folder)
        if (path / "anomaly.json").is_file():
            continue
        finished = (path / "metrics.json").is_file()
        if not finished and (log := run_trial(path, overrides(method, seed, given))):
            failures.append(log)
            continue
        keep(path / "anomaly.json", score(path, data, split_trust(given.set)[1]))
    return failures


def overrides(method: str, seed: int, given) -> list[str]:
    return [f"data={DATA}", f"method={method}", f"seed={seed}", *QUICK, *given.set]


def facts_of(data) -> dict[str, Any]:
    """What tells the test from that of other settings."""
    facts = {name: getattr(data, name) for name in ("ratio", "split_seed", "distinct")}
    return facts | {"rows to train on": len(data.points), "rows of the test": len(data.test)}


def run_of(method: str, seed: int, folder: Path) -> Path:
    return folder / method / f"seed_{seed}"


def detectors_of(seed: int, folder: Path) -> Path:
    return folder / "detectors" / f"seed_{seed}.json"


def score(run: Path, data, trust: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """The numbers of a run, by its energy and by the norm of its gradient."""
    from energy_gan.metrics.anomaly import measure
    from energy_gan.run.checkpoints import load

    model = load(run, trust)
    seconds = json.loads((run / "metrics.json").read_text())["seconds"]
    return {
        name: measure(values, data.test_labels.numpy(), data.ratio) | {"seconds": seconds}
        for name, values in scores_of(run, model, data.test).items()
    }


def detect(data, seed: int, folder: Path, first: bool) -> None:
    """The numbers of the detectors with one seed; of those without chance with the first seed only."""
    from energy_gan.metrics.anomaly import DETECTORS, DETERMINISTIC, detectors, measure

    path = detectors_of(seed, folder)
    names = [name for name in DETECTORS if first or name not in DETERMINISTIC]

    def numbers(name: str) -> dict[str, float]:
        scores = detectors(data.points.numpy(), data.test.numpy(), seed, [name])[name]
        return measure(scores, data.test_labels.numpy(), data.ratio)

    add_missing(path, names, numbers)


def read(methods: Sequence[str], seeds: Iterable[int], folder: Path) -> dict[str, list[dict[str, float]]]:
    """The numbers of each row of the table, one for each seed that is there."""
    rows: dict[str, list[dict[str, float]]] = {}
    sources: list[tuple[Callable[[str], str], Path]] = []
    for seed in seeds:
        sources += [
            (lambda name, m=method: f"`{m}`, by {name}", run_of(method, seed, folder) / "anomaly.json")
            for method in methods
        ]
    sources += [(str, detectors_of(seed, folder)) for seed in seeds]
    for title, file in sources:
        for name, numbers in read_numbers(file).items():
            rows.setdefault(title(name), []).append(numbers)
    return rows


def head(data, methods: Sequence[str]) -> str:
    from inspect import signature

    from energy_gan.metrics.anomaly import detectors

    return HEAD.format(
        methods=" ".join(methods),
        split_seed=data.split_seed,
        n_train=len(data.points),
        n_test=len(data.test),
        base_rate=float(data.test_labels.float().mean()),
        ratio=data.ratio,
        quantile=1 - data.ratio,
        most=signature(detectors).parameters["most"].default,
    )


def table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """A line for each score, then the published ones."""
    lines = [f"| | {' | '.join(SHOWN.values())} | seeds | seconds |", "|---" * (len(SHOWN) + 3) + "|"]
    for name, seeds in rows.items():
        cells = [cell([numbers[key] for numbers in seeds], digits=4) for key in SHOWN]
        seconds = mean(numbers["seconds"] for numbers in seeds)
        lines.append(f"| {name} | {' | '.join(cells)} | {len(seeds)} | {seconds:.0f} |")
    for name, numbers in PUBLISHED.items():
        cells = [f"{value:.4f}" for value in numbers] + ["–"] * (len(SHOWN) - len(numbers))
        lines.append(f"| {name}, as published | {' | '.join(cells)} | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    door(main)
