"""The progress bar: steps done of all, with the last logged values; then, that the end is being measured."""

import sys
import time
from threading import Event, Thread
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from tqdm import tqdm

from energy_gan.methods.base import Method

SHOWN = ("energy_gap", "entropy")
PATIENCE = 1.0  # seconds between two drawings at most, however slow the steps are


class ProgressBar(TQDMProgressBar):
    """Lightning's bar over the steps of the whole run, with the energy gap and the entropy beside it.

    Args:
        refresh_rate: steps between two drawings; drawing costs as much as a small step. 0 draws nothing.
    """

    def __init__(self, refresh_rate: int = 50):
        super().__init__(refresh_rate=refresh_rate)
        self.measuring: Elapsed | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Method) -> None:
        super().on_train_start(trainer, pl_module)
        bar = self.train_progress_bar
        bar.set_description("Training")
        bar.total = trainer.max_steps
        bar.n = bar.initial = pl_module.step  # a resumed run begins here; the speed is that of its own steps
        bar.refresh()
        self.drawn = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """An epoch is nothing to this bar."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        bar, step, now = self.train_progress_bar, pl_module.step, time.monotonic()
        due = self.is_enabled and (step % self.refresh_rate == 0 or now - self.drawn > PATIENCE)
        if due or step == trainer.max_steps:
            bar.n, self.drawn = step, now
            bar.set_postfix(self.get_metrics(trainer, pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: Method) -> None:
        super().on_train_end(trainer, pl_module)
        if self.is_enabled and sys.stdout.isatty():
            self.measuring = Elapsed("Measuring")

    def on_fit_end(self, trainer: Trainer, pl_module: Method) -> None:
        if self.measuring:
            self.measuring.end()

    def on_exception(self, trainer: Trainer, pl_module: Method, exception: BaseException) -> None:
        self.on_fit_end(trainer, pl_module)

    def get_metrics(self, trainer: Trainer, pl_module: Method) -> dict[str, str]:
        reported = {name: pl_module.reported.get(f"train/{name}") for name in SHOWN}
        return {name: f"{value:.3g}" for name, value in reported.items() if value is not None}


class Elapsed:
    """A line with the time that something takes whose steps are not known, anew every second."""

    def __init__(self, what: str):
        self.line = tqdm(desc=what, bar_format="{desc} [{elapsed}]", file=sys.stdout, leave=False)
        self.ended = Event()
        Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        while not self.ended.wait(PATIENCE):
            self.line.refresh()

    def end(self) -> None:
        """Take the line away."""
        self.ended.set()
        self.line.close()
