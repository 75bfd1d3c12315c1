"""Trials: the runs behind a table, each made once in a folder of its own, gone on with if it was cut."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from energy_gan.errors import InputError
from energy_gan.run.compose import compose, read_config
from energy_gan.run.take_up import as_kept, differences, going_on
from energy_gan.run.words import split_trust
from energy_gan.system.files import write_json

NO_RECIPE = (  # where files are, what is shown and kept meanwhile: a trial is the same with others
    "run_dir", "threads", "logger", "data.root", "data.path", "data.cache", "data.download", "data.workers",
    "callbacks.progress", "callbacks.checkpoint", "callbacks.report.folder", "callbacks.report.features",
    "callbacks.report.every_n_steps", "callbacks.report.draw_every_n_steps",
    "callbacks.report.n_samples_during", "callbacks.average._target_",  # was Lightning's, which trains alike
    "trainer.default_root_dir", "trainer.log_every_n_steps", "trainer.enable_progress_bar",
    "trainer.enable_model_summary", "trainer.max_time",  # of those that it cut the page tells the steps
)  # fmt: skip


def run_trial(path: Path, overrides: Sequence[str]) -> Path | None:
    """A run in a process of its own, gone on with if it was cut; the path of its log if it failed.

    Raises:
        InputError: it is there, with other settings.
    """
    check_recipe(path, overrides)
    words = going_on(path, split_trust(list(overrides))[1])
    if words is None:
        shutil.rmtree(path, ignore_errors=True)  # of a trial that saved nothing before it was cut
        quiet = "callbacks.progress.refresh_rate=0"
        words = ["energy_gan.cli.train", *overrides, f"run_dir='{path}'", quiet]
    log = path.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        program = [sys.executable, "-m", *words]
        status = subprocess.run(program, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    return log if status else None


def check_recipe(path: Path, overrides: Sequence[str]) -> None:
    """InputError if the trial is there, cut or finished, with other settings than these, paths aside."""
    saved = any(path.glob("checkpoints/*.ckpt")) or any(path.glob("*.json"))
    if not saved or not (path / "config.yaml").is_file():
        return  # it is trained anew
    asked = as_kept(compose(split_trust(list(overrides))[0]))
    for key, there, given in differences(read_config(path), asked):
        if not key.startswith(NO_RECIPE):
            raise InputError(
                f"{path} was made with {key}={there} and not {given}: give another --folder, or the same "
                "settings, or remove the trial"
            )


def check_test(file: Path, facts: Mapping[str, Any], digit: int | None = None) -> None:
    """Keep what tells a test from others; InputError if the trials beside the file saw another.

    Args:
        digit: whose test it is, where the file has several.
    """
    tests = read_numbers(file)
    known = tests if digit is None else tests.get(str(digit), {})
    for name, value in facts.items():
        if known.get(name, value) != value:  # a file of an earlier version may lack some
            raise InputError(
                f"{file.parent} holds trials of another test{'' if digit is None else f' of digit {digit}'}, "
                f"{name} {known[name]} and not {value}: give another --folder, or the same settings"
            )
    if not facts.keys() <= known.keys():
        facts = known | facts
        write_json(file, facts if digit is None else tests | {str(digit): facts})


def read_numbers(path: Path) -> dict[str, Any]:
    """The numbers of a .json file; none if it is not there yet."""
    return json.loads(path.read_text()) if path.is_file() else {}


def cell(values: Sequence[float | None], best: Callable | None = None, digits: int = 3) -> str:
    """Mean ± standard deviation; mean (worst) if the better end is given; a dash where there is no number."""
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    text = f"{mean(values):.{digits}f}"
    if len(values) == 1:
        return text
    if best is None:
        return f"{text} ± {stdev(values):.{digits}f}"
    return f"{text} ({(max if best is min else min)(values):.{digits}f})"


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as the pages of docs/ have it."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (titles, *rows)]
    lines = ["".join(f"| {cell} " if cell else "| " for cell in row) + "|" for row in cells]
    return "\n".join([lines[0], "|---" * len(titles) + "|", *lines[1:]])
