"""Commands that nobody meant: each trains, or ends with one clear line, and writes nowhere else."""

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from faults.common import FEW, QUICK, Outcome, fresh, imported, in_child, open_door

from energy_gan.run.compose import compose, options
from energy_gan.run.run import Run

TOGETHER = 50  # in one process
SECONDS = 30  # for one
MEMORY = 6 * 2**30
TRAINED = 12  # one of so many trains its step
VALUES = (
    "", "null", "true", "-1", "0", "1", "2", "3.5", "1e30", "-1e-9", "nan", "inf", "-inf", "[]", "[1,2]",
    "[0]", "[-3]", "[[2]]", "[a]", "{}", "{a: 1}", "abc", "'5'", "${seed}", "${absent}", "${oc.env:HOME}",
    "???", "é", "a b", "/", "..", "10000000000000", "99999999999999999999", "[1,", "{", "'", '"', "\\",
    "a=b", "a,b", "x\ty", "\x00", "💥", "energy_gan.optim.schedules.cosine", "os.system",
    "{_target_: torch.nn.ReLU}", "{_target_: os.system, command: touch canary}",
    "{_target_: torch.nn.Linear}",
)  # fmt: skip
DATA = ("eight_gaussians", "two_spiral", "mixture", "digits")
LEFT = ("trainer.max_steps",)  # of those that are trained, all take one step
JUNK = (
    "",
    "=",
    "seed",
    "=1",
    "++",
    "~data",
    "+new.key=1",
    "data",
    "a.b.c=1",
    "@x=1",
    "hydra.run.dir=x",
    "_target_=x",
)


def commands(n: int, seed: int = 0) -> Iterator[list[str]]:
    """Pairs of data and method that exist, with one to three overrides that are made up."""
    chance, keys = random.Random(seed), {}
    methods = sorted(options("method"))
    while n:
        data, method = chance.choice(DATA), chance.choice(methods)
        if (data, method) not in keys:
            with contextlib.suppress(ValueError):  # not every method is for images
                keys[data, method] = dict(_leaves(compose([f"data={data}", f"method={method}"])))
        if (data, method) not in keys:
            continue
        many = [] if data == "digits" else FEW
        if chance.random() < 0.5:
            made_up = [_other_number(chance, keys[data, method])]
        else:
            made_up = [_override(chance, list(keys[data, method])) for _ in range(chance.randint(1, 2))]
        words = [
            f"data={data}",
            f"method={method}",
            *many,
            *QUICK,
            "trainer.max_steps=1",
            "run_dir=run",
            *made_up,
        ]
        yield words + ["resume=auto"] * (chance.random() < 0.2)
        n -= 1


def _leaves(node: object, key: str = "") -> Iterator[tuple[str, object]]:
    if key:
        yield key, node
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else name)


def _other_number(chance: random.Random, keys: dict[str, object]) -> str:
    """One number of the config, or a list of some, changed to one of its kind."""
    numbers = [k for k, v in keys.items() if isinstance(v, int | float | list) and k not in LEFT]
    key = chance.choice(numbers)
    value = keys[key]
    if isinstance(value, bool):
        return f"{key}={not value}"
    if isinstance(value, list):
        return f"{key}={chance.choice([[], [8], [8, 8], [1, 8, 8], [2, 3, 4, 5], [-1], [0]])}"
    factors = [0, -1, 0.5, 2, 3, 0.001] if isinstance(value, float) else [0, 1, 2, -1, 0.5]
    other = value * chance.choice(factors)
    return f"{key}={int(other) if isinstance(value, int) else other}"


def _override(chance: random.Random, keys: list[str]) -> str:
    kind = chance.random()
    if kind < 0.05:
        return chance.choice(JUNK)
    key, value = chance.choice(keys), chance.choice(VALUES)
    if kind < 0.15:  # a slip of the hand
        place = chance.randrange(len(key))
        key = key[:place] + chance.choice(["", "x", ".", "é"]) + key[place + 1 :]
    prefix = chance.choice(["", "", "", "", "+", "++", "~"])
    return f"{prefix}{key}" if prefix == "~" else f"{prefix}{key}={value}"


def fuzzed(n: int, seed: int = 0) -> Iterator[Outcome]:
    """n commands, many in one process; one that takes its process down is found by what is missing."""
    for data in ("two_spiral", "digits"):
        imported([f"data={data}", *QUICK])
    todo = list(enumerate(commands(n, seed)))
    while todo:
        some, todo = todo[:TOGETHER], todo[TOGETHER:]
        here = fresh("fuzz").absolute()
        ended = in_child(lambda some=some, here=here: _try_all(some, here))
        said = {}
        for line in ended.output.splitlines():
            with contextlib.suppress(ValueError):
                number, *rest = json.loads(line)
                said[number] = rest
        for number, words in some:
            if number not in said:  # the process ended in it: the rest of them again
                yield Outcome("override", " ".join(words), False, f"{ended.status}: {ended.output[-300:]}")
                todo = [case for case in some if case[0] > number] + todo
                break
            kind, problem = said[number]
            yield Outcome(kind, " ".join(words), not problem, problem)


def _try_all(cases: list[tuple[int, list[str]]], here: Path) -> None:
    os.chdir(here)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    report = os.fdopen(os.dup(1), "w")
    signal.signal(signal.SIGALRM, _too_long)
    for number, words in cases:
        signal.alarm(SECONDS)
        kind, problem = _try(words, number % TRAINED == 0)
        signal.alarm(0)
        changed = [p.name for p in here.iterdir() if p.name != "run" and p.name != "canary"]
        if (here / "canary").exists():
            problem = f"a stranger's code ran; {problem}"
        elif changed and not any("run_dir" in word for word in words[-3:]):
            problem = f"it left {changed} outside its folder; {problem}"
        print(json.dumps([number, kind, problem[-600:]]), file=report, flush=True)
        for path in here.iterdir():
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True) if not path.is_dir() else None


def _too_long(signum, frame) -> None:
    raise TimeoutError(f"no answer within {SECONDS} s")


def _try(words: list[str], trains: bool) -> tuple[str, str]:
    """What kind of end it had, and what was wrong with it."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    stop = contextlib.nullcontext() if trains else mock.patch.object(Run, "fit")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), stop:
        try:
            open_door("train", *words)
        except SystemExit as end:
            status = end.code or 0
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            return "override refused", f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
    lines = err.getvalue().strip().splitlines()
    if status == 0:
        return "override trained" if trains else "override built", ""
    if status == 2 and len(lines) == 1 and lines[0].startswith("error: ") and len(lines[0]) > 20:
        return "override refused", ""
    return "override refused", f"status {status}, {len(lines)} lines: {' | '.join(lines)}"


if __name__ == "__main__":
    for words in commands(int(sys.argv[1])):
        print(words)
