"""When a run is measured, drawn and written down. What is measured, the sections of reports/ say."""

import json
import re
import time
from collections.abc import Mapping
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
from energy_gan.metrics.features import FOLDER
from energy_gan.model import Model
from energy_gan.reports import drawing
from energy_gan.reports.chains import acceptance
from energy_gan.reports.chosen import facts, made
from energy_gan.reports.numbers import CURVES, training_titles
from energy_gan.reports.section import Section, Settings
from energy_gan.system.files import write_text

N_CHAINS = 64  # that tell an acceptance rate


class Report(Callback):
    """Measure and draw every so many steps, and in full at the end; of several processes the first does it.

    In full costs half a minute of points and minutes of images, however short the training was. A `short`
    report measures the end as it did the steps before, of fewer samples, without a verdict, yardsticks and
    pictures, and says so; `make evaluate` adds them.

    `metrics.json` in the run's folder holds the last numbers, the yardsticks beside them and the
    numbers of the whole run; `figures/` the last pictures, `texts/` what is to be read; the trackers all of
    them, by step, with histograms of the energies, acceptance rates and the norms of the gradients besides.

    Args:
        folder: the run's.
        every_n_steps: steps between two measurements.
        draw_every_n_steps: steps between two sets of pictures.
        n_samples: of the generator, for the numbers at the end; of points at least 1000, of images 100.
        n_samples_during: the same, during training.
        short: the end is measured as the steps before it.
        features: the folder of yardsticks, and of images: of trained classifiers and of statistics of real
            sets.
        seed: of the samples.
        chain_steps: of the long chains of an energy that learned by chains, at the end; at least 1.
    """

    def __init__(
        self,
        folder: str,
        every_n_steps: int = 1000,
        draw_every_n_steps: int = 1000,
        n_samples: int = 10_000,
        n_samples_during: int = 2_000,
        short: bool = False,
        features: str = FOLDER,
        seed: int = 0,
        chain_steps: int = 1_000,
    ):
        least_1 = {"every_n_steps": every_n_steps, "draw_every_n_steps": draw_every_n_steps}
        for name, value in (least_1 | {"chain_steps": chain_steps}).items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.folder = Path(folder)
        self.settings = Settings(n_samples, n_samples_during, features, seed, chain_steps)
        self.every_n_steps, self.draw_every_n_steps = every_n_steps, draw_every_n_steps
        self.short = short
        self.sections: list[Section] = []
        self.rows: list[dict[str, float | int]] = []  # what training logged, and what was measured
        self.seconds = 0.0  # of training, over all resumptions

    @property
    def history(self) -> list[dict[str, float | int]]:
        """The rows with what was measured."""
        return [row for row in self.rows if measured(row)]

    def prepare(self, model: Model, data: DataModule) -> None:
        """Choose the sections that fit what the model offers and the data have, before anything is trained.

        Raises:
            InputError: the data cannot be measured, or not with as few samples.
        """
        self.sections = made(facts(model, data), self.settings)
        for section in self.sections:
            section.prepare(data)

    def measure(self, model: Model, full: bool = True) -> dict[str, float]:
        """The numbers of all sections; without `full` the cheap ones, of fewer samples."""
        model.method.calibrate()
        n = self.settings.n_samples if full else self.settings.n_samples_during
        samples = model.sample(n, self.settings.seed) if model.has_generator else None
        found: dict[str, float] = {}
        for section in self.sections:
            found |= section.measure(model, samples, full, found)
        return found

    def of(self, model: Model, samples: Tensor) -> dict[str, float]:
        """The numbers of samples that may come from elsewhere than from the generator."""
        numbers: dict[str, float] = {}
        if "energy" in model.offers:
            numbers["mean_energy"] = float(model.energy(samples).mean())
        for section in self.sections:
            numbers |= section.of(model, samples)
        return numbers

    # ---- when

    def on_fit_start(self, trainer: Trainer, pl_module: Method) -> None:
        self._started = time.monotonic() - self.seconds

    def on_train_start(self, trainer: Trainer, pl_module: Method) -> None:
        """Tell the trackers of a resumed run again what they knew of this step: they have forgotten it."""
        if not trainer.is_global_zero or not self.history or self.history[-1]["step"] != pl_module.step:
            return
        self.tell(trainer, pl_module, measured(self.history[-1]))
        self.show(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        if not trainer.is_global_zero:
            return
        step, every = pl_module.step, trainer.log_every_n_steps
        if every > 0 and (step - 1) % every == 0:  # beside the values of the step that has been counted
            for logger in trainer.loggers:
                logger.log_metrics(self.gradient_norms(pl_module), step=step - 1)
            self.rows.append({"step": step - 1, **pl_module.reported})
        self.seconds = time.monotonic() - self._started
        if step == trainer.max_steps:
            return  # the end has its own
        if step % self.every_n_steps == 0:
            self.note(trainer, pl_module, self.measure(Model(pl_module), full=False))
        if step % self.draw_every_n_steps == 0:
            self.show(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Method) -> None:
        if not trainer.is_global_zero:
            return
        self.seconds = time.monotonic() - self._started
        self.note(trainer, pl_module, self.measure(Model(pl_module), full=not self.short))
        if not self.short:
            self.show(trainer, pl_module)
        self.write(Model(pl_module), full=not self.short)

    def state_dict(self) -> dict:
        return {"history": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict) -> None:
        self.rows, self.seconds = state_dict["history"], state_dict["seconds"]

    # ---- what the trackers get besides

    @staticmethod
    def gradient_norms(method: Method) -> dict[str, float]:
        """‖∇‖ of each player's last move."""
        gradients = {p.name: [w.grad for w in p.parameters if w.grad is not None] for p in method.players}
        return {f"train/gradient_{name}": float(get_total_norm(g)) for name, g in gradients.items() if g}

    # ---- what is kept

    def note(self, trainer: Trainer, method: Method, metrics: dict[str, float]) -> None:
        """Add a row to the history and to the trackers."""
        self.rows.append({"step": method.step, **method.reported, **metrics})
        self.tell(trainer, method, metrics)

    def tell(self, trainer: Trainer, method: Method, metrics: Mapping[str, float]) -> None:
        """Send what was measured to the trackers, with the acceptance rates."""
        if not trainer.loggers:
            return
        numbers = {f"val/{name}": value for name, value in metrics.items()}
        numbers |= acceptance(Model(method), N_CHAINS, self.settings.seed)
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=method.step)

    def write(self, model: Model, full: bool = True) -> None:
        """metrics.json, whole or not at all."""
        config, last = model.method.hparams, self.history[-1]
        metrics, yardsticks = measured(last), {}
        for section in self.sections if full else ():
            for name, row in section.yardsticks().items():
                yardsticks[name] = yardsticks.get(name, {}) | row
        report = {
            "name": config["name"],
            "seed": config["seed"],
            "data": config["data"],
            "step": last["step"],
            "seconds": round(self.seconds, 1),
            "sampling_seconds": sampling_seconds(model) if full else None,
            "kind": model.kind,
            "offers": sorted(model.offers),
            "integrable": model.integrable,
            "n_samples": self.settings.n_samples if full else self.settings.n_samples_during,
            "verdict": self._verdict(metrics) if full else None,
            "no_log_normalizer": [reason for section in self.sections for reason in section.reasons],
            "metrics": metrics,
            "yardsticks": yardsticks,
            "history": self.history,
            "training": [row for row in self.rows if not measured(row)],
        }
        write_text(self.folder / "metrics.json", json.dumps(report, indent=1))

    def conclude(self, model: Model, checkpoint: Mapping[str, Any], full: bool = True) -> None:
        """Measure and draw a trained model anew, as at the end of its training."""
        self.load_state_dict(checkpoint["callbacks"][self.state_key])
        step = checkpoint["global_step"]
        self.rows = [row for row in self.rows if row["step"] < step or not measured(row)]
        self.rows.append({"step": step, **self.measure(model, full)})
        if full:
            self.draw(model)
            self.write_texts(model)
        self.write(model, full)

    def show(self, trainer: Trainer, method: Method) -> None:
        """Draw, save, and send to the trackers."""
        figures, energies = self.draw(Model(method))
        texts = self.write_texts(Model(method))
        pictures = {name: self._file(name) for name in figures}
        counted = {f"energy/{_tag(name)}": histogram(values) for name, values in energies.items()}
        for logger in trainer.loggers:
            if isinstance(logger, Tracker):
                logger.log_histograms({k: h for k, h in counted.items() if h is not None}, method.step)
                logger.log_pictures(pictures, method.step)
                logger.log_texts(texts, method.step)

    def draw(self, model: Model) -> tuple[dict[str, Figure], dict[str, np.ndarray]]:
        """The figures by name, saved as figures/<name>.png, and the energies of sets of points."""
        sets: dict[str, Tensor] = {}
        for section in self.sections:
            sets |= section.sets(model)
        energies = {}
        if "energy" in model.offers:
            energies = {name: model.energy(model.noisy(x)).numpy() for name, x in sets.items()}
        figures: dict[str, Figure] = {}
        for section in self.sections:
            figures |= section.figures(model, sets)
        if energies:
            what = "energy E(x) of points with noise" if model.data_noise else "energy E(x)"
            figures["energy_histograms"] = drawing.energy_histograms(energies, what)
        if self.rows:
            rows = [{"step": row["step"], **measured(row)} if measured(row) else row for row in self.rows]
            figures["curves"] = drawing.curves({"this run": rows}, CURVES | training_titles(rows))
        (self.folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(self._file(name), dpi=110)
        return figures, energies

    def write_texts(self, model: Model) -> dict[str, str]:
        """What is to be read, by name, saved as texts/<name>.md."""
        texts: dict[str, str] = {}
        for section in self.sections:
            texts |= section.texts(model)
        for name, text in texts.items():
            (self.folder / "texts").mkdir(parents=True, exist_ok=True)
            write_text(self.folder / f"texts/{name}.md", text)
        return texts

    def _file(self, name: str) -> Path:
        return self.folder / f"figures/{name}.png"

    def _verdict(self, metrics: Mapping[str, float]) -> str:
        return "; ".join(filter(None, (section.verdict(metrics) for section in self.sections)))


def sampling_seconds(model: Model, n: int = 1_000) -> float | None:
    """What n samples take; None without a generator."""
    if not model.has_generator:
        return None
    started = time.monotonic()
    model.sample(n)
    return round(time.monotonic() - started, 4)


def measured(row: Mapping[str, float | int]) -> dict[str, float]:
    """What a row of the history has of what was measured, without what training logged."""
    return {name: value for name, value in row.items() if "/" not in name and name != "step"}


def _tag(name: str) -> str:
    """A set's name up to the first comma, in word characters."""
    return re.sub(r"\W+", "_", name.partition(",")[0])
