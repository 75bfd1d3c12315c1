"""What studies of anomalies share: a trained energy's scores beside those of other detectors, seed by seed.

The numbers of a trial are kept in its run as anomaly.json, those of the detectors beside the trials.
"""

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from tqdm import tqdm

from energy_gan.run.compose import compose
from energy_gan.run.words import split_trust
from energy_gan.studies.study import Study, Trial
from energy_gan.studies.trials import read_numbers
from energy_gan.system.files import write_json

Rows = Mapping[str, Mapping[str | int, Sequence[Mapping[str, Any]]]]  # by score, set and seed


class AnomalyStudy(Study):
    """Attributes:
    rescale: whether the detectors see each feature scaled to [0, 1].
    """

    jobs = 1
    result = "anomaly.json"
    rescale = True

    @abstractmethod
    def data(self, key: str | int) -> Any:
        """The data module of one of the `sets`."""

    @abstractmethod
    def score(self, trial: Trial) -> dict[str, Any]:
        """The numbers of a trained run, by the name of the score."""

    @abstractmethod
    def measure(self, scores, data) -> dict[str, Any]:
        """The numbers of one score of the test's rows."""

    def build(self, *overrides: str) -> Any:
        """A data module with the settings that are given for every trial."""
        from energy_gan.run.build import build_data

        settings, trust = split_trust(self.given.set)
        node = compose([*overrides, *(o for o in settings if o.startswith("data."))])["data"]
        data = build_data(node, trust)
        data.setup()
        return data

    def prepare(self) -> None:
        """The numbers of the detectors; of those without chance with the first seed only."""
        from energy_gan.metrics import anomaly

        for seed, key in product(self.given.seeds, self.sets):
            path = self.path(Trial("detectors", key, seed)).with_suffix(".json")
            known, first = read_numbers(path), seed == self.given.seeds[0]
            names = [n for n in self.detectors() if first or n not in anomaly.DETERMINISTIC]
            for name in (bar := tqdm([n for n in names if n not in known], unit="detector")):
                bar.set_postfix_str(f"{name} {key}")
                start, data = time.perf_counter(), self.data(key)
                train, test = (self.features(data, x).numpy() for x in (data.points, data.test))
                scores = anomaly.detectors(train, test, seed, [name], rescale=self.rescale)[name]
                measured = self.measure(scores, data)
                known[name] = measured | {"seconds": time.perf_counter() - start}
                write_json(path, known)

    @abstractmethod
    def detectors(self) -> Sequence[str]:
        """The names of those that are measured beside."""

    def features(self, data, x):
        """What the detectors see of rows."""
        return x

    def conclude(self, trial: Trial) -> None:
        write_json(self.path(trial) / self.result, self.score(trial))

    def read(self) -> Rows:
        """The numbers of each row of the tables that are there."""
        rows: dict[str, dict[str | int, list]] = {}
        for method, (key, seed) in product(self.given.methods, product(self.sets, self.given.seeds)):
            numbers = read_numbers(self.path(Trial(method, key, seed)) / self.result)
            numbers.pop("steps", None)  # of an earlier version
            seconds = {"seconds": numbers.pop("seconds", None)}
            for name, measured in numbers.items():
                rows.setdefault(f"`{method}`, by {name}", {}).setdefault(key, []).append(seconds | measured)
        for key, seed in product(self.sets, self.given.seeds):
            path = self.path(Trial("detectors", key, seed)).with_suffix(".json")
            for name, measured in read_numbers(path).items():
                rows.setdefault(name, {}).setdefault(key, []).append(measured)
        return rows
