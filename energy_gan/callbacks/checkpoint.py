"""Checkpoints by step, each ready to sample from."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from energy_gan.methods.base import Method

TOGETHER = 10  # steps after which several processes ask each other whether to end


class SaveCheckpoints(Checkpoint):
    """Save `step_<number>.ckpt` every so many steps, at the end, and where SIGTERM asks for an end.

    Clusters send SIGTERM before they take a machine away, `kill` does by default. The step is finished, all
    processes save it together and end with status 143, as the shell has it for SIGTERM.

    Args:
        folder: where to.
        every_n_steps: at least 1.
        keep: how many of the newest stay, at least 1.
    """

    def __init__(self, folder: str, every_n_steps: int = 1000, keep: int = 2):
        if every_n_steps < 1 or keep < 1:
            raise ValueError(f"every_n_steps and keep must be at least 1, got {every_n_steps} and {keep}")
        self.folder, self.every_n_steps, self.keep = Path(folder), every_n_steps, keep

    def on_train_start(self, trainer: Trainer, pl_module: Method) -> None:
        """Put off SIGTERM to a step's end that all processes reach.

        Lightning's own handler sends a message to the others from wherever the step is, while they may expect
        another one of it: they then wait for each other for ever.
        """
        self.terminated = False
        _on_sigterm(self._remember)

    def _remember(self, signum, frame) -> None:
        self.terminated = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        if pl_module.step % self.every_n_steps == 0 and pl_module.step != trainer.max_steps:
            self.save(trainer, pl_module)
        asked = trainer.world_size == 1 or pl_module.step % TOGETHER == 0
        if asked and trainer.strategy.reduce_boolean_decision(self.terminated, all=False):
            raise SIGTERMException(128 + signal.SIGTERM)

    def on_train_end(self, trainer: Trainer, pl_module: Method) -> None:
        self.save(trainer, pl_module)
        _on_sigterm(signal.SIG_DFL)  # what is measured from here on can be measured anew

    def on_exception(self, trainer: Trainer, pl_module: Method, exception: BaseException) -> None:
        if isinstance(exception, SIGTERMException):
            self.save(trainer, pl_module)
        elif not isinstance(exception, KeyboardInterrupt):
            return
        if trainer.is_global_zero:
            kept = [
                path.stem.removeprefix("step_").lstrip("0") for path in sorted(self.folder.glob("step_*"))
            ]
            told = (
                f"go on from step {kept[-1]} with `make resume RUN={self.folder.parent}`"
                if kept
                else "no checkpoint yet"
            )
            print(f"\ninterrupted at step {pl_module.step}: {told}", file=sys.stderr)

    def save(self, trainer: Trainer, method: Method) -> None:
        """Write the checkpoint whole or not at all, then delete those that are not kept.

        All processes take part, since each has chains of its own; the first one writes.
        """
        path = self.folder / f"step_{method.step:09d}.ckpt"
        if trainer.strategy.broadcast(path.exists()):
            return
        method.calibrate()
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            for old in sorted(self.folder.glob("step_*.ckpt"))[: -self.keep]:
                old.unlink()


def _on_sigterm(handler: Callable | signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():  # no other may choose
        signal.signal(signal.SIGTERM, handler)
