"""What the kinds of faults share: outcomes, processes to kill, doors to open in them."""

import contextlib
import fcntl
import importlib
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from energy_gan.cli import door
from energy_gan.run.compose import compose
from energy_gan.run.run import Run

FEW = ["data.n_points=300", "data.n_held_out=300", "data.batch_size=32"]
QUICK = [
    "callbacks.report=null",
    "callbacks.progress.refresh_rate=0",
    "logger.wandb=null",
    "logger.tensorboard=null",
    "trainer.log_every_n_steps=5",
]
COMPARED = (
    "state_dict",
    "optimizer_states",
    "current_model_state",
    "averaging_state",
    "loops",
    "global_step",
)


class Outcome(NamedTuple):
    """Of one fault: what was done, and whether it was survived; if not, what came instead."""

    kind: str
    case: str
    survived: bool
    said: str = ""


class Ended(NamedTuple):
    """How a process ended: its exit status, negative for a signal, and all that it wrote."""

    status: int
    output: str


def in_child(work: Callable[[], Any], kill_after: float | None = None) -> Ended:
    """Do it in a forked process, which has everything imported already; kill that after so many seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    read, write = os.pipe()  # no file: a limit on files does not silence it
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 2**20)  # more than anything says, so nobody waits for a reader
    child = os.fork()
    if not child:
        _be_child(work, write)
    os.close(write)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(read, "rb") as pipe:
        output = pipe.read().decode(errors="replace")
    return Ended(os.waitstatus_to_exitcode(status), output)


def _be_child(work: Callable[[], Any], output: int) -> None:
    status = 99
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def open_door(name: str, *words: str) -> None:
    """A command as from the shell."""
    sys.argv = [name, *words]
    door(importlib.import_module(f"energy_gan.cli.{name}").main)


def imported(given: Sequence[str]) -> None:
    """Import all that a run needs, so that the processes forked from this one need not."""
    Run(compose([*given, "run_dir=none"]))


def one_line(ended: Ended, *also: str) -> str:
    """Empty if the process ended with status 2 and one line of error, nothing else; else what is wrong.

    `also`: patterns of other lines that may come.
    """
    lines = [line for line in ended.output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    rest = [line for line in lines if line not in errors and not any(re.search(a, line) for a in also)]
    if ended.status == 2 and len(errors) == 1 and not rest:
        return ""
    return f"status {ended.status}: {' | '.join(lines[-6:])[-600:]}"


def same(a: Any, b: Any) -> bool:
    """Whether two trees are equal, tensors bit for bit; nan equals nan."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(_bits(a), _bits(b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


def _bits(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous().flatten().view(torch.uint8) if x.numel() else x


def training(path: Path) -> dict[str, Any]:
    """All of a checkpoint that training goes on from."""
    checkpoint = torch.load(path, weights_only=True)
    return {name: checkpoint.get(name) for name in COMPARED}


def fresh(folder: str) -> Path:
    """An empty folder of this name here."""
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir()
    return Path(folder)
