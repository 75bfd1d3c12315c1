"""The loop: Lightning's Trainer, as `make train` sets it up, beside `for batch in loader: step`.

The two take turns inside one fit: after every block of the Trainer's steps a callback takes as many of a
second copy by hand. The Trainer does what a run does by default: it logs to W&B (offline) and TensorBoard on
its gate, watches for divergence and draws its progress bar. Only the report, which measures samples every few
hundred steps, is left out (`callbacks.report=null`), and no checkpoint falls into the blocks. Start and end
are not counted.
"""

import contextlib
import io
import os
import tempfile
import time

import torch
from lightning import Callback
from pairs import DEVICE, batches, config_of, data_of, method_of
from timing import Row, median, ratio, spread

from energy_gan.run.run import Run
from energy_gan.shapes import Batch

BLOCK = {"2D": 200, "MNIST": 50, "64×64": 50}  # steps; a multiple of the gate's, so every block logs as often
ROUNDS = {"2D": 5, "MNIST": 4, "64×64": 2}  # at most
MOST = {"2D": 1.25, "MNIST": 1.04, "64×64": 1.02}
GOAL = {"2D": "; the goal is 1.12"}
# a quarter of the paper's channels, or 50 steps would take a minute
SMALLER = {
    "64×64": [
        "method.energy.features.channels=[32,64,128,256]",
        "method.generator.channels=[256,128,64,32]",
    ]
}


class TakeTurns(Callback):
    """Times blocks of the Trainer's steps and, after each, of steps by hand; the first is a warm-up."""

    def __init__(self, by_hand, block: int):
        self.by_hand, self.block, self.times = by_hand, block, {"trainer": [], "bare": []}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if pl_module.step % self.block:
            return
        middle = _now()
        if pl_module.step == self.block:
            self.by_hand(2)
        else:
            self.by_hand(self.block)
            self.times["trainer"].append(middle - self.start)
            self.times["bare"].append(_now() - middle)
        self.start = _now()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def rows(rounds: int) -> list[Row]:
    return [_of_pair(name, rounds) for name in BLOCK]


def _of_pair(name: str, rounds: int) -> Row:
    os.environ.setdefault("WANDB_MODE", "offline")
    block, rounds = BLOCK[name], min(rounds, ROUNDS[name])
    with tempfile.TemporaryDirectory() as folder:
        config = config_of(
            name,
            f"run_dir='{folder}/run'",
            "callbacks.report=null",
            f"trainer={'gpu' if DEVICE.type == 'cuda' else 'cpu'}",
            f"trainer.max_steps={block * (rounds + 1)}",
            *SMALLER.get(name, []),
        )
        method, loader = method_of(config), batches(data_of(config))

        def by_hand(n: int) -> None:
            for _ in range(n):
                method.training_step(Batch(next(loader)), 0)

        run = Run(config, data=data_of(config))
        turns = TakeTurns(by_hand, block)
        run.trainer.callbacks.append(turns)
        run.create()
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            run.fit()
    times = turns.times
    return Row(
        f"{name}: Trainer / bare loop with the same step",
        ratio(times, "trainer", "bare"),
        "at most",
        MOST[name],
        f"{median(times, 'trainer') / block * 1e3:.3g} and "
        f"{median(times, 'bare') / block * 1e3:.3g} ms a step; {spread(times, 'trainer', 'bare')}"
        + GOAL.get(name, ""),
    )
