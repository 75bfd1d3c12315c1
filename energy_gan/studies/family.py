"""Every method on the same data, with the same measures.

The page grows: what its record, docs/family.json, has of other trials stays, on this machine and on others.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from energy_gan.errors import InputError
from energy_gan.run.compose import compose, options, recipe_of
from energy_gan.studies.family_outliers import beside_kmnist, detectors_of, without_a_class
from energy_gan.studies.family_page import (
    HEAD,
    IMAGES,
    MEASURES,
    OUTLIERS,
    PLANE,
    TABLE,
    draw_samples,
    draw_times,
    kind_of,
    page,
)
from energy_gan.studies.family_record import Record, Row, read_record, rivals_of, shown, write_record
from energy_gan.studies.study import Study, Trial, check_known
from energy_gan.studies.trials import read_numbers
from energy_gan.system.files import write_json, write_text

IN_PLANE = ("exact_likelihood",)  # by a grid
LABELLED = ("classifier", "hypernetwork", "jem", "symbol_vector")  # nothing for data without classes
SHOWN = {True: 16, False: 2_000}  # samples of images, of points
YARDSTICKS = {"gaussian": "Gaussian", "kde": "kernel estimate", "pixel Gaussian": "Gaussian"}
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
        kept = read_record(self.file)  # a mistake is told before hours
        for data in {trial.data for trial in kept.trials} & set(self.given.data):
            if kept.sets.get(data) != self._which.get(data):
                raise InputError(
                    f"{self.file} has {data} of {kept.sets.get(data)} and not of {self._which[data]}: give "
                    "another --out, or remove it"
                )
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
            few = 10_000 if kind_of(trial.data) in ("plane", "table") else 1_000
            given += [f"trainer.max_steps={-(-steps // 20)}", f"callbacks.report.n_samples={few}"]
        return given

    @property
    def _which(self) -> dict[str, str | int]:
        """What a set is of, where that can be chosen."""
        table = f"`{self.given.table.name}`" if self.given.table else DIGITS_COMPONENTS
        return {TABLE: table, OUTLIERS: self.given.without}

    def _data(self, name: str) -> list[str]:
        if name == OUTLIERS:
            return ["data=digits", f"data.without={self.given.without}", "data.n_classes=9"]
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

    def read(self) -> Mapping[Trial, Row]:
        """What the record has, and over it what the trials that are there have now."""
        return self.record.trials

    @cached_property
    def record(self) -> Record:
        note, sets, trials, rivals = read_record(self.file)
        found = super().read()
        for trial, report in found.items():
            report["metrics"] |= read_numbers(self.path(trial) / self.result)
            trials[trial] = shown(report, MEASURES) | {"sheet": trials.get(trial, {}).get("sheet")}
        for data in dict.fromkeys(trial.data for trial in found):
            sets |= {data: self._which[data]} if data in self._which else {}
            seeds = [trial.seed for trial in trials if trial.data == data]
            of_first = [r for trial, r in found.items() if (trial.data, trial.seed) == (data, min(seeds))]
            if not of_first:
                continue  # those of the first seed stay
            rivals[data] = rivals_of(of_first, YARDSTICKS)
            rivals[data] |= detectors_of(self._data(data)) if data == OUTLIERS else {}
        return Record(note, sets, trials, rivals)

    @property
    def file(self) -> Path:
        """Of the record."""
        return self.given.out.with_suffix(".json")

    # ---- the page

    def write(self, rows: Mapping[Trial, Row]) -> None:
        out, figures = self.given.out, self.given.out.parent / "figures"
        for data in dict.fromkeys(trial.data for trial in self.trials()):
            some = {trial: row for trial, row in rows.items() if trial.data == data}
            draw_times(figures, out.stem, data, some)
            files = {trial: self.path(trial) / "samples.npy" for trial in self.trials() if trial.data == data}
            draw_samples(figures, out.stem, data, some, files)
        write_record(self.file, self.record)
        head = HEAD.format(
            command="make study STUDY=family" + (" ARGS=--quick" if self.given.quick else ""),
            minutes=self.given.minutes,
            table=self.record.sets.get(TABLE, self._which[TABLE]),
            record=self.file.name,
        )
        titles = {data: data for data in (*PLANE, TABLE, *IMAGES)}
        titles[OUTLIERS] = f"digits, of which one, the {self.record.sets.get(OUTLIERS)}, was left out"
        write_text(out, page(self.record, head, titles, out.stem))
        print(f"{out}, {self.file.name} and its figures are written")


def _made_for(method: str, data: str) -> bool:
    if (method in LABELLED and data not in (*IMAGES, OUTLIERS)) or (method in IN_PLANE and data not in PLANE):
        return False
    try:
        recipe = {TABLE: "points", OUTLIERS: "digits"}.get(data, data)
        return recipe_of(method, recipe) is not None
    except InputError:
        return False
