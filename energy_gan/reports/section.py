"""The contract of a section: one thing that is measured and drawn of a run."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.model import Model
from energy_gan.reports.numbers import Number
from energy_gan.system.files import write_text

Rows = dict[str, dict[str, float]]


class Settings(NamedTuple):
    """What all sections of a run are made with.

    Args:
        n_samples: of the generator, for the numbers at the end.
        n_samples_during: the same, during training.
        features: the folder of trained classifiers, of statistics of real sets and of yardsticks.
        seed: of the samples.
        chain_steps: of the long chains of an energy that learned by chains.
    """

    n_samples: int
    n_samples_during: int
    features: str
    seed: int
    chain_steps: int = 1_000


class Section(ABC):
    """One thing that is measured and drawn of a run. A subclass gives `measure` and what it has of the rest.

    Attributes:
        needs: words that all have to be among the facts of a run, see `energy_gan.reports.chosen.facts`.
        numbers: what it may measure; each of them has needs of its own.
        least: samples that it cannot do with fewer of.
        reasons: why its last measurement has no log Z, where it has none.
    """

    needs: ClassVar[str]
    numbers: ClassVar[Sequence[Number]] = ()
    least: ClassVar[int] = 0
    reasons: tuple[str, ...] = ()

    def __init__(self, settings: Settings):
        self.settings, self.seed = settings, settings.seed

    def prepare(self, data: DataModule) -> None:
        """Take the data to measure against.

        Raises:
            InputError: they cannot be measured.
        """
        self.data = data

    @abstractmethod
    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        """The numbers.

        Args:
            samples: the generator's; None where there is no generator.
            full: all of the numbers and not only the cheap ones.
            found: the numbers of the sections before.
        """

    def of(self, model: Model, samples: Tensor) -> dict[str, float]:
        """The numbers of samples that may come from elsewhere than from the generator."""
        return {}

    def sets(self, model: Model) -> dict[str, Tensor]:
        """Points whose energies are drawn: "data" held out, samples of the "generator", "noise, …"."""
        return {}

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        """The pictures by name; `sets` are those of all sections."""
        return {}

    def texts(self, model: Model) -> dict[str, str]:
        """What is to be read, by name, in Markdown."""
        return {}

    def yardsticks(self) -> dict[str, dict[str, float]]:
        """The same numbers of what the model is to be compared with."""
        return {}

    def verdict(self, numbers: Mapping[str, float]) -> str:
        """What the numbers say in one line, nothing if it is not for this section to say."""
        return ""

    def _kept(self, facts: Sequence, make: Callable[[], Rows]) -> Rows:
        """Yardsticks, once made, from the folder of features, for all runs.

        Args:
            facts: all that they depend on.
        """
        name = f"yardsticks_{hashlib.sha256(str(list(facts)).encode()).hexdigest()[:16]}.json"
        path = Path(self.settings.features) / name
        if path.is_file():
            return json.loads(path.read_text())
        rows = make()
        with suppress(OSError):  # a folder that cannot be written costs time and nothing else
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(rows, indent=1))
        return rows
