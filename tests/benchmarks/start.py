"""From the command to the first step, and to the answers that need none, in processes of their own.

Seconds on the clock here, which is what a user waits for; the CPU time of each beside it tells how much other
processes took. The first run of each is not counted: caches are warm, that of Python's byte code too, which
lies in a folder of its own here, because some environments forbid Python to write it beside the code.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache

from timing import Row

ROUNDS = 2  # at most
TRAIN = ["-m", "energy_gan.cli.train"]
COMMAND = ["data=two_spiral", "run_dir=first", "trainer.max_steps=1", "callbacks.progress.refresh_rate=0"]

# what the door does, with the time of each stage; the report that ends a run of one step is not reached
STAGES = """
import json, sys, time
marks = []
def mark(name): marks.append((name, time.time()))
from energy_gan.run.compose import compose
from energy_gan.run.quick_start import quick_start
import energy_gan.cli.train
mark("import of the door")
compose(sys.argv[1:])
config = compose(sys.argv[1:])
mark("config, twice")
with quick_start():
    import wandb.apis.public
    mark("import of W&B")
    import torch
    mark("import of torch")
    import lightning
    mark("import of Lightning")
    from energy_gan.reports.summary import summary
    from energy_gan.run.run import Run
    mark("import of the rest")
    run = Run(config)
mark("data, networks, trackers built")
class First(lightning.Callback):
    def on_train_batch_end(self, trainer, *_):
        mark("folder, fit's set-up, first step")
        print(json.dumps(marks), flush=True)
        import os; os._exit(0)
run.trainer.callbacks.insert(0, First())
run.create()
run.fit()
"""


def rows(rounds: int) -> list[Row]:
    rounds = min(rounds, ROUNDS)
    first = _first_step(rounds)
    answers = {
        "`--help`": ["--help"],
        "a misspelt key": ["data=two_spiral", "trainer.max_stepz=5"],
        "a misspelt group": ["data=two_spyral"],
    }
    return [first, *(_answer(what, arguments, rounds) for what, arguments in answers.items())]


@cache
def _byte_code() -> tempfile.TemporaryDirectory:
    """A folder for it that lives as long as this process."""
    return tempfile.TemporaryDirectory()


def _run(arguments: Sequence[str]) -> tuple[float, float, float, str]:
    """When it started, its seconds on the clock and of CPU time, and what it printed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = _byte_code().name
    with tempfile.TemporaryDirectory() as folder:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
        done = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
        wall, after = time.time() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return start, wall, cpu, done.stdout or done.stderr


def _first_step(rounds: int) -> Row:
    stages: dict[str, list[float]] = {}
    totals, cpus = [], []
    for turn in range(rounds + 1):
        start, _, cpu, output = _run(["-c", STAGES, *COMMAND])
        marks = json.loads(output.splitlines()[-1])
        if turn == 0:
            continue
        totals.append(marks[-1][1] - start)
        cpus.append(cpu)
        for (name, moment), (_, before) in zip(marks, [("", start), *marks], strict=False):
            stages.setdefault(name, []).append(moment - before)
    parts = ", ".join(f"{name} {statistics.median(seconds):.1f}" for name, seconds in stages.items())
    note = f"{parts}; CPU {statistics.median(cpus):.1f}"
    return Row("start of `make train` to the end of the first step, s", statistics.median(totals), "at most",
               10, note)  # fmt: skip


def _answer(what: str, arguments: Sequence[str], rounds: int) -> Row:
    measured = [_run([*TRAIN, *arguments]) for _ in range(rounds + 1)][1:]
    wall, cpu = (statistics.median(m[i] for m in measured) for i in (1, 2))
    return Row(f"{what} answered, s", wall, "at most", 2, f"CPU {cpu:.1f}")
