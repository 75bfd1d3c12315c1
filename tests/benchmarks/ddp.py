"""Seconds of a training step of several processes, by this project's strategy and by Lightning's DDP.

`python tests/benchmarks/ddp.py [--devices 2] [--accelerator cpu|gpu] [--rounds 3] [key=value …]`

The ways take turns in the same processes, so that what else the machine does falls on all of them alike. Each
number is the median over the rounds of the mean time of a step; the ratios are to the first.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import torch
from lightning import Callback

from energy_gan.methods.players import Step
from energy_gan.run.compose import compose
from energy_gan.run.run import Run

STEPS, WARM = 60, 10
WAYS = ("PlayersTogether", "ddp_find_unused_parameters_true")


class Clock(Callback):
    """The mean time of the steps after the first few."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if pl_module.step in (WARM, STEPS):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            moment = time.perf_counter()
            self.seconds = moment if pl_module.step == WARM else (moment - self.seconds) / (STEPS - WARM)


def wrapped_step(method, batch, batch_idx):
    """`EnergyGAN.training_step` as DDP needs it: the weights of the others need no gradient in a move."""
    step = Step(batch.x, method.generator, method.draws)
    for player in method.players:
        for weight in method.parameters():
            weight.requires_grad_(False)
        for weight in player.parameters:
            weight.requires_grad_(True)
        for _ in player.moves(method.step):
            player.optimizer.zero_grad()
            method.manual_backward(sum(player.terms(step).values()))
            player.optimizer.step()
    method.end_step()


def seconds(overrides, way):
    config = compose([*overrides, f"trainer.max_steps={STEPS}", "trainer.log_every_n_steps=0"])
    trainer = config["trainer"] | {"enable_checkpointing": False, "enable_progress_bar": False}
    if way != WAYS[0]:
        trainer["strategy"] = way
    run = Run(config | {"run_dir": ".", "callbacks": {}, "logger": {}, "trainer": trainer})
    if way != WAYS[0]:
        run.method.training_step = partial(wrapped_step, run.method)
    clock = Clock()
    run.trainer.callbacks.append(clock)
    run.fit()
    return clock.seconds


def work(given):
    together = [*given.overrides, "trainer=ddp"]
    together += [f"trainer.devices={given.devices}", f"trainer.accelerator={given.accelerator}"]
    times = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way in WAYS:
            times[way].append(seconds(together, way))
    if os.environ["RANK"] == "0":
        first = statistics.median(times[WAYS[0]])
        print(f"{given.devices} processes on {given.accelerator}, {' '.join(given.overrides)}")
        for way in WAYS:
            median = statistics.median(times[way])
            spread = f"{min(times[way]) * 1e3:.2f} to {max(times[way]) * 1e3:.2f}"
            print(f"{way:34} {median * 1e3:8.2f} ms a step ({spread})   ratio {median / first:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", default=["data=four_spin", "method=kim_bengio"])
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if "RANK" in os.environ:
        return work(given)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = []
    for rank in range(given.devices):
        place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": given.devices}
        place |= {"LOCAL_WORLD_SIZE": given.devices, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        place |= {"TORCHELASTIC_RUN_ID": "benchmark"}
        environment = os.environ | {name: str(value) for name, value in place.items()}
        command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:]]
        workers.append(subprocess.Popen(command, env=environment))
    sys.exit(max(abs(worker.wait()) for worker in workers))


if __name__ == "__main__":
    main()
