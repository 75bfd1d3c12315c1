"""The trackers, Weights & Biases and TensorBoard: one set of names, one x axis, one list of panels.

What a run logs reaches both under the same name at the method's own step: numbers by `log_metrics`,
histograms, pictures and texts by the methods of `Tracker`. `PANELS` is what a dashboard shows of it.
"""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from energy_gan.errors import InputError
from energy_gan.reports.panels import layout

BINS = 64


class Histogram(NamedTuple):
    """Counts between edges."""

    counts: Int[np.ndarray, "bins"]
    edges: Float[np.ndarray, "edges"]


def histogram(values: Float[np.ndarray, "N"], bins: int = BINS) -> Histogram | None:
    """Equal bins over all but 0.1 % at either end; these, and what is infinite, count in the outermost.

    None where no value is finite. nan is of no bin.
    """
    finite = values[np.isfinite(values)].astype(float)
    if not len(finite):
        return None
    low, high = np.quantile(finite, [0.001, 0.999])
    room = max(high - low, 1e-6 * max(1.0, abs(low)))  # where all are alike
    values = values[~np.isnan(values)].astype(float).clip(low, low + room)
    return Histogram(*np.histogram(values, bins, (low, low + room)))


class Tracker(ABC):
    """What both trackers take besides the numbers of Lightning's loggers."""

    @abstractmethod
    def log_histograms(self, histograms: Mapping[str, Histogram], step: int) -> None:
        """Add histograms by name."""

    @abstractmethod
    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Add pictures by name, each from the file it was saved in."""

    @abstractmethod
    def log_texts(self, texts: Mapping[str, str], step: int) -> None:
        """Add what is to be read by name, in Markdown."""

    @abstractmethod
    def go_on(self, step: int) -> None:
        """Before a resumed run logs: what was logged at this step and later will come again."""


class Wandb(WandbLogger, Tracker):
    """A W&B run in the run's folder. `WANDB_MODE=online` uploads it; `wandb sync` does so later.

    W&B's own step is the method's. It takes no step below the last one, so what a resumed run logs a second
    time it leaves out.

    Args:
        project: its name on W&B.
        run_dir: the run's folder; W&B makes its own, `wandb`, in it.
        id: of the run on W&B, which goes on where there is one; a new one if None.
    """

    def __init__(self, project: str, run_dir: str, id: str | None = None):  # noqa: A002, W&B's name for it
        os.environ.setdefault("WANDB_SILENT", "true")
        mode = os.environ.get("WANDB_MODE", "offline")
        name = "/".join(Path(run_dir).parts[-3:])
        # absolute, since W&B writes from a process of its own, which may have started in another folder
        folder = str(Path(run_dir).absolute())
        offline = mode != "online"
        super().__init__(project=project, name=name, id=id, save_dir=folder, offline=offline, mode=mode)
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, whatever its value

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, object], step: int) -> None:
        self.experiment.log({**metrics, "trainer/global_step": step}, step=step)

    @rank_zero_only
    def log_histograms(self, histograms: Mapping[str, Histogram], step: int) -> None:
        import wandb

        self.log_metrics({name: wandb.Histogram(np_histogram=h) for name, h in histograms.items()}, step)

    @rank_zero_only
    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        import wandb

        self.log_metrics({name: [wandb.Image(str(file))] for name, file in pictures.items()}, step)

    @rank_zero_only
    def log_texts(self, texts: Mapping[str, str], step: int) -> None:
        import wandb

        tables = {f"texts/{name}": text.splitlines() for name, text in texts.items()}
        if tables:
            rows = {name: wandb.Table(["text"], [[line] for line in lines]) for name, lines in tables.items()}
            self.log_metrics(rows, step)

    def go_on(self, step: int) -> None:
        """Nothing to do: the id says which run goes on."""

    def finalize(self, status: str) -> None:
        """End the W&B run with the training, so that the next one in this process is another."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(status != "success"))
            self._experiment = None


class TensorBoard(TensorBoardLogger, Tracker):
    """TensorBoard's files in the run's folder, `tensorboard`, and the panels for its tab Custom Scalars.

    Args:
        run_dir: the run's folder.
    """

    def __init__(self, run_dir: str):
        super().__init__(save_dir=run_dir, name=None, version="tensorboard", default_hp_metric=False)
        self.names: set[str] = set()
        threading.excepthook = _but_tensorboard_s

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        with self._on_disk():
            super().log_metrics(metrics, step)
            if not metrics.keys() <= self.names:
                self.names |= metrics.keys()
                self.experiment.add_custom_scalars(layout(self.names))

    @rank_zero_only
    def log_histograms(self, histograms: Mapping[str, Histogram], step: int) -> None:
        for name, (counts, edges) in histograms.items():
            middles = (edges[1:] + edges[:-1]) / 2
            self.experiment.add_histogram_raw(
                name,
                min=edges[0],
                max=edges[-1],
                num=counts.sum(),
                sum=counts @ middles,
                sum_squares=counts @ middles**2,
                bucket_limits=edges.tolist(),  # the right ends, so an empty bin comes first
                bucket_counts=[0, *counts.tolist()],
                global_step=step,
            )

    @rank_zero_only
    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        for name, file in pictures.items():
            with Image.open(file) as picture:  # drawing it again would take much longer
                self.experiment.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    @rank_zero_only
    def log_texts(self, texts: Mapping[str, str], step: int) -> None:
        for name, text in texts.items():
            self.experiment.add_text(f"texts/{name}", text, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file; where the run has failed, what failed says more than that."""
        with self._on_disk() if status == "success" else suppress(OSError):
            super().finalize(status)

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """TensorBoard writes in a thread, and only says at the next number that it could not."""
        try:
            yield
        except (OSError, ValueError) as error:  # Lightning makes the second of the first
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError):
                raise
            file = max(Path(self.log_dir).glob("events*"), default=Path(self.log_dir))
            raise InputError(
                f"{file} cannot be written, {cause.strerror or cause}: make room, or give "
                "logger.tensorboard=null"
            ) from error

    def go_on(self, step: int) -> None:
        """Have TensorBoard forget what it was told at this step and later."""
        self._kwargs["purge_step"] = step


def _but_tensorboard_s(failed: threading.ExceptHookArgs) -> None:
    """A traceback of threads that fail, but for TensorBoard's writer: `TensorBoard` says it in one line."""
    if not type(failed.thread).__module__.startswith("tensorboard."):
        threading.__excepthook__(failed)
