"""Memory: the tensors that are alive at a step's worst moment, beside those that it cannot do without.

Counted as torch makes and frees them, so without what a kernel uses while it runs. Needed are the weights,
the optimizers' state, the batch, and in the larger move its gradients and what its backward pass has saved.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Callback
from pairs import PAIRS, batches, config_of, data_of, method_of
from timing import Row
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from energy_gan.methods.base import Method
from energy_gan.methods.players import Player, Step
from energy_gan.run.run import Run
from energy_gan.shapes import Batch

LONG, EARLY = 2500, 1000
MB = 2**20


class Live(TorchDispatchMode):
    """Bytes of the tensors that are alive, and the most there were."""

    def __init__(self, known: list[Tensor]):
        super().__init__()
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0
        for tensor in known:
            self._add(tensor)

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())

    def bytes(self) -> int:
        self.storages = {k: v for k, v in self.storages.items() if not v[0].expired()}
        return sum(size for _, size in self.storages.values())

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        self.peak = max(self.peak, self.bytes())
        return result


def rows(rounds: int) -> list[Row]:
    return [*(_peak(name) for name in PAIRS), _long_run()]


def _state(method: Method) -> list[Tensor]:
    """Weights, buffers and the optimizers' state."""
    held = [*method.parameters(), *method.buffers()]
    return held + [v for p in method.players for s in p.optimizer.state.values() for v in s.values()]


def _size(tensors: list[Tensor]) -> int:
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


def _peak(name: str) -> Row:
    config = config_of(name)
    x, method = next(batches(data_of(config))), method_of(config)

    def step() -> None:
        method.training_step(Batch(x), 0)

    step()  # gradients and the optimizers' state are there from now on
    gradients = [p.grad for p in method.parameters() if p.grad is not None]
    with Live([x, *_state(method), *gradients]) as live:
        step()
        after_one = live.bytes()
        for _ in range(3):
            step()
        constant = live.bytes() == after_one
    step_of = partial(Step, x, method.generator, method.draws)
    move = max(
        _saved(lambda player=player: player.terms(step_of()), player) + _size(player.parameters)
        for player in method.players
    )
    needed = _size([x, *_state(method)]) + move
    note = f"{live.peak / MB:.3g} of {needed / MB:.3g} MiB; " + (
        "after every step the same bytes are alive" if constant else "**grows from step to step**"
    )
    return Row(f"{name}: peak of a step / the tensors that it needs", live.peak / needed, note=note)


def _saved(terms: Callable[[], Any], player: Player) -> int:
    """Bytes that the graph of a move keeps for its backward pass, without the networks' weights."""
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = terms()
        total = sum(saved.values())
    del kept
    return total


class Resident(Callback):
    """MiB of this process that are in memory, at two steps of a run."""

    def __init__(self):
        self.at: dict[int, float] = {}

    def on_train_batch_end(self, trainer, pl_module, *_):
        if pl_module.step in (EARLY, LONG):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.at[pl_module.step] = pages * os.sysconf("SC_PAGESIZE") / MB


def _long_run() -> Row:
    """In a process of its own: freed memory that this one holds could hide what a run adds."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
    early, late = json.loads(done.stdout.splitlines()[-1])
    note = f"{late - early:+.1f} MiB of {early:.0f}, with W&B, TensorBoard and checkpoints"
    path = f"2D: memory of the process at step {LONG:,} / at step {EARLY:,}"
    return Row(path, late / early, "at most", 1.02, note)


def main() -> None:
    torch.set_num_threads(1)
    os.environ["WANDB_MODE"] = "offline"
    with tempfile.TemporaryDirectory() as folder:
        config = config_of(
            "2D", f"run_dir='{folder}/run'", "callbacks.report=null", f"trainer.max_steps={LONG}"
        )
        run, resident = Run(config), Resident()
        run.trainer.callbacks.append(resident)
        run.create()
        run.fit()
    print(json.dumps([resident.at[EARLY], resident.at[LONG]]))


if __name__ == "__main__":
    main()
