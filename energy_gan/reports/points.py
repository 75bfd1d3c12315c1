"""Points: how far data, energy and generator agree, and the pictures of it."""

import math
from collections.abc import Mapping
from functools import cached_property, partial

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.energies.base import stated
from energy_gan.evaluation import in_batches
from energy_gan.metrics.features import checksum
from energy_gan.metrics.points import Energy, PointEvaluation
from energy_gan.metrics.yardsticks import KernelEstimate
from energy_gan.model import Model, evaluating
from energy_gan.randomness import random_generator
from energy_gan.reports import drawing
from energy_gan.reports.numbers import LIKELIHOOD, POINTS
from energy_gan.reports.section import Rows, Section

MAP_CELLS, KERNEL_MAP_CELLS = 200, 120
SHOWN = 10_000
REFINE = 5  # steps of MALA


class Points(Section):
    """The agreement of data, energy and generator, as far as there are, by `metrics/points.py`."""

    needs = "points law"
    numbers = POINTS
    least = 1_000
    of_base: Mapping[str, dict[str, float]] = {}

    def prepare(self, data: DataModule) -> None:
        self.data = data
        n_samples = self.settings.n_samples
        sets, log_volume = (data.points, data.held_out), 0.0
        if data.density is None:
            sets, log_volume = tuple(map(data.standardise, sets)), data.log_volume(data.held_out)
        self.evaluation = PointEvaluation(*sets, data.density, n_samples, self.seed, log_volume=log_volume)
        if self.evaluation.in_plane:
            self.evaluation.grid  # noqa: B018, made once, now rather than in the middle of a run
        self.facts = [checksum(x) for x in sets] + [n_samples, self.seed, log_volume]
        if data.density is not None:
            self.facts.append(float(data.density.log_prob(data.held_out[:100]).double().mean()))

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        def refined(n: int) -> Tensor:
            return self._seen(model.sample(n, self.seed, REFINE))

        exact = model.has_generator and model.learned.generator.is_energy_s
        numbers = self._compared(model, samples, refined if full and not exact else None)
        if full:
            self.of_base = self._of_base(model)
        return numbers | (self._rivals() if full and "energy" in model.offers else {})

    def _of_base(self, model: Model) -> dict[str, dict[str, float]]:
        """The row of the density that the energy tilts, if there is one."""
        base = stated(model.learned.energy, "base")
        if base is None:
            return {}

        def energy(x: Tensor) -> Tensor:
            return in_batches(lambda part: model.units.energies(base, part), x).cpu()

        def sample(n: int) -> Tensor:
            return self._seen(model.units.own(base.sample(n, random_generator(self.seed))))

        with torch.no_grad(), evaluating(base):
            in_networks_units = partial(in_batches, base) if self.data.density is None else energy
            return {"the energy's base": self.evaluation(in_networks_units, sample, log_normalizer=0.0)}

    def _rivals(self) -> dict[str, float]:
        """The held-out log-likelihoods of the yardsticks, where no density is known to measure against."""
        if self.data.density is not None:
            return {}
        rows = self._yardsticks
        mixture = next(name for name in rows if name.startswith("mixture"))
        named = {"mixture": mixture, "kernel": "kde", "gaussian": "gaussian"}
        return {f"{key}_log_likelihood": rows[row][LIKELIHOOD.name] for key, row in named.items()}

    def of(self, model: Model, samples: Tensor) -> dict[str, float]:
        return self._compared(model, samples)

    def _compared(self, model: Model, samples: Tensor | None, refined=None) -> dict[str, float]:
        energy = self._energy(model) if "energy" in model.offers else None
        if samples is None:
            return self.evaluation(energy, None)
        samples, exact = self._seen(samples), model.learned.generator.knows_density
        return self.evaluation(
            energy,
            lambda n: samples[:n],
            len(samples),
            refined=refined if energy else None,
            log_density=model.generator_log_prob if exact and self.data.density is not None else None,
        )

    def _seen(self, x: Tensor) -> Tensor:
        """Points as they are compared: standardised, but beside a density in its units."""
        return self.data.standardise(x) if self.data.density is None else x

    def _energy(self, model: Model) -> Energy:
        return model.energy_of_networks if self.data.density is None else model.energy

    def yardsticks(self) -> Rows:
        return self._yardsticks | self.of_base

    @cached_property
    def _yardsticks(self) -> Rows:
        return self._kept(self.facts, self.evaluation.yardsticks)

    # ---- pictures

    def sets(self, model: Model) -> dict[str, Tensor]:
        sets = {"data": self.data.held_out}
        if model.has_generator:
            sets["generator"] = model.sample(SHOWN, self.seed)
        noise = torch.randn(SHOWN, *self.data.shape, generator=torch.Generator().manual_seed(self.seed))
        return sets | {"noise, a Gaussian twice as wide as the data": model.units.own(2 * noise)}

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        data, generated = self.data.points.numpy(), sets.get("generator")
        shown = None if generated is None else generated.numpy()
        if not self.evaluation.in_plane or (self.data.schema and self.data.schema.discrete):
            return {"marginals": drawing.marginals(data, shown, model.columns)}
        box = self._box()
        maps = drawing.energy_map(self._maps(model, box, generated), box)
        return {"samples": drawing.samples(data, shown, box), "energy_map": maps}

    def _box(self) -> drawing.Box:
        if self.data.density is not None:
            low, high = self.data.density.low, self.data.density.high
        else:
            low, high = self.data.points.min(0).values, self.data.points.max(0).values
        centre, half = (low + high) / 2, 0.55 * (high - low).max()
        left, bottom = (centre - half).tolist()
        right, top = (centre + half).tolist()
        return left, right, bottom, top

    def _maps(self, model: Model, box: drawing.Box, generated: Tensor | None) -> dict[str, np.ndarray]:
        """The three laws; where a density is unknown, as for samples, a kernel estimate stands in."""
        maps = {"data": self._data_map}
        if "energy" in model.offers:
            x = self._raster(box, MAP_CELLS)
            inside = torch.from_numpy(model.schema.allows(x.numpy()))  # of its columns' bounds
            log_p = x.new_full((len(x),), -math.inf)
            log_p[inside] = -model.energy(x[inside]).double()
            log_p -= self.evaluation.log_normalizer(self._energy(model))
            maps["energy: −E(x) − log Z"] = log_p.view(MAP_CELLS, MAP_CELLS).numpy()
        if generated is not None:
            maps["generator (kernel estimate)"] = self._kernel_map(generated)
        return maps

    @cached_property
    def _data_map(self) -> np.ndarray:
        if self.data.density is None:
            return self._kernel_map(self.data.points)
        log_p = self.data.density.log_prob(self._raster(self._box(), MAP_CELLS))
        return log_p.view(MAP_CELLS, MAP_CELLS).numpy()

    def _kernel_map(self, points: Tensor) -> np.ndarray:
        log_p = KernelEstimate(points).log_prob(self._raster(self._box(), KERNEL_MAP_CELLS))
        return log_p.view(KERNEL_MAP_CELLS, KERNEL_MAP_CELLS).numpy()

    @staticmethod
    def _raster(box: drawing.Box, cells: int) -> Tensor:
        """Points row by row, the lowest row first."""
        left, right, bottom, top = box
        y, x = torch.meshgrid(
            torch.linspace(bottom, top, cells, dtype=torch.float64),
            torch.linspace(left, right, cells, dtype=torch.float64),
            indexing="ij",
        )
        return torch.stack([x, y], dim=-1).reshape(-1, 2)
