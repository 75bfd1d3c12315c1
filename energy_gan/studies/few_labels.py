"""What an energy has learned of images without labels, by the errors of classifiers that get few of them.

A trial is a run, runs/few_labels/<method>/seed_<seed>; few_labels.json beside it holds its errors.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from energy_gan.errors import InputError
from energy_gan.studies.study import Study, Trial
from energy_gan.studies.trials import cell, markdown
from energy_gan.system.files import write_json

DRAWS = 3  # of the labels, for each run
HEAD = """\
# Features of energies, with few labels

Made by `make study STUDY=few_labels`. Each energy is trained on MNIST without labels; then classifiers get
the features f(x) of its network, of multigrid energies that of the finest grid, and {labels} labels. Shown
is the share of the 10,000 test images that is named wrong, the mean over runs and {draws} draws of the
labels for each, ± the standard deviation over the runs. `from scratch` is the same network with new
weights, trained by the labels alone. The classifiers stand in energy_gan/metrics/few_labels.py.
"""


class FewLabels(Study):
    name = "few_labels"
    about = "errors with few labels on what energies have learned -> docs/few_labels.md"
    methods = ("multigrid", "cd", "pcd")
    seeds = (0, 1, 2)
    folder = Path("runs/few_labels")
    out = Path("docs/few_labels.md")
    result = "few_labels.json"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        super().arguments(parser)
        parser.add_argument("--labels", nargs="+", type=int, default=[100, 1_000], help="(100 1000)")

    def check(self) -> None:
        super().check()
        if wrong := [n for n in self.given.labels if n < 20 or n % 10]:
            raise InputError(f"--labels must be multiples of 10, at least 20, got {wrong[0]}")

    def path(self, trial: Trial) -> Path:
        return self.given.folder / trial.method / f"seed_{trial.seed}"

    def overrides(self, trial: Trial) -> list[str]:
        short = "callbacks.report.short=true"
        return ["data=mnist", f"method={trial.method}", f"seed={trial.seed}", short, *self.given.set]

    def conclude(self, trial: Trial) -> None:
        """Its errors, kept beside it."""
        from energy_gan.energies.base import stated
        from energy_gan.metrics.few_labels import errors
        from energy_gan.run.checkpoints import data_of, load
        from energy_gan.run.words import split_trust

        trust = split_trust(list(self.given.set))[1]
        model, data = load(self.path(trial), trust), data_of(self.path(trial), trust)
        data.setup()
        if (network := stated(model.learned.energy, "features")) is None or data.labels is None:
            raise InputError(f"{self.path(trial)} needs labelled data and an energy made of features")
        images = [data.standardise(x) for x in (data.points, data.held_out)]
        found = {
            str(n): [
                errors(network, images[0], data.labels, images[1], data.held_out_labels, n, seed)
                for seed in range(DRAWS)
            ]
            for n in self.given.labels
        }
        write_json(self.path(trial) / self.result, found)

    def read(self) -> dict[Trial, Any]:
        files = {trial: self.path(trial) / self.result for trial in self.trials()}
        return {trial: json.loads(file.read_text()) for trial, file in files.items() if file.is_file()}

    def write(self, rows: Mapping[Trial, Any]) -> None:
        counts = [str(n) for n in self.given.labels]
        first = next(iter(rows.values()))[counts[0]][0]
        lines = []
        for method in self.given.methods:
            runs = [found for trial, found in rows.items() if trial.method == method]
            for way in first if runs else ():
                of_runs = [[mean(d[way] for d in run[n]) for run in runs] for n in counts]
                lines.append([f"`{method}`, {way}", *(cell(values) for values in of_runs), f"{len(runs)}"])
        table = markdown(["", *(f"{n} labels" for n in counts), "seeds"], lines)
        head = HEAD.format(labels=" or ".join(counts), draws=DRAWS)
        self.given.out.write_text(f"{head}\n{table}\n")
        print(f"{table}\n-> {self.given.out}")
