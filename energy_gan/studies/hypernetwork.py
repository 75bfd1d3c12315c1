"""Generated networks beside as many trained ones, with the entropy and without it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from energy_gan.errors import InputError
from energy_gan.studies.study import Study, Trial
from energy_gan.studies.trials import cell, markdown
from energy_gan.system.files import write_json

TRAINED = {"mnist": 10, "digits": 10, "two_moons": 20}  # networks that share the points of a run
OUTSIDE = 2_000  # images of KMNIST
ROWS = {
    "generated": "generated, 200",
    "collapsed": "the same without the entropy",
    "trained": "trained, {n}, a share of the points each",
    "one": "trained, one, all of the points",
    "distilled": "the 200 distilled into one",
}
COLUMNS = {
    "single_accuracy": ("accuracy of one", max, 4),
    "single_accuracy_worst": ("of the worst", max, 4),
    "ensemble_5_accuracy": ("of 5", max, 4),
    "ensemble_20_accuracy": ("of 20", max, 4),
    "accuracy": ("of all", max, 4),
    "single_calibration_error": ("calibration error of one", min, 4),
    "calibration_error": ("of all", min, 4),
    "auroc_kmnist_disagreement": ("AUROC, KMNIST, disagreement", max, 3),
    "auroc_kmnist": ("H(y given x)", max, 3),
    "network_agreement": ("named alike", None, 4),
    "network_distance": ("distance of two", None, 3),
    "network_nearest": ("to the nearest", None, 3),
    "path_ends_loss": ("loss", None, 3),
    "path_latent_loss": ("highest, latent paths", None, 3),
    "path_straight_loss": ("straight paths", None, 3),
}
HEAD = """\
# Generated networks beside trained ones

Made by `make study STUDY=hypernetwork`, a trial by `make train DATA=… METHOD=hypernetwork ARGS=seed=…`. Each
cell is the mean over the seeds and, in brackets, the worst of them, or ± their standard deviation.

All networks are of one form, and their weights are compared after the gauge is fixed. A point that a network
sees in a step counts once: the generated networks, the trained ones together and the single ones saw equally
many in their training. The distilled one begins as the first of the 200 and learns in a quarter of the steps
what all of them together say of the training points, without their labels. Paths go between eight pairs of
networks; of each the highest loss counts."""


class Hypernetwork(Study):
    name = "hypernetwork"
    about = "generated networks beside trained ones -> docs/hypernetwork_results.md"
    methods = ("hypernetwork", "collapsed")
    variants: ClassVar = {"collapsed": ["method=hypernetwork", "method.entropy.weight=0.0"]}
    seeds = (0, 1, 2)
    sets = ("mnist", "two_moons")
    folder = Path("runs/hypernetwork_study")
    out = Path("docs/hypernetwork_results.md")
    result = "networks.json"

    @classmethod
    def arguments(cls, parser) -> None:
        super().arguments(parser)
        parser.add_argument("--data", nargs="+", default=cls.sets, help=f"({' '.join(cls.sets)})")

    def check(self) -> None:
        super().check()
        if unknown := set(self.given.data) - TRAINED.keys():
            raise InputError(f"--data {' '.join(unknown)} is unknown: choose from {' '.join(TRAINED)}")
        self.sets = self.given.data

    def overrides(self, trial: Trial) -> list[str]:
        method = self.variants.get(trial.method, [f"method={trial.method}"])
        files = ("data.", "callbacks.report.features")  # of images
        given = [w for w in self.given.set if trial.data != "two_moons" or not w.startswith(files)]
        return [f"data={trial.data}", *method, f"seed={trial.seed}", "callbacks.report.short=true", *given]

    def conclude(self, trial: Trial) -> None:
        """The numbers of its networks, and of those that are compared with them."""
        from energy_gan.data.outside import other_sets, there
        from energy_gan.run.checkpoints import data_of, load
        from energy_gan.run.words import split_trust
        from energy_gan.studies.network_rows import Comparison

        path, trust = self.path(trial), split_trust(list(self.given.set))[1]
        model, data = load(path, trust), data_of(path, trust)
        data.setup()
        outside = {}
        if data.kind == "images" and "kmnist" in there(data.root):
            outside = other_sets(["kmnist"], data.shape, OUTSIDE, data.root, "centre", trial.seed, [])
        compared = Comparison(model, data, outside, trial.seed)
        if trial.method == "collapsed":
            rows = {"collapsed": compared.generated()[1]}
        else:
            points = model.method.hparams["trainer"]["max_steps"] * data.batch_size
            weights, rows = compared.rows(points, TRAINED[trial.data])
            self.draw(trial, compared, weights)
        write_json(path / self.result, rows)

    def draw(self, trial: Trial, compared: Any, weights: Mapping[str, Any]) -> None:
        """In the plane, where generated and trained networks change their mind."""
        if compared.held_out.shape[1:] == (2,):
            figure = compared.boundaries({name: weights[name] for name in ("generated", "trained")})
            figure.savefig(self.path(trial) / "boundaries.png", dpi=110)

    def read(self) -> dict[Trial, Any]:
        files = {trial: self.path(trial) / self.result for trial in self.trials()}
        return {trial: json.loads(file.read_text()) for trial, file in files.items() if file.is_file()}

    def write(self, rows: Mapping[Trial, Any]) -> None:
        parts = [HEAD]
        for data in self.sets:
            found: dict[str, list] = {}
            for trial, row in rows.items():
                for name, numbers in row.items() if trial.data == data else ():
                    found.setdefault(name, []).append(numbers)
            columns = [c for c in COLUMNS if any(c in run for runs in found.values() for run in runs)]
            lines = [
                [
                    ROWS[name].format(n=TRAINED[data]),
                    *(cell([run.get(c) for run in found[name]], *COLUMNS[c][1:]) for c in columns),
                    str(len(found[name])),
                ]
                for name in ROWS
                if name in found
            ]
            parts += [f"\n## {data}\n", markdown(["", *(COLUMNS[c][0] for c in columns), "seeds"], lines)]
        self.given.out.write_text("\n".join(parts) + "\n")
        print("\n".join(parts[1:]), f"\n-> {self.given.out}")
