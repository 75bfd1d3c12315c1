"""Checkpoints by step, each ready to sample from."""

import io
import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from energy_gan.errors import InputError
from energy_gan.methods.base import Method
from energy_gan.run.checkpoints import way_on
from energy_gan.system.files import in_bytes, require_room, write_atomically

TOGETHER = 10  # steps after which several processes ask each other whether to end
ENDS = {  # signals that ask for an end, and what they do where nobody waits for a step's end
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}


class Asked(SystemExit):
    """A signal has asked for an end, and the step it fell into is finished."""


class Watch(ABC):
    """What watches a training, and while it is suspicious has nothing saved."""

    @property
    @abstractmethod
    def suspicious(self) -> bool:
        """Whether the last look was."""


class WholeFiles(TorchCheckpointIO):
    """Write a checkpoint by `write_atomically`: what has the name is whole, the one before is still there.

    Lightning writes to the system's temporary folder, from where a file that lies on another disk is copied,
    not renamed.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        path = Path(path)
        for old in path.parent.glob(".step_*"):  # of a run that was killed while it wrote
            old.unlink(missing_ok=True)
        contents = io.BytesIO()  # torch's own writer hides that the disk is full
        torch.save(checkpoint, contents)
        try:
            write_atomically(path, lambda part: part.write_bytes(contents.getbuffer()))
        except OSError as error:
            raise InputError(
                f"{path} cannot be written, {error.strerror or error}: the run ends here; make room; "
                f"{way_on(path.parent)}"
            ) from error


class SaveCheckpoints(Checkpoint):
    """Save `step_<number>.ckpt` every so many steps, at the last, and where a signal asks for an end.

    The last step is saved before its report, which takes minutes, and once more with it.

    Weights that are no longer finite are not saved, nor are any while a `Watch` has its doubts (but at the
    end): the last checkpoint is one to go on from.

    Clusters send SIGTERM before they take a machine away, `kill` does by default; SIGHUP comes where a
    terminal closes, SIGINT of Ctrl-C. The step is finished, all processes save it together and end with
    status 128 + the signal's number, as the shell has it. A second Ctrl-C ends at once.

    Args:
        folder: where to.
        every_n_steps: at least 1.
        keep: how many of the newest stay, at least 1.
    """

    def __init__(self, folder: str, every_n_steps: int = 1000, keep: int = 2):
        if every_n_steps < 1 or keep < 1:
            raise ValueError(f"every_n_steps and keep must be at least 1, got {every_n_steps} and {keep}")
        self.folder, self.every_n_steps, self.keep = Path(folder), every_n_steps, keep
        self.saved: int | None = None  # the last step that this process saved
        self.due = False

    def check_room(self, method: Method, averaged: bool) -> None:
        """Refuse a run for whose checkpoints the disk has no room, rather than end it in the middle.

        Counted are weights, buffers, an average of these, and for each weight the two numbers of Adam, or the
        one of an optimizer without betas; `keep` times and once more: a new one comes before an old one goes.

        Raises:
            InputError: there is less.
        """
        size = (1 + averaged) * sum(value.nbytes for value in method.state_dict().values())
        groups = [group for player in method.players for group in player.optimizer.param_groups]
        size += sum(w.nbytes * (1 + ("betas" in group)) for group in groups for w in group["params"])
        more = self.keep + 1 - min(self.keep, len(list(self.folder.glob("step_*.ckpt"))))
        remedy = "give another run_dir=FOLDER, or keep fewer, callbacks.checkpoint.keep=1"
        require_room(f"{more} checkpoints of {in_bytes(size)}", more * size, self.folder, remedy)

    def setup(self, trainer: Trainer, pl_module: Method, stage: str) -> None:
        trainer.strategy.checkpoint_io = WholeFiles()
        self.saved, self.due = None, False

    def on_train_start(self, trainer: Trainer, pl_module: Method) -> None:
        """Put off signals to a step's end that all processes reach.

        Lightning's own handler sends a message to the others from wherever the step is, while they may expect
        another one of it: they then wait for each other for ever.
        """
        self.asked = 0
        _on_end(self._remember)

    def _remember(self, signum: int, frame) -> None:
        if signum == signal.SIGINT:
            if self.asked == signum:
                raise KeyboardInterrupt
            os.write(2, b"\nends after this step; Ctrl-C again: at once\n")  # print may be at work already
        self.asked = signum

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        last = pl_module.step == trainer.max_steps or trainer.should_stop  # by its time
        self.due |= last or pl_module.step % self.every_n_steps == 0
        if self.due and not _doubtful(trainer):
            self.save(trainer, pl_module)
            self.due = False
        together = trainer.world_size == 1 or pl_module.step % TOGETHER == 0
        if together and trainer.strategy.reduce_boolean_decision(self.asked > 0, all=False):
            raise Asked(128 + (self.asked or signal.SIGTERM))  # where another process was asked
        if last and not self.due:
            _on_end(None)  # what is measured from here on can be measured anew

    def on_train_end(self, trainer: Trainer, pl_module: Method) -> None:
        self.saved = None
        self.save(trainer, pl_module)
        _on_end(None)

    def on_exception(self, trainer: Trainer, pl_module: Method, exception: BaseException) -> None:
        if isinstance(exception, Asked):
            if not _doubtful(trainer):
                self.save(trainer, pl_module)
        elif not isinstance(exception, KeyboardInterrupt):
            _on_end(None)  # nobody would hear of it any more
            return
        told = f"interrupted at step {pl_module.step}: {way_on(self.folder)}"
        if isinstance(exception, KeyboardInterrupt):
            exception.args = (told,)  # the door says it
        elif trainer.is_global_zero:
            print(f"\n{told}", file=sys.stderr)

    def save(self, trainer: Trainer, method: Method) -> None:
        """Write the checkpoint whole or not at all, then delete those that are not kept.

        All processes take part, since each has chains of its own; the first one writes.
        """
        if self.saved == method.step:
            return
        method.calibrate()
        if broken := not_finite(method):
            raise InputError(
                f"step {method.step} is not saved: {broken} is no longer finite; lower the learning rates; "
                f"{way_on(self.folder, '…')}"
            )
        path = self.folder / f"step_{method.step:09d}.ckpt"
        trainer.save_checkpoint(path)
        self.saved = method.step
        if trainer.is_global_zero:
            there = sorted(self.folder.glob("step_*.ckpt"))
            # what is later was damaged, or this run would have gone on from it
            later, earlier = [p for p in there if p > path], [p for p in there if p <= path]
            for old in later + earlier[: -self.keep]:
                old.unlink()


def _doubtful(trainer: Trainer) -> bool:
    """Whether one that watches the training is about to find that it has diverged."""
    return any(callback.suspicious for callback in trainer.callbacks if isinstance(callback, Watch))


def not_finite(method: Method) -> str | None:
    """The name of the first weight that holds nan or ±∞. All are looked at in one synchronisation."""
    weights = dict(method.named_parameters())
    if not weights:
        return None
    # the sum of |w| · 0 is 0 for finite weights, however large, and nan for others
    sums = torch.stack([(w.detach() * 0).sum().float() for w in weights.values()])
    if sums.isfinite().all():
        return None
    return next(name for name, total in zip(weights, sums.tolist(), strict=True) if total != 0)


def _on_end(handler: Callable | None) -> None:
    """Let signals that ask for an end be heard by this; None: by the system. What is ignored stays so."""
    if threading.current_thread() is threading.main_thread():  # no other may choose
        for number, system in ENDS.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                signal.signal(number, handler or system)
