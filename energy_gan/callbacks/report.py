"""What every report shares: when it measures and draws, and the file that keeps its numbers."""

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback, Trainer
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.utils import get_total_norm

from energy_gan.callbacks.trackers import Tracker, histogram
from energy_gan.data.base import DataModule
from energy_gan.methods.base import Method
from energy_gan.model import Model, evaluating
from energy_gan.randomness import random_generator
from energy_gan.reports import drawing
from energy_gan.samplers.chains import Chains, tune
from energy_gan.samplers.mala import MALA
from energy_gan.system.files import write_text

N_CHAINS = 64  # that tell an acceptance rate
REFINED = 5  # moves of MALA that they take


class Report(Callback, ABC):
    """Measure and draw every so many steps, and in full at the end; of several processes the first does it.

    `metrics.json` in the run's folder holds the last numbers, the yardsticks beside them and the
    numbers of the whole run; `figures/` the last pictures; the trackers all of them, by step, with
    histograms of the energies, acceptance rates and the norms of the gradients besides.

    A subclass says what is measured and drawn: `prepare`, `measure`, `energies`, `figures`, `yardsticks`.

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
    def energies(self, model: Model) -> dict[str, np.ndarray]:
        """Of "data" held out, of samples of the "generator", of "noise, …" and of what else there is."""

    @abstractmethod
    def of(self, model: Model, samples: Tensor) -> dict[str, float]:
        """The numbers of samples that may come from elsewhere than from `model.sample`."""

    @abstractmethod
    def figures(self, model: Model) -> dict[str, Figure]:
        """The pictures by name, but for the histograms of the energies and the curves."""

    @abstractmethod
    def yardsticks(self) -> Mapping[str, Mapping[str, float]]:
        """The same numbers of what the model is to be compared with."""

    # ---- when

    def on_fit_start(self, trainer: Trainer, pl_module: Method) -> None:
        self._started = time.monotonic() - self.seconds

    def on_train_start(self, trainer: Trainer, pl_module: Method) -> None:
        """Tell the trackers of a resumed run again what they knew of this step: they have forgotten it."""
        if not trainer.is_global_zero or not self.history or self.history[-1]["step"] != pl_module.step:
            return
        measured = {k: v for k, v in self.history[-1].items() if k != "step" and "/" not in k}
        self.tell(trainer, pl_module, measured)
        self.show(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        if not trainer.is_global_zero:
            return
        step, every = pl_module.step, trainer.log_every_n_steps
        if every > 0 and (step - 1) % every == 0:  # beside the values of the step that has been counted
            for logger in trainer.loggers:
                logger.log_metrics(self.gradient_norms(pl_module), step=step - 1)
        if step == trainer.max_steps:
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

    # ---- what the trackers get besides

    @staticmethod
    def gradient_norms(method: Method) -> dict[str, float]:
        """‖∇‖ of each player's last move."""
        gradients = {p.name: [w.grad for w in p.parameters if w.grad is not None] for p in method.players}
        return {f"train/gradient_{name}": float(get_total_norm(g)) for name, g in gradients.items() if g}

    def acceptance(self, model: Model) -> dict[str, float]:
        """Acceptance rates and step sizes: of training's own chains, and of MALA where samples are refined.

        Nothing is moved: the chains' next move is tried on some of them. MALA's step size is tuned for 0.7
        on samples of the generator; what it comes to tells how rough the energy is there.
        """
        numbers, method, rng = {}, model.method, random_generator(self.seed)
        with evaluating(method.energy) as energy:
            signs = method.vital_signs(N_CHAINS, rng)
            numbers |= {f"train/{name}": value for name, value in signs.items() if name.startswith("chains_")}
            if model.has_generator:
                samples = model.sample(N_CHAINS, self.seed).to(method.shift.device)
                u = (samples - method.shift) / method.scale
                step_size = tune(MALA(), energy, u, rng)
                rate = float(Chains(MALA(), REFINED, step_size).run(energy, u, rng).acceptance.mean())
                numbers |= {"val/refine_acceptance": rate, "val/refine_step_size": step_size}
        return numbers

    # ---- what is kept

    def note(self, trainer: Trainer, method: Method, metrics: dict[str, float]) -> None:
        """Add a row to the history and to the trackers."""
        self.history.append({"step": method.step, **method.reported, **metrics})
        self.tell(trainer, method, metrics)

    def tell(self, trainer: Trainer, method: Method, metrics: Mapping[str, float]) -> None:
        """Send what was measured to the trackers, with the acceptance rates."""
        if trainer.loggers:
            numbers = {f"val/{k}": v for k, v in metrics.items()} | self.acceptance(Model(method))
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=method.step)

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
        write_text(self.folder / "metrics.json", json.dumps(report, indent=1))

    def conclude(self, model: Model, checkpoint: Mapping[str, Any]) -> None:
        """Measure and draw a trained model anew, as at the end of its training."""
        self.load_state_dict(checkpoint["callbacks"][self.state_key])
        self.history = [row for row in self.history if row["step"] < checkpoint["global_step"]]
        self.history.append({"step": checkpoint["global_step"], **self.measure(model)})
        self.draw(model)
        self.write(model)

    def show(self, trainer: Trainer, method: Method) -> None:
        """Draw, save, and send to the trackers."""
        model = Model(method)
        energies = self.energies(model)
        figures = self.draw(model, energies)
        pictures = {name: (figure, self._file(name)) for name, figure in figures.items()}
        counted = {f"energy/{_tag(name)}": histogram(values) for name, values in energies.items()}
        for logger in trainer.loggers:
            if isinstance(logger, Tracker):
                logger.log_histograms({k: h for k, h in counted.items() if h is not None}, method.step)
                logger.log_pictures(pictures, method.step)

    def draw(self, model: Model, energies: Mapping[str, np.ndarray] | None = None) -> dict[str, Figure]:
        """The figures by name, saved as figures/<name>.png."""
        figures = self.figures(model)
        figures["energy_histograms"] = drawing.energy_histograms(energies or self.energies(model))
        if self.history:
            figures["curves"] = drawing.curves({"this run": self.history}, self.curves)
        (self.folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(self._file(name), dpi=110)
        return figures

    def _file(self, name: str) -> Path:
        return self.folder / f"figures/{name}.png"


def _tag(name: str) -> str:
    """A set's name up to the first comma, in word characters."""
    return re.sub(r"\W+", "_", name.partition(",")[0])
