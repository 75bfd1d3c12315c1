"""What a study is: trials that are run once, and the page of docs/ that shows what came of them."""

import argparse
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from tqdm import tqdm

from energy_gan.errors import InputError
from energy_gan.run.compose import compose, options
from energy_gan.run.words import split_trust
from energy_gan.studies.trials import check_recipe, run_trial

T = TypeVar("T")


class Trial(NamedTuple):
    method: str
    data: str | int  # "" where the study has one set
    seed: int


class Study(ABC):
    """Trials by method, data and seed, each a run in a folder of its own, and a page.

    What is there is not run again, and what was cut short goes on from its last checkpoint: a study can be
    stopped and started at any time. A trial that was made with other settings is refused.

    Attributes:
        name, about: for the door; what it is, in one line.
        methods, seeds: that are run; none where the trials go by something else.
        variants: the overrides of a method that is none of conf/method.
        folder, out: of the trials, and the page.
        jobs: trials at a time.
        result: the file that a trial has once there is nothing left to do for it.
    """

    name: str
    about: str
    methods: Sequence[str] = ()
    seeds: Sequence[int] = ()
    variants: ClassVar[Mapping[str, Sequence[str]]] = {}
    folder: Path
    out: Path
    jobs = 2
    result = "metrics.json"

    def __init__(self, given: argparse.Namespace):
        self.given = given

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        """What can be asked of it."""
        if cls.methods:
            listed = f"({' '.join(cls.methods)})"
            parser.add_argument("--methods", nargs="*", default=cls.methods, help=listed)
        if cls.seeds:
            listed = f"({' '.join(map(str, cls.seeds))})"
            parser.add_argument("--seeds", nargs="+", type=int, default=cls.seeds, help=listed)
        said = "for every trial, as data.root=…"
        parser.add_argument("--set", nargs="+", default=[], metavar="key=value", help=said)
        said = f"trials at a time, one thread each ({cls.jobs})"
        parser.add_argument("--jobs", type=int, default=cls.jobs, help=said)
        parser.add_argument("--folder", type=Path, default=cls.folder, help=f"of the trials ({cls.folder})")
        parser.add_argument("--out", type=Path, default=cls.out, help=f"({cls.out})")
        said = "show what is there, whatever its settings; run nothing"
        parser.add_argument("--no-runs", action="store_true", help=said)

    def run(self) -> None:
        """Run what is not there yet, write the page.

        Raises:
            InputError: an argument is wrong, a trial failed, or there is nothing to show.
        """
        self.check()
        failures = [] if self.given.no_runs else self.run_all()
        rows = self.read()
        if rows:
            self.write(rows)
        elif not failures:
            raise InputError(
                f"there is no finished trial in {self.given.folder}: run `make study STUDY={self.name}` "
                "without --no-runs"
            )
        if failures:
            raise InputError(f"{len(failures)} trials failed, their logs: {', '.join(map(str, failures))}")

    def check(self) -> None:
        """InputError unless the methods are known, numbers are in range and the page can be written."""
        given = self.given
        if self.methods:
            check_known("--methods", given.methods, [*self.variants, *options("method")])
        if self.seeds and min(given.seeds) < 0:
            raise InputError(f"--seeds must be 0 or more, got {min(given.seeds)}")
        if given.jobs < 1:
            raise InputError(f"--jobs must be at least 1, got {given.jobs}")
        folder = given.out.parent
        if not folder.is_dir():
            raise InputError(f"--out {given.out}: the folder {folder} does not exist, make it first")

    # ---- trials

    @property
    def sets(self) -> Sequence[str | int]:
        """What is trained on."""
        return ("",)

    def trials(self) -> list[Any]:
        """All of them; by seed, so that there is a first table early."""
        names = product(self.given.methods, self.sets, self.given.seeds)
        return sorted((Trial(*name) for name in names), key=lambda trial: trial.seed)

    def path(self, trial: Any) -> Path:
        """The folder of its run."""
        return self.given.folder / trial.method / str(trial.data) / f"seed_{trial.seed}"

    @abstractmethod
    def overrides(self, trial: Any) -> list[str]:
        """What it is trained with."""

    def run_all(self) -> list[Path]:
        """Run and measure what is not there yet; the logs of the trials that failed."""
        trials = self.trials()
        for trial in {trial[0]: trial for trial in reversed(trials)}.values():
            compose(split_trust(self.overrides(trial))[0])  # a mistake is told before hours
        for trial in trials:
            if self.path(trial).exists():
                check_recipe(self.path(trial), self.overrides(trial))
        self.prepare()
        todo = [trial for trial in trials if not (self.path(trial) / self.result).is_file()]
        failures = []
        with tqdm(total=len(todo), unit="run", disable=not todo) as bar:
            for trial, log in outcomes(self.train, todo, self.given.jobs):
                bar.set_postfix_str(str(self.path(trial).relative_to(self.given.folder)), refresh=False)
                bar.update()
                if log := log or self._concluded(trial):
                    failures.append(log)
        return failures

    def _concluded(self, trial: Any) -> Path | None:
        """What comes after its training; the path of its log if that failed."""
        try:
            self.conclude(trial)
        except InputError as error:  # of one trial: the others go on
            log = self.path(trial).with_suffix(".log")
            with log.open("a") as file:
                print(f"error: {error}", file=file)
            return log

    def prepare(self) -> None:  # noqa: B027, most need nothing
        """What comes before the trials."""

    def train(self, trial: Any) -> Path | None:
        """One of them, if it is not trained yet; the path of its log if it failed."""
        return None if self.trained(trial) else run_trial(self.path(trial), self.overrides(trial))

    def trained(self, trial: Any) -> bool:
        """Whether it is trained to the end."""
        return (self.path(trial) / "metrics.json").is_file()

    def conclude(self, trial: Any) -> None:  # noqa: B027
        """What comes after its training."""

    # ---- the page

    def read(self) -> Mapping:
        """The numbers that are there: the metrics.json of each finished trial."""
        files = {trial: self.path(trial) / "metrics.json" for trial in self.trials()}
        return {trial: json.loads(file.read_text()) for trial, file in files.items() if file.is_file()}

    @abstractmethod
    def write(self, rows: Mapping) -> None:
        """The page, from what `read` found."""


def check_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    """InputError if one of the names that an option was given is unknown."""
    if unknown := set(names) - set(known):
        listed = " ".join(sorted(known))
        raise InputError(f"{what} {' '.join(sorted(unknown))} is unknown: choose from {listed}")


def outcomes(work: Callable[[Any], T], trials: Sequence, jobs: int) -> Iterator[tuple[Any, T]]:
    """Each trial with what work on it gave, as it ends: one after the other, or `jobs` at a time."""
    if jobs == 1:
        yield from ((trial, work(trial)) for trial in trials)
        return
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(work, trial): trial for trial in trials}
        yield from ((running[done], done.result()) for done in as_completed(running))
