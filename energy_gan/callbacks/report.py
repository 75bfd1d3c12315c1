"""What every report shares: when it measures and draws, and the file that keeps its numbers."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure

from energy_gan.callbacks import drawing
from energy_gan.data.base import DataModule
from energy_gan.methods.base import Method
from energy_gan.model import Model


class Report(Callback, ABC):
    """Measure and draw every so many steps, and in full at the end; of several processes the first does it.

    `metrics.json` in the run's folder holds the last numbers, the yardsticks beside them and the
    numbers of the whole run; `figures/` the last pictures; the trackers all of them, by step.

    A subclass says what is measured and drawn: `prepare`, `measure`, `figures`, `yardsticks`.

    Args:
        folder: the run's.
        every_n_steps: steps between two measurements.
        draw_every_n_steps: steps between two sets of pictures.
        n_samples: of the generator, for the numbers at the end.
        n_samples_during: the same, during training.
        seed: of the samples.
    """

    curves: Sequence[str] = ()  # the numbers that figures/curves.png shows

    def __init__(
        self,
        folder: str,
        every_n_steps: int,
        draw_every_n_steps: int,
        n_samples: int,
        n_samples_during: int,
        seed: int,
    ):
        for name, value in (("every_n_steps", every_n_steps), ("draw_every_n_steps", draw_every_n_steps)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.folder, self.seed = Path(folder), seed
        self.every_n_steps, self.draw_every_n_steps = every_n_steps, draw_every_n_steps
        self.n_samples, self.n_samples_during = n_samples, n_samples_during
        self.history: list[dict[str, float]] = []
        self.verdict, self.reasons = "", ()
        self.seconds = 0.0  # of training, over all resumptions

    # ---- what a subclass gives

    @abstractmethod
    def prepare(self, data: DataModule) -> None:
        """Take the data to measure against.

        Raises:
            InputError: they cannot be measured.
        """

    @abstractmethod
    def measure(self, model: Model, n_samples: int | None = None) -> dict[str, float]:
        """The numbers; all of them with all `n_samples` if None is given, else the cheap ones."""

    @abstractmethod
    def figures(self, model: Model) -> dict[str, Figure]:
        """The pictures by name."""

    @abstractmethod
    def yardsticks(self) -> Mapping[str, Mapping[str, float]]:
        """The same numbers of what the model is to be compared with."""

    # ---- when

    def on_fit_start(self, trainer: Trainer, pl_module: Method) -> None:
        self._started = time.monotonic() - self.seconds

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        step = pl_module.step
        if step == trainer.max_steps or not trainer.is_global_zero:
            return  # the end has its own
        self.seconds = time.monotonic() - self._started
        if step % self.every_n_steps == 0:
            self.note(trainer, pl_module, self.measure(Model(pl_module), self.n_samples_during))
        if step % self.draw_every_n_steps == 0:
            self.show(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Method) -> None:
        if not trainer.is_global_zero:
            return
        self.seconds = time.monotonic() - self._started
        self.note(trainer, pl_module, self.measure(Model(pl_module)))
        self.show(trainer, pl_module)
        self.write(Model(pl_module))

    def state_dict(self) -> dict:
        return {"history": self.history, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict) -> None:
        self.history, self.seconds = state_dict["history"], state_dict["seconds"]

    # ---- what is kept

    def note(self, trainer: Trainer, method: Method, metrics: dict[str, float]) -> None:
        """Add a row to the history and to the trackers."""
        self.history.append({"step": method.step, **method.reported, **metrics})
        for logger in trainer.loggers:
            logger.log_metrics({f"val/{name}": value for name, value in metrics.items()}, step=method.step)

    def write(self, model: Model) -> None:
        """metrics.json, whole or not at all."""
        config = model.method.hparams
        report = {
            "name": config["name"],
            "seed": config["seed"],
            "step": self.history[-1]["step"],
            "seconds": round(self.seconds, 1),
            "integrable": model.integrable,
            "verdict": self.verdict,
            "no_log_normalizer": list(self.reasons),
            "metrics": {k: v for k, v in self.history[-1].items() if "/" not in k and k != "step"},
            "yardsticks": self.yardsticks(),
            "history": self.history,
        }
        path = self.folder / "metrics.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(report, indent=1))
        part.replace(path)

    def conclude(self, model: Model, checkpoint: Mapping[str, Any]) -> None:
        """Measure and draw a trained model anew, as at the end of its training."""
        self.load_state_dict(checkpoint["callbacks"][self.state_key])
        self.history = [row for row in self.history if row["step"] < checkpoint["global_step"]]
        self.history.append({"step": checkpoint["global_step"], **self.measure(model)})
        self.draw(model)
        self.write(model)

    def show(self, trainer: Trainer, method: Method) -> None:
        """Draw, save, and send to the trackers."""
        figures = self.draw(Model(method))
        for logger in trainer.loggers:
            for name, figure in figures.items():
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_figure(name, figure, method.step)
                elif isinstance(logger, WandbLogger):
                    logger.log_image(name, [str(self.folder / f"figures/{name}.png")], step=method.step)

    def draw(self, model: Model) -> dict[str, Figure]:
        """The figures by name, saved as figures/<name>.png."""
        figures = self.figures(model)
        if self.history:
            figures["curves"] = drawing.curves({"this run": self.history}, self.curves)
        (self.folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(self.folder / f"figures/{name}.png", dpi=110)
        return figures
