"""The trials of a sweep on this machine: proposed by W&B's engine, run as processes, kept as plain files.

    FOLDER/sweep.yaml        the sweep as it was begun
    FOLDER/trial_001.json    its values, state and metric; written whole, before it starts and when it ends
    FOLDER/trial_001.log     what its process printed; locked as long as that process lives
    FOLDER/trial_001/        its run

What is on disk is all there is: a sweep that was killed finds its finished trials, and goes on with those
that were cut from their last checkpoints.
"""

import fcntl
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from energy_gan.errors import InputError
from energy_gan.run.plain import check_plain, read_yaml
from energy_gan.run.take_up import going_on
from energy_gan.run.words import split_trust
from energy_gan.search.file import KNOWN, Sweep, engine, plain
from energy_gan.search.trial import State, Trial
from energy_gan.system.files import held, write_text

PATIENCE = 20.0  # seconds that a trial has to end when asked to
LOOK = 3.0  # seconds between two looks at the curves of running trials
HOPELESS = 3  # so many failures without a success end the sweep


class Search:
    """A sweep in its folder.

    Args:
        sweep: checked.
        folder: of this sweep alone; made if it is not there.
    """

    def __init__(self, sweep: Sweep, folder: Path):
        self.sweep, self.folder = sweep, folder
        self.running: dict[int, subprocess.Popen] = {}
        self._curves: dict[int, Any] = {}
        self._looked = 0.0

    # ---- files

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take the folder for this process alone, wait for trials that another has left behind.

        Raises:
            InputError: another process works there, or it holds another sweep.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder, f"another process works in {self.folder}: wait for it, or give FOLDER=…"):
            self._same_sweep()
            self.trials = self._read()
            for trial in self.in_state("running"):
                _wait_for(self._log(trial))
            yield

    def _same_sweep(self) -> None:
        path, spec = self.folder / "sweep.yaml", self.sweep.searched
        if not path.is_file():
            write_text(path, yaml.safe_dump(spec, sort_keys=False))
        elif read_yaml(path, known=KNOWN) != spec:
            raise InputError(
                f"{self.folder} holds trials of another sweep than {self.sweep.name} is now (see its "
                "sweep.yaml): give FOLDER=… for the new one, or remove that folder"
            )

    def _read(self) -> list[Trial]:
        trials = []
        for file in self.folder.glob("trial_*.json"):
            try:
                trial = Trial(**json.loads(file.read_text()))
                check_plain(asdict(trial))
                if unknown := trial.values.keys() - self.sweep.spec["parameters"].keys():
                    raise ValueError(f"{', '.join(sorted(unknown))} is no parameter of the sweep")
                trials.append(trial)
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                said = " ".join(str(error).split())
                raise InputError(f"{file} is damaged: remove it ({said})") from error
        return sorted(trials, key=lambda trial: trial.number)

    def _keep(self, trial: Trial) -> None:
        write_text(self.folder / f"{trial.name}.json", json.dumps(asdict(trial), indent=1))

    def _log(self, trial: Trial) -> Path:
        return self.folder / f"{trial.name}.log"

    def run_of(self, trial: Trial) -> Path:
        return self.folder / trial.name

    def _numbered(self, number: int) -> Trial:
        return next(trial for trial in self.trials if trial.number == number)

    def _free_number(self) -> int:
        """After all that are or were there: the run of a trial whose file was removed may still be."""
        taken = (re.match(r"trial_(\d+)", path.name) for path in self.folder.glob("trial_*"))
        return max((int(found[1]) for found in taken if found), default=0) + 1

    def in_state(self, *states: State) -> list[Trial]:
        return [trial for trial in self.trials if trial.state in states]

    # ---- running

    def run(self, n_trials: int | None, jobs: int) -> Iterator[Trial]:
        """Train until there are n_trials, or all of a grid; each trial as it ends.

        Raises:
            InputError: the first few have all failed.
        """
        waiting, more = self.in_state("running"), True
        try:
            while True:
                while len(self.running) < jobs and (waiting or more):
                    trial = waiting.pop(0) if waiting else self._propose(n_trials)
                    if trial is None:
                        more = False
                        break
                    self._start(trial)
                if not self.running:
                    return
                yield from self._ended()
                self._give_up_if_hopeless()
                self._stop_early()
                time.sleep(0.2)
        finally:
            self._end_all()

    def _propose(self, n_trials: int | None) -> Trial | None:
        if n_trials is not None and len(self.trials) >= n_trials:
            return None
        number = self._free_number()
        random.seed(number), np.random.seed(number)  # noqa: NPY002, the engine draws from these two
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the engine's Gaussian process, at the bounds of its own scales
            proposed = engine().next_run(self.sweep.searched, [self._known(t) for t in self.trials])
        if proposed is None:
            return None
        trial = Trial(number, {key: self._as_given(key, v["value"]) for key, v in proposed.config.items()})
        self._keep(trial)
        self.trials.append(trial)
        return trial

    def _as_given(self, key: str, value: Any) -> Any:
        """To 4 digits where W&B drew it from a range; what the file lists, and a grid, is known as it is."""
        listed = {"values", "value"} & self.sweep.spec["parameters"][key].keys()
        return value if listed or self.sweep.spec["method"] == "grid" else plain(value)

    def _known(self, trial: Trial, history: Sequence[float] = ()) -> Any:
        """The trial as W&B's engine wants it. What was stopped has a metric, so it counts as finished."""
        name, state = self.sweep.metric or "", {"stopped": "finished"}.get(trial.state, trial.state)
        return engine().SweepRun(
            name=trial.name,
            state=state,
            config={key: {"value": value} for key, value in trial.values.items()},
            summaryMetrics={name: trial.metric} if trial.good else {},
            sampledHistory=[{name: value} for value in history],
        )

    def _start(self, trial: Trial) -> None:
        run = self.run_of(trial)
        log = self._log(trial).open("a")
        fcntl.flock(log, fcntl.LOCK_EX)  # the process inherits the file, and so the lock
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with log:
            self.running[trial.number] = subprocess.Popen(
                self._command(trial, run),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
            )

    def _command(self, trial: Trial, run: Path) -> list[str]:
        """Train, or go on if it was cut."""
        if (run / "metrics.json").is_file():
            return [sys.executable, "-c", ""]  # ended while nobody looked
        if words := going_on(run, split_trust(self.sweep.overrides)[1]):
            return [sys.executable, "-m", *words]
        shutil.rmtree(run, ignore_errors=True)  # of a trial that saved nothing before it was cut
        command = self.sweep.command(sys.executable, trial.values)
        return [*command, f"run_dir='{run}'", "callbacks.progress.refresh_rate=0"]

    def _ended(self) -> Iterator[Trial]:
        for number, process in list(self.running.items()):
            if process.poll() is not None:
                del self.running[number]
                trial = self._numbered(number)
                self._conclude(trial, process.returncode)
                yield trial

    def _conclude(self, trial: Trial, status: int) -> None:
        path = self.run_of(trial) / "metrics.json"
        if status == 0 and path.is_file():
            report = json.loads(path.read_text())
            key = (self.sweep.metric or "").removeprefix("val/")
            rows = [row for row in report["history"] if key in row]
            trial.history = [row[key] for row in rows]
            trial.metric = trial.history[-1] if rows else None
            trial.step, trial.seconds, trial.state = report["step"], report["seconds"], "finished"
        else:
            trial.state = "failed"
        self._keep(trial)

    def _give_up_if_hopeless(self) -> None:
        failed = self.in_state("failed")
        if len(failed) >= HOPELESS and not self.in_state("finished", "stopped"):
            raise InputError(
                f"the first {len(failed)} trials failed, the last with: {last_line(self._log(failed[-1]))}; "
                f"their logs are {self.folder}/trial_*.log, remove the folder to begin anew"
            )

    def _end_all(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            _end(process)
        self.running.clear()

    # ---- ending early

    def _stop_early(self) -> None:
        """End the running trials whose curves W&B's engine gives no hope."""
        if "early_terminate" not in self.sweep.spec or time.monotonic() < self._looked + LOOK:
            return
        self._looked = time.monotonic()
        curves = {trial.number: trial.history for trial in self.in_state("finished", "stopped")}
        steps = {}
        for number in self.running:
            steps[number], curves[number] = self._curve(self._numbered(number))
        known = [self._known(self._numbered(number), curve) for number, curve in curves.items()]
        for hopeless in engine().stop_runs(self.sweep.searched, known):
            number = int(hopeless.name.removeprefix("trial_"))
            trial, process = self._numbered(number), self.running.pop(number)
            process.terminate()
            _end(process)
            trial.state, trial.history = "stopped", curves[number]
            trial.metric, trial.step = trial.history[-1], steps[number][-1]
            self._keep(trial)
            self.stopped(trial)

    def stopped(self, trial: Trial) -> None:
        """Called when a trial was ended early."""

    def _curve(self, trial: Trial) -> tuple[list[int], list[float]]:
        """Steps and values of the metric so far, from the run's TensorBoard files."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        folder = self.run_of(trial) / "tensorboard"
        if not folder.is_dir():
            return [], []
        if trial.number not in self._curves:
            self._curves[trial.number] = EventAccumulator(str(folder), {"scalars": 0})
        events = self._curves[trial.number].Reload()
        if self.sweep.metric not in events.Tags()["scalars"]:
            return [], []
        rows = events.Scalars(self.sweep.metric)
        return [row.step for row in rows], [row.value for row in rows]


def last_line(log: Path) -> str:
    """The last thing that a process said."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace")).strip().splitlines()
    return lines[-1].strip() if lines else "(it said nothing)"


def _wait_for(log: Path) -> None:
    """Until the process that writes this log, left behind by a sweep that was killed, has ended."""
    if log.is_file():
        with log.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{log.stem} still runs, left behind by a sweep that was killed: waiting", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)


def _end(process: subprocess.Popen) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
