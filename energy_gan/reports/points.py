"""What a run on points shows: how far data, energy and generator agree, and the pictures of it."""

from functools import cached_property, partial

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.callbacks.report import Report
from energy_gan.data.base import DataModule
from energy_gan.metrics.assessment import assess
from energy_gan.metrics.points import PointEvaluation
from energy_gan.metrics.verdict import verdict
from energy_gan.metrics.yardsticks import KernelEstimate
from energy_gan.model import Model, evaluating
from energy_gan.reports import drawing

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


class PointReport(Report):
    """Points: the exact agreement where a density is known, an assessment where not, and a verdict.

    Args:
        folder, every_n_steps, draw_every_n_steps, n_samples, n_samples_during, seed: as in `Report`; the two
            numbers of samples at least 1000.
    """

    curves = CURVES

    def __init__(
        self,
        folder: str,
        every_n_steps: int = 500,
        draw_every_n_steps: int = 2000,
        n_samples: int = 200_000,
        n_samples_during: int = 50_000,
        seed: int = 0,
    ):
        if min(n_samples, n_samples_during) < 1000:
            raise ValueError(f"n_samples must be at least 1000, got {min(n_samples, n_samples_during)}")
        super().__init__(folder, every_n_steps, draw_every_n_steps, n_samples, n_samples_during, seed)

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

    def of(self, model: Model, samples: Tensor) -> dict[str, float]:
        numbers = self.evaluation(model.energy, lambda n: samples[:n], len(samples))
        return numbers | {"mean_energy": float(model.energy(samples).mean())}

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
        with evaluating(model.learned.energy) as energy:
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

    def yardsticks(self) -> dict[str, dict[str, float]]:
        return self.evaluation.yardsticks()

    # ---- pictures

    def energies(self, model: Model) -> dict[str, np.ndarray]:
        points = {"data": self.data.held_out}
        if model.has_generator:
            points["generator"] = model.sample(10_000, self.seed)
        std, mean = torch.std_mean(self.data.points, dim=0)
        noise = torch.randn(10_000, *self.data.shape, generator=torch.Generator().manual_seed(self.seed))
        points["noise, a Gaussian twice as wide as the data"] = mean + 2 * std * noise
        return {name: model.energy(x).numpy() for name, x in points.items()}

    def figures(self, model: Model) -> dict[str, Figure]:
        generated = model.sample(10_000, self.seed) if model.has_generator else None
        figures = {}
        shown = generated.numpy() if generated is not None else None
        if self.data.shape == (2,):
            box = self._box()
            figures["samples"] = drawing.samples(self.data.points.numpy(), shown, box)
            figures["energy_map"] = drawing.energy_map(self._maps(model, box, generated), box)
        else:
            names = model.columns
            figures["marginals"] = drawing.marginals(self.data.points.numpy(), shown, names)
        return figures

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
