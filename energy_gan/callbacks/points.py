"""What a run on points shows: the numbers, the pictures, and the file that keeps them."""

import json
import time
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure

from energy_gan.callbacks import drawing
from energy_gan.data.base import DataModule
from energy_gan.methods.base import Method
from energy_gan.metrics.assessment import assess
from energy_gan.metrics.points import PointEvaluation
from energy_gan.metrics.verdict import verdict
from energy_gan.metrics.yardsticks import KernelEstimate
from energy_gan.model import Model, evaluating

CURVES = (
    "kl_data_energy",
    "kl_generator_energy",
    "tv_data_energy",
    "tv_data_generator",
    "sliced_w2",
    "hdr99",
    "smallest_mode",
    "energy_gap",
    "log_normalizer",
)
MAP_CELLS, KERNEL_MAP_CELLS = 300, 120
REFINE, SETTLE = 5, 20  # steps of MALA: for refined samples, and where they stand for the energy's law
N_ASSESSED = 10_000


class PointReport(Callback):
    """Measure and draw every so many steps, and in full at the end.

    `metrics.json` in the run's folder holds the last numbers, the yardsticks beside them and the
    numbers of the whole run; `figures/` the last pictures; the trackers all of them, by step.

    Args:
        folder: the run's.
        every_n_steps: steps between two measurements.
        draw_every_n_steps: steps between two sets of pictures.
        n_samples: of the generator, for the numbers at the end.
        n_samples_during: the same, during training.
        seed: of the samples.
    """

    def __init__(
        self,
        folder: str,
        every_n_steps: int = 500,
        draw_every_n_steps: int = 2000,
        n_samples: int = 200_000,
        n_samples_during: int = 50_000,
        seed: int = 0,
    ):
        for name, value in (("every_n_steps", every_n_steps), ("draw_every_n_steps", draw_every_n_steps)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if min(n_samples, n_samples_during) < 1000:
            raise ValueError(f"n_samples must be at least 1000, got {min(n_samples, n_samples_during)}")
        self.folder, self.seed = Path(folder), seed
        self.every_n_steps, self.draw_every_n_steps = every_n_steps, draw_every_n_steps
        self.n_samples, self.n_samples_during = n_samples, n_samples_during
        self.history: list[dict[str, float]] = []
        self.verdict, self.reasons = "", ()
        self.seconds = 0.0  # of training, over all resumptions

    # ---- when

    def on_fit_start(self, trainer: Trainer, pl_module: Method) -> None:
        self._started = time.monotonic() - self.seconds

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        step = pl_module.step
        if step == trainer.max_steps:
            return  # the end has its own
        self.seconds = time.monotonic() - self._started
        if step % self.every_n_steps == 0:
            self.note(trainer, pl_module, self.measure(Model(pl_module), self.n_samples_during))
        if step % self.draw_every_n_steps == 0:
            self.show(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Method) -> None:
        self.seconds = time.monotonic() - self._started
        self.note(trainer, pl_module, self.measure(Model(pl_module)))
        self.show(trainer, pl_module)
        self.write(Model(pl_module))

    def state_dict(self) -> dict:
        return {"history": self.history, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict) -> None:
        self.history, self.seconds = state_dict["history"], state_dict["seconds"]

    # ---- what

    def prepare(self, data: DataModule) -> None:
        """Take the data to measure against.

        Raises:
            InputError: they are too fine for a grid.
        """
        self.data = data
        self.evaluation = PointEvaluation(data.points, data.held_out, data.density, self.n_samples, self.seed)
        if self.evaluation.in_plane:
            self.evaluation.grid  # noqa: B018, made once, now rather than in the middle of a run

    def measure(self, model: Model, n_samples: int | None = None) -> dict[str, float]:
        """How far data, energy and generator agree, by the names in `metrics/points.py`.

        What costs more, the refined samples and the assessment, comes with all n_samples only.
        """
        model.method.calibrate()
        if n_samples is not None:
            sample = partial(model.sample, seed=self.seed) if model.has_generator else None
            return self.evaluation(model.energy, sample, n_samples)
        sample = refined = None
        if model.has_generator:
            sample = partial(model.sample, seed=self.seed)
            refined = partial(model.sample, seed=self.seed, refine=REFINE)
        numbers = self.evaluation(model.energy, sample, refined=refined)
        return self.assess(model, numbers.get("log_normalizer")) | numbers

    def assess(self, model: Model, log_normalizer: float | None) -> dict[str, float]:
        """What can be said without a known density; the verdict goes into `self.verdict`."""
        law, standardise = [], self.data.standardise
        for refine in (0, SETTLE):
            x = model.sample(N_ASSESSED, self.seed + 1, refine) if model.has_generator else None
            law.append(None if x is None else standardise(x))
        weighted = model.weighted_samples(4 * N_ASSESSED, self.seed)
        if weighted is not None:  # the density of u is that of x times the scale
            weighted = (standardise(weighted[0]), weighted[1] - float(model.method.scale.log().sum()))
        points, held_out = standardise(self.data.points), standardise(self.data.held_out)
        log_scale = float(model.method.scale.log().sum())
        device = model.method.shift.device
        with evaluating(model.method.energy) as energy:
            numbers, self.reasons = assess(
                lambda u: energy(u.to(device)).to(u.device),
                points,
                held_out,
                *law,
                weighted,
                log_normalizer,
                self.seed,
            )
        if "held_out_log_likelihood" in numbers:  # likewise
            numbers["held_out_log_likelihood"] -= log_scale
        self.verdict = str(verdict(numbers))
        return numbers

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
            "yardsticks": self.evaluation.yardsticks(),
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

    # ---- pictures

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
        generated = model.sample(10_000, self.seed) if model.has_generator else None
        figures = {"energy_histograms": self._histograms(model, generated)}
        shown = generated.numpy() if generated is not None else None
        if self.data.shape == (2,):
            box = self._box()
            figures["samples"] = drawing.samples(self.data.points.numpy(), shown, box)
            figures["energy_map"] = drawing.energy_map(self._maps(model, box, generated), box)
        else:
            names = model.columns
            figures["marginals"] = drawing.marginals(self.data.points.numpy(), shown, names)
        if self.history:
            figures["curves"] = drawing.curves({"this run": self.history}, CURVES)
        (self.folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(self.folder / f"figures/{name}.png", dpi=110)
        return figures

    def _histograms(self, model: Model, generated: torch.Tensor | None) -> Figure:
        points = {"data": self.data.held_out}
        if generated is not None:
            points["generator"] = generated
        std, mean = torch.std_mean(self.data.points, dim=0)
        noise = torch.randn(10_000, *self.data.shape, generator=torch.Generator().manual_seed(self.seed))
        points["Gaussian, twice as wide as the data"] = mean + 2 * std * noise
        return drawing.energy_histograms({name: model.energy(x).numpy() for name, x in points.items()})

    def _box(self) -> drawing.Box:
        if self.data.density is not None:
            low, high = self.data.density.low, self.data.density.high
        else:
            low, high = self.data.points.min(0).values, self.data.points.max(0).values
        centre, half = (low + high) / 2, 0.55 * (high - low).max()
        left, bottom = (centre - half).tolist()
        right, top = (centre + half).tolist()
        return left, right, bottom, top

    def _maps(self, model: Model, box: drawing.Box, generated: torch.Tensor | None) -> dict[str, np.ndarray]:
        """The three laws; where a density is unknown, as for samples, a kernel estimate stands in."""
        log_p = -model.energy(self._raster(box)) - self.evaluation.log_normalizer(model.energy)
        maps = {"data": self._data_map, "energy: −E(x) − log Z": log_p.view(MAP_CELLS, MAP_CELLS).numpy()}
        if generated is not None:
            maps["generator (kernel estimate)"] = self._kernel_map(generated)
        return maps

    @cached_property
    def _data_map(self) -> np.ndarray:
        if self.data.density is None:
            return self._kernel_map(self.data.points)
        log_p = self.data.density.log_prob(self._raster(self._box()))
        return log_p.view(MAP_CELLS, MAP_CELLS).numpy()

    def _kernel_map(self, points: torch.Tensor) -> np.ndarray:
        log_p = KernelEstimate(points).log_prob(self._raster(self._box(), KERNEL_MAP_CELLS))
        return log_p.view(KERNEL_MAP_CELLS, KERNEL_MAP_CELLS).numpy()

    @staticmethod
    def _raster(box: drawing.Box, cells: int = MAP_CELLS) -> torch.Tensor:
        """Points row by row, the lowest row first."""
        left, right, bottom, top = box
        y, x = torch.meshgrid(
            torch.linspace(bottom, top, cells), torch.linspace(left, right, cells), indexing="ij"
        )
        return torch.stack([x, y], dim=-1).reshape(-1, 2)
