"""Every method on the same data, with the same measures."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np

from energy_gan.errors import InputError
from energy_gan.metrics.verdict import LIKELIHOODS, RIVALS, standing
from energy_gan.run.compose import compose, options, recipe_of
from energy_gan.studies.family_outliers import beside_kmnist, detectors_of, without_a_class
from energy_gan.studies.family_pictures import quality_by_time, sheet
from energy_gan.studies.family_words import WORDS
from energy_gan.studies.study import Study, Trial, check_known
from energy_gan.studies.tables import shrink
from energy_gan.studies.trials import cell, markdown
from energy_gan.system.files import write_json

PLANE, TABLE, IMAGES = ("four_spin", "two_spiral", "eight_gaussians"), "table", ("digits", "mnist")
OUTLIERS = "digits_without"  # one of them, that is to be found again
IN_PLANE = ("exact_likelihood",)  # by a grid
LABELLED = ("classifier", "hypernetwork", "jem", "symbol_vector")  # nothing for data without classes
SHOWN = {True: 16, False: 2_000}  # samples of images, of points


class Column(NamedTuple):
    title: str
    name: str
    best: Callable | None = None
    digits: int = 3


COLUMNS = {
    "plane": [
        Column("KL(data‖energy)", "kl_data_energy", min),
        Column("KL(samples‖energy)", "kl_generator_energy", min),
        Column("samples' sliced W2", "sliced_w2", min),
        Column("smallest mode", "smallest_mode", max),
    ],
    "table": [
        Column("AUC, data and samples", "auc_data_generator", min),
        Column("samples' sliced W2", "sliced_w2", min),
    ],
    "images": [
        Column("Fréchet, LeNet", "frechet_lenet", min, 1),
        Column("recall", "recall_lenet", max),
        Column("smallest class", "class_smallest_share", max),
        Column("reconstruction", "reconstruction_mse", min, 4),
        Column("accuracy", "accuracy", max),
        Column("AUROC, KMNIST", "auroc_kmnist", max),
    ],
    "outliers": [
        Column("average precision", "average_precision", max),
        Column("AUROC", "auroc", max),
    ],
}
QUALITY = {  # of the figure
    "plane": Column("KL(data‖energy)", "kl_data_energy", min),
    "table": Column("held-out nats", "held_out_log_likelihood", max),
    "images": Column("Fréchet, LeNet", "frechet_lenet", min),
    "outliers": Column("average precision", "average_precision", max),
}
YARDSTICKS = {
    "gaussian": "Gaussian", "kde": "kernel estimate", "fresh data": "fresh data",
    "training data": "training data", "held-out data": "held-out data", "pixel Gaussian": "Gaussian",
    "mixture of PPCA": "mixture of PPCA",
}  # fmt: skip
HEAD = """\
# The whole family on the same data, with the same measures

Made by `{command}`. A trial is `make train DATA=… METHOD=… ARGS=seed=…`:
each method by its own recipe and its own steps, within {minutes} minutes. `table` is
{table}. Each cell is the mean over the seeds and, in
brackets, the worst of them; – where a method offers no such thing. "Density": whether what was measured lets
the energy pass for one: data stay under MALA, long chains keep its law, log Z is known within 3 nats.
Held-out nats are of the grid in the plane, of the table's own units, on images as the cell says. Seconds are
of one thread of a shared machine: of training with its looks on the way, and of 1,000 samples. Which to take:
[choosing](choosing.md)."""
DIGITS_COMPONENTS = "ten principal components of scikit-learn's digits"


class Family(Study):
    name = "family"
    about = "every method on the same data, with the same measures -> docs/family.md"
    methods = tuple(sorted(options("method")))
    seeds = (0, 1, 2)
    folder = Path("runs/family")
    out = Path("docs/family.md")
    result = "family.json"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        super().arguments(parser)
        known = [*PLANE, TABLE, *IMAGES, OUTLIERS]
        parser.add_argument("--data", nargs="+", default=known, help=f"({' '.join(known)})")
        parser.add_argument("--table", type=Path, metavar="FILE", help=f"of columns ({DIGITS_COMPONENTS})")
        parser.add_argument("--without", type=int, default=9, help=f"the digit of {OUTLIERS} (9)")
        parser.add_argument("--minutes", type=int, default=25, help="of training that a trial may take (25)")
        said = "a twentieth of the steps and fewer samples, in runs/family_quick, for a first look"
        parser.add_argument("--quick", action="store_true", help=said)

    def __init__(self, given: argparse.Namespace):
        super().__init__(given)
        if given.quick:  # never the page of docs/, nor the trials behind it
            given.folder = Path("runs/family_quick") if given.folder == self.folder else given.folder
            given.out = given.folder / "family.md" if given.out == self.out else given.out
            given.folder.mkdir(parents=True, exist_ok=True)

    def check(self) -> None:
        super().check()
        check_known("--data", self.given.data, [*PLANE, TABLE, *IMAGES, OUTLIERS])
        if not 0 <= self.given.without <= 9:
            raise InputError(f"--without must be a digit, from 0 to 9, got {self.given.without}")
        if self.given.minutes < 1:
            raise InputError(f"--minutes must be at least 1, got {self.given.minutes}")
        if self.given.table and not self.given.table.is_file():
            raise InputError(f"--table {self.given.table} does not exist: give a .csv, .npy or .parquet")
        if not self.trials():
            raise InputError("none of the methods is made for any of the data: give others")

    @property
    def sets(self) -> Sequence[str]:
        return self.given.data

    def trials(self) -> list[Trial]:
        """Where a method has a recipe for the set, and its classes if it learns from them."""
        return [t for t in super().trials() if _made_for(t.method, t.data)]

    def overrides(self, trial: Trial) -> list[str]:
        hours, minutes = divmod(self.given.minutes, 60)
        given = [
            *self._data(trial.data),
            f"method={trial.method}",
            f"seed={trial.seed}",
            f"+trainer.max_time='00:{hours:02}:{minutes:02}:00'",
            "logger.wandb=null",
            "logger.tensorboard=null",
        ]
        given += ["data.held_out=0.2"] if trial.data == TABLE else []
        given += ["callbacks.report.short=true"] if trial.data == OUTLIERS else []
        given += self.given.set
        if self.given.quick:
            steps = compose(given)["trainer"]["max_steps"]
            few = 10_000 if _kind(trial.data) in ("plane", "table") else 1_000
            given += [f"trainer.max_steps={-(-steps // 20)}", f"callbacks.report.n_samples={few}"]
        return given

    def _data(self, name: str) -> list[str]:
        if name == OUTLIERS:
            return ["data=digits", f"data.without={self.given.without}"]
        return ["data=points", f"data.path='{self._table}'"] if name == TABLE else [f"data={name}"]

    @cached_property
    def _table(self) -> Path:
        if self.given.table:
            return self.given.table
        from sklearn.datasets import load_digits
        from sklearn.decomposition import PCA

        path = self.given.folder / "digits_pca.csv"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            x = PCA(10, random_state=0).fit_transform(load_digits().data)
            np.savetxt(path, x, delimiter=",", header=",".join(f"p{i}" for i in range(10)), comments="")
        return path

    def conclude(self, trial: Trial) -> None:
        """Keep some of its samples, and how it tells what it has not learned: the class left out, KMNIST."""
        from energy_gan.run.checkpoints import load

        run, extra = self.path(trial), {}
        model = load(run)
        if model.has_generator and trial.data != OUTLIERS:
            np.save(run / "samples.npy", model.sample(SHOWN[trial.data in IMAGES]).numpy())
        if model.offers & {"energy", "ranking"}:
            extra = without_a_class(run, model) if trial.data == OUTLIERS else extra
            extra = beside_kmnist(run, model, trial.seed) if trial.data == "mnist" else extra
        write_json(run / self.result, extra)

    def read(self) -> dict[Trial, Any]:
        rows = super().read()
        for trial, row in rows.items():
            file = self.path(trial) / self.result
            row["metrics"] |= json.loads(file.read_text()) if file.is_file() else {}
        return rows

    # ---- the page

    def write(self, rows: Mapping[Trial, dict]) -> None:
        out, figures = self.given.out, self.given.out.parent / "figures"
        figures.mkdir(exist_ok=True)
        command = "make study STUDY=family" + (" ARGS=--quick" if self.given.quick else "")
        table = f"`{self.given.table.name}`" if self.given.table else DIGITS_COMPONENTS
        page = [HEAD.format(command=command, minutes=self.given.minutes, table=table)]
        for data in (d for d in self.given.data if any(t.data == d for t in rows)):
            some = {trial: row for trial, row in rows.items() if trial.data == data}
            title, rivals = data, {}
            if data == OUTLIERS:
                title = f"digits, of which one, the {self.given.without}, was left out"
                rivals = detectors_of(self._data(data))
            page += [f"## {title}", _section(data, some, rivals)]
            page += [f"No log Z: {reasons}" for reasons in [_reasons(some)] if reasons]
            for name, figure in self._figures(data, some):
                file = figures / f"{out.stem}_{data}_{name}.png"
                figure.savefig(file, dpi=90)
                shrink(file, file)
                page.append(f'<img src="figures/{file.name}" width="860">')
        page.append("## What they are")
        for name in dict.fromkeys(trial.method for trial in rows):
            words, reference = WORDS[name]
            page.append(f"**`{name}`** {words} {reference}")
        out.write_text("\n\n".join(page) + "\n")
        print(f"{out} and its figures are written")

    def _figures(self, data: str, rows: Mapping[Trial, dict]) -> Iterator[tuple[str, Any]]:
        column = QUALITY[_kind(data)]
        points = {
            method: (mean(r["seconds"] for r in some), mean(r["metrics"][column.name] for r in some))
            for method, some in _by_method(rows).items()
            if all(column.name in r["metrics"] for r in some)
        }
        if points:
            yield "time", quality_by_time(points, column.title)
        first = {trial.method: self.path(trial) / "samples.npy" for trial in sorted(rows, reverse=True)}
        samples = {m: np.load(file) for m, file in reversed(first.items()) if file.is_file()}
        if samples:
            yield "samples", sheet(samples)


def _made_for(method: str, data: str) -> bool:
    if (method in LABELLED and data not in (*IMAGES, OUTLIERS)) or (method in IN_PLANE and data not in PLANE):
        return False
    try:
        recipe = {TABLE: "points", OUTLIERS: "digits"}.get(data, data)
        return recipe_of(method, recipe) is not None
    except InputError:
        return False


def _kind(data: str) -> str:
    kinds = {**dict.fromkeys(PLANE, "plane"), **dict.fromkeys(IMAGES, "images"), OUTLIERS: "outliers"}
    return kinds.get(data, "table")


def _by_method(rows: Mapping[Trial, dict]) -> dict[str, list[dict]]:
    methods = dict.fromkeys(trial.method for trial in rows)
    return {name: [row for trial, row in rows.items() if trial.method == name] for name in methods}


def _section(data: str, rows: Mapping[Trial, dict], rivals: Mapping[str, dict[str, float]]) -> str:
    columns, lines = COLUMNS[_kind(data)], []
    for name, some in _by_method(rows).items():
        metrics = [row["metrics"] for row in some]
        seconds = [row["seconds"] for row in some]
        sampling = [row.get("sampling_seconds") for row in some]
        lines.append(
            [
                f"`{name}`",
                *(cell([m.get(c.name) for m in metrics], c.best, c.digits) for c in columns),
                _nats(metrics),
                ", ".join(dict.fromkeys(filter(None, map(standing, metrics)))) or "–",
                f"{len(some)}",
                f"{max(row['step'] for row in some)}",
                f"{mean(seconds):.0f}",
                cell([mean(sampling)] if None not in sampling else [], digits=2),
            ]
        )
    first = next(iter(rows.values()))
    for key, row in {**first["yardsticks"], **rivals}.items():
        title = YARDSTICKS.get(key, key)
        cells = [cell([row.get(c.name)], c.best, c.digits) for c in columns]
        lines.append([title, *cells, _nats([row]), *[""] * 5])
    for title, key in RIVALS.items():
        if found := [row["metrics"][key] for row in rows.values() if key in row["metrics"]]:
            lines.append([title, *["–"] * len(columns), f"{found[0]:.2f}", *[""] * 5])
    titles = [c.title for c in columns]
    ends = ["held-out nats", "density", "seeds", "steps", "seconds", "of 1,000 samples"]
    return markdown(["", *titles, *ends], lines)


def _nats(metrics: Sequence[Mapping[str, float]]) -> str:
    """Of the first way that all of the runs have."""
    for name, of in LIKELIHOODS.items():
        if all(name in m for m in metrics):
            return cell([m[name] for m in metrics], max, 2) + (f", {of}" if of else "")
    return "–"


def _reasons(rows: Mapping[Trial, dict]) -> str:
    found = {
        trial.method: row["no_log_normalizer"] for trial, row in rows.items() if row["no_log_normalizer"]
    }
    return "; ".join(f"`{name}`: {', '.join(reasons)}" for name, reasons in found.items())
