"""KDD Cup 99 over seeds: each method's energies and the detectors of scikit-learn -> docs/anomaly.md.

A trial is a run, runs/anomaly/<method>/seed_<seed>.
"""

from inspect import signature
from pathlib import Path
from statistics import mean
from typing import Any

from energy_gan.run.words import split_trust
from energy_gan.studies.anomalies import AnomalyStudy, Rows
from energy_gan.studies.study import Trial
from energy_gan.studies.trials import cell, check_test, markdown, read_numbers

DATA = "kddcup99"
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

Made by `make study STUDY=kddcup ARGS='--methods {methods}'`. Attacks are the inliers; half of the rows,
drawn with seed {split_seed}, is trained on, its attacks only: {n_train:,} rows. The test has {n_test:,}, of
which {base_rate:.4f} are anomalies ({ratio:g} was asked for; if there are too few, all are taken, as
published). Flagged is, as published, what scores at least the {quantile:g} quantile of the test. Many rows
of the test are equal to one that was trained on, as published. The settings of `meg` were chosen on the
split of seed 7, half of whose test rows are in this test too. Published numbers are means over the last ten
epochs. Mean ± standard deviation over the seeds. ‖∇E‖² is in the units that the networks see. The detectors
see each feature scaled to [0, 1]; the one-class SVM and the local outlier factor see {most:,} random rows,
the nearest neighbour all distinct ones. Seconds are of training, or of fitting and scoring, on one thread of
a shared machine.
"""
QUICK = ("callbacks.report.n_samples=10000", "callbacks.report.n_samples_during=1000")  # of what is not shown


class KDDCup(AnomalyStudy):
    name = "kddcup"
    about = "anomalies of KDD Cup 99 over seeds, beside scikit-learn's detectors -> docs/anomaly.md"
    methods = ("meg", "aligned")
    seeds = (0, 1, 2, 3, 4)
    folder = Path("runs/anomaly")
    out = Path("docs/anomaly.md")

    def check(self) -> None:
        super().check()
        self.rows = self.build(f"data={DATA}")
        check_test(self.given.folder / "test.json", facts_of(self.rows))

    def data(self, key: str) -> Any:
        return self.rows

    def overrides(self, trial: Trial) -> list[str]:
        named = [f"data={DATA}", f"method={trial.method}", f"seed={trial.seed}"]
        return [*named, *QUICK, *self.given.set]

    def detectors(self) -> tuple[str, ...]:
        from energy_gan.metrics.anomaly import DETECTORS

        return DETECTORS

    def measure(self, scores, data) -> dict[str, float]:
        from energy_gan.metrics.anomaly import measure

        return measure(scores, data.test_labels.numpy(), data.ratio)

    def score(self, trial: Trial) -> dict[str, dict[str, float]]:
        """By its energy, and by the norm of its gradient."""
        from energy_gan.metrics.anomaly import scores_of
        from energy_gan.run.checkpoints import load

        run = self.path(trial)
        seconds = {"seconds": read_numbers(run / "metrics.json")["seconds"]}
        scores = scores_of(run, load(run, split_trust(self.given.set)[1]), self.rows.test)
        return {name: self.measure(values, self.rows) | seconds for name, values in scores.items()}

    def write(self, rows: Rows) -> None:
        shown = table(rows)
        self.given.out.write_text(head(self.rows, self.given.methods) + "\n" + shown + "\n")
        print(f"{shown}\n-> {self.given.out}")


def facts_of(data) -> dict[str, Any]:
    """What tells the test from that of other settings."""
    facts = {"ratio": data.ratio, "split_seed": data.split_seed, "distinct": data.distinct}
    return facts | {"rows to train on": len(data.points), "rows of the test": len(data.test)}


def head(data, methods) -> str:
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


def table(rows: Rows) -> str:
    """A line for each score, then the published ones."""
    lines = []
    for name, sets in rows.items():
        seeds = sets[""]
        cells = [cell([numbers[key] for numbers in seeds], digits=4) for key in SHOWN]
        lines.append([name, *cells, f"{len(seeds)}", f"{mean(n['seconds'] for n in seeds):.0f}"])
    for name, numbers in PUBLISHED.items():
        cells = [f"{value:.4f}" for value in numbers] + ["–"] * (len(SHOWN) - len(numbers))
        lines.append([f"{name}, as published", *cells, "", ""])
    return markdown(["", *SHOWN.values(), "seeds", "seconds"], lines)
