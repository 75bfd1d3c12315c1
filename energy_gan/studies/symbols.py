"""Few labels, many points: symbol-vector coupling beside the labels alone, and beside features of a VAE.

A trial is a set and a draw of its labels. Its trainings take minutes together and are made in this process;
runs/symbols/<set>/seed_<seed>/result.json keeps their numbers.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, ClassVar, NamedTuple

from energy_gan.errors import InputError
from energy_gan.run.compose import compose
from energy_gan.run.words import split_trust
from energy_gan.studies.study import Study, Trial, check_known
from energy_gan.studies.trials import cell, markdown, read_numbers
from energy_gan.system.files import write_json, write_text

SAMPLES = ("class_samples_right", "class_samples_worst")
OURS, VAE = "symbol_vector", "VAE features, logistic"
BY_FREQUENCY = ("data.label_draw=frequency", "method.information.marginal=labels")
UNEVEN = ("method.information.marginal=found",)  # classes whose shares balanced labels do not tell
HEAD = """\
# Few labels, many points

Made by `make study STUDY=symbols`. The share of held-out points that is named right, the mean over the draws
of the labels and, in brackets, the worst. Each draw is a seed of everything. `VAE features, logistic` is
METHOD=vae by its own recipe, as many steps, and logistic regression on its encoder's means. The other rivals
stand in energy_gan/metrics/label_baselines.py. Magic's labels are drawn by frequency, and its classes to the
labels' shares; all others are balanced, and the classes of satimage and Reuters are drawn to no shares. Of
images `samples right` is the share of samples of a class that a classifier, which saw all labels, says are
of it, and in brackets that of the worst class of the worst draw. CPU seconds are of training ours, on one
thread of a shared machine.
"""


class Set(NamedTuple):
    """A set and how many labels of each class are known."""

    overrides: Sequence[str]
    labels: int
    steps: int  # of ours and of the VAE
    table: str = ""  # a file below the folder of data without a header, its class last
    ours: Sequence[str] = ()
    vae: Sequence[str] = ("method=vae",)


REUTERS = (
    "data.path='{root}/text/reuters-r8-train.tab'",
    "data.held_out_path='{root}/text/reuters-r8-test.tab'",
)
SETS = {
    "digits": Set(["data=digits"], 5, 800),
    "mnist": Set(["data=mnist", "data.root='{root}'"], 10, 2000),
    "penbased": Set(["data=points"], 10, 600, "tables/penbased.dat"),
    "satimage": Set(["data=points"], 10, 600, "tables/satimage.dat", UNEVEN),
    "letter": Set(["data=points"], 10, 600, "tables/letter.dat"),
    "magic": Set(["data=points"], 10, 600, "tables/magic.dat", BY_FREQUENCY),
    "reuters": Set(
        ["data=text", *REUTERS, "data.header=3", "data.label_column=Category"],
        20,
        300,
        ours=UNEVEN,
        vae=["experiment=vae/text_bag"],
    ),
}


class Symbols(Study):
    name = "symbols"
    about = (
        "accuracy with few labels, beside labels alone and features of a VAE -> docs/few_labels_results.md"
    )
    seeds = (0, 1, 2, 3, 4)
    folder = Path("runs/symbols")
    out = Path("docs/few_labels_results.md")
    jobs = 1
    result = "result.json"
    all_sets: ClassVar[Sequence[str]] = tuple(SETS)

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        super().arguments(parser)
        parser.add_argument("--sets", nargs="+", default=cls.all_sets, help=f"({' '.join(cls.all_sets)})")
        parser.add_argument(
            "--root", type=Path, default=Path("data"), help="of MNIST/, tables/, text/ (data)"
        )
        parser.add_argument(
            "--features", type=Path, default=Path("data/features"), help="of classifiers (data/features)"
        )

    def check(self) -> None:
        super().check()
        check_known("--sets", self.given.sets, self.all_sets)
        if self.given.jobs != 1:
            raise InputError(f"--jobs must be 1, the trials are made in this process, got {self.given.jobs}")

    @property
    def sets(self) -> Sequence[str]:
        return self.given.sets

    def trials(self) -> list[Trial]:
        trials = [Trial(OURS, name, seed) for name in self.sets for seed in self.given.seeds]
        return sorted(trials, key=lambda trial: trial.seed)

    def path(self, trial: Trial) -> Path:
        return self.given.folder / str(trial.data) / f"seed_{trial.seed}"

    def prepare(self) -> None:
        """The tables with a header, which names the class."""
        import pandas as pd

        for name in self.sets:
            if SETS[name].table:
                file = self.given.root / SETS[name].table
                if not file.is_file():
                    raise InputError(f"{file} does not exist: give the folder of tables/, --root FOLDER")
                frame = pd.read_csv(file, header=None, skipinitialspace=True)
                frame.columns = [*(f"x{i}" for i in range(frame.shape[1] - 1)), "class"]
                self.given.folder.mkdir(parents=True, exist_ok=True)
                frame.to_csv(self._table(name), index=False)

    def _table(self, name: str) -> Path:
        return self.given.folder / f"{name}.csv"

    def overrides(self, trial: Trial) -> list[str]:
        one = SETS[trial.data]
        words = [word.format(root=self.given.root) for word in one.overrides]
        if one.table:
            words += [
                f"data.path='{self._table(trial.data)}'",
                "data.label_column=class",
                "data.held_out=0.3",
            ]
        return [*words, f"data.labels={one.labels}", f"seed={trial.seed}", f"trainer.max_steps={one.steps}"]

    def run_all(self) -> list[Path]:
        self.prepare()  # the configs are composed from its tables
        return super().run_all()

    def train(self, trial: Trial) -> None:
        """Ours, the VAE and the rivals on one draw of the labels."""
        from energy_gan.metrics.label_baselines import baselines, of_features
        from energy_gan.reports.symbols import samples_right

        words, one = self.overrides(trial), SETS[trial.data]
        started = time.process_time()
        ours = trained([*words, f"method={OURS}", *one.ours, *split_trust(list(self.given.set))[0]])
        seconds = time.process_time() - started
        data, truth = ours.run.data, ours.run.data.held_out_labels
        there = truth >= 0
        held_out, truth = data.held_out[there], truth[there].numpy()
        known, labels = data.known_labels.numpy(), data.labels.numpy()
        found = {OURS: float((ours.model.classify(held_out).argmax(1).numpy() == truth).mean())}
        samples = {}
        if data.kind == "images":
            samples = samples_right(ours.model, data, self.given.features, trial.seed)
        vae = trained([*words, *one.vae, f"trainer.max_steps={ours.run.trainer.max_steps}"])
        codes = [vae.model.reconstruct(x).latent.numpy() for x in (data.points, held_out)]
        found[VAE] = of_features(codes[0], known, codes[1], truth, trial.seed)
        x, test = (flat(data, part) for part in (data.points, held_out))
        found |= baselines(x, known, labels, test, truth, trial.seed, scale=data.kind != "text")
        self.path(trial).mkdir(parents=True, exist_ok=True)
        write_json(self.path(trial) / self.result, {"accuracy": found, "seconds": seconds} | samples)

    def read(self) -> dict[Trial, Any]:
        found = {trial: read_numbers(self.path(trial) / self.result) for trial in self.trials()}
        return {trial: numbers for trial, numbers in found.items() if numbers}

    def write(self, rows: Mapping[Trial, Any]) -> None:
        names = list(next(iter(rows.values()))["accuracy"])
        lines = []
        for one in self.sets:
            runs = [found for trial, found in rows.items() if trial.data == one]
            if runs:
                cells = [cell([run["accuracy"][name] for run in runs], max) for name in names]
                right, worst = ([run[name] for run in runs if name in run] for name in SAMPLES)
                samples = f"{mean(right):.3f} ({min(worst):.3f})" if right else "-"
                seconds = f"{mean(run['seconds'] for run in runs):.0f}"
                said = f"{one}, {SETS[one].labels} of each"
                lines.append([said, *cells, samples, f"{len(runs)}", f"{SETS[one].steps}", seconds])
        table = markdown(["", *names, "samples right", "draws", "steps", "CPU s"], lines)
        write_text(self.given.out, f"{HEAD}\n{table}\n")
        print(f"{table}\n-> {self.given.out}")


class Trained(NamedTuple):
    run: Any
    model: Any


def trained(overrides: Sequence[str]) -> Trained:
    """A training of which nothing is kept."""
    from energy_gan.model import Model
    from energy_gan.run.run import Run, without_folder

    run = Run(without_folder(compose([*overrides, "callbacks.progress.refresh_rate=0"])))
    run.fit()
    run.method.calibrate()
    return Trained(run, Model(run.method.eval()))


def flat(data: Any, x: Any) -> Any:
    """Points as the rivals see them: pixels, standardised numbers, of text the words by TF-IDF."""
    import numpy as np
    import torch
    from sklearn.feature_extraction.text import TfidfTransformer

    if data.kind != "text":
        return data.standardise(x).flatten(1).numpy()

    def counts(rows: Any) -> np.ndarray:
        ids = rows.long()
        found = torch.zeros(len(ids), len(data.vocabulary)).scatter_add_(1, ids, torch.ones(ids.shape))
        return found[:, 2:].numpy()  # without ends and unknown words

    weights = TfidfTransformer(sublinear_tf=True).fit(counts(data.points))
    return weights.transform(counts(x)).toarray()
