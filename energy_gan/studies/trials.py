"""Trials: the runs behind a table, each made once in a folder of its own, gone on with if it was cut."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tqdm import tqdm

from energy_gan.errors import InputError
from energy_gan.run.compose import compose, options, read_config, split_trust
from energy_gan.system.files import write_text

NO_RECIPE = (  # where files are, what is shown and kept meanwhile: a trial is the same with others
    "run_dir", "threads", "logger", "data.root", "data.path", "data.cache", "data.download", "data.workers",
    "callbacks.progress", "callbacks.checkpoint", "callbacks.report.folder", "callbacks.report.features",
    "callbacks.report.every_n_steps", "callbacks.report.draw_every_n_steps",
    "callbacks.report.n_samples_during", "callbacks.average._target_",  # was Lightning's, which trains alike
    "trainer.default_root_dir", "trainer.log_every_n_steps", "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
)  # fmt: skip


def run_trial(path: Path, overrides: Sequence[str]) -> Path | None:
    """A run in a process of its own, gone on with if it was cut; the path of its log if it failed.

    Raises:
        InputError: it is there, with other settings.
    """
    check_recipe(path, overrides)
    if list(path.glob("checkpoints/*.ckpt")):
        command = ["resume", str(path), *(o for o in overrides if o.startswith("trust="))]
    else:
        shutil.rmtree(path, ignore_errors=True)  # of a trial that saved nothing before it was cut
        command = ["train", *overrides, f"run_dir='{path}'", "callbacks.progress.refresh_rate=0"]
    log = path.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        program = [sys.executable, "-m", f"energy_gan.cli.{command[0]}", *command[1:]]
        status = subprocess.run(program, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    return log if status else None


def check_recipe(path: Path, overrides: Sequence[str]) -> None:
    """InputError if the trial is there, cut or finished, with other settings than these, paths aside."""
    saved = any(path.glob("checkpoints/*.ckpt")) or any(path.glob("*.json"))
    if not saved or not (path / "config.yaml").is_file():
        return  # it is trained anew
    known = dict(_leaves(read_config(path)))
    asked = dict(_leaves(compose(split_trust(list(overrides))[0])))
    for key in (*asked, *(k for k in known if k not in asked)):
        if known.get(key) != asked.get(key):
            raise InputError(
                f"{path} was made with {key}={known.get(key)} and not {asked.get(key)}: give another "
                "--folder, or the same settings, or remove the trial"
            )


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of the recipe by their keys."""
    if key in NO_RECIPE:
        return
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else name)
    else:
        yield key, node


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
        keep(file, facts if digit is None else tests | {str(digit): facts})


def check_given(given: argparse.Namespace) -> None:
    """InputError unless the methods are known, the seeds are some and the page can be written."""
    if unknown := set(given.methods) - set(options("method")):
        raise InputError(
            f"--methods {' '.join(sorted(unknown))} is unknown: choose from {' '.join(options('method'))}"
        )
    if min(given.seeds) < 0:
        raise InputError(f"--seeds must be 0 or more, got {min(given.seeds)}")
    if not given.out.parent.is_dir():
        raise InputError(f"--out {given.out}: the folder {given.out.parent} does not exist, make it first")


def add_missing(path: Path, names: Iterable[str], measure: Callable[[str], dict], about: str = "") -> None:
    """measure(name) with its seconds, of the names that a file has not yet; each is kept at once."""
    numbers = read_numbers(path)
    for name in (bar := tqdm([n for n in names if n not in numbers], unit="detector")):
        bar.set_postfix_str(name + about)
        start = time.perf_counter()
        measured = measure(name)
        numbers[name] = measured | {"seconds": time.perf_counter() - start}
        keep(path, numbers)


def read_numbers(path: Path) -> dict[str, Any]:
    """What `keep` wrote; nothing if it wrote nothing yet."""
    return json.loads(path.read_text()) if path.is_file() else {}


def keep(path: Path, numbers: Mapping) -> None:
    """Write numbers as .json, whole or not at all."""
    write_text(path, json.dumps(numbers, indent=2, ensure_ascii=False) + "\n")


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
