"""A generator that goes from coarse to fine, grid by grid: do the energies balance, do the grids agree?

gap_finest            E[E(x⁻)] − E[E(x⁺)] on the finest grid, in standard deviations of E(x⁺): 0 is balance
gap_coarser           the same of the coarser grid on which it is farthest from 0
grid_consistency      how far a grid's images, averaged, are from the coarser grid's: the mean squared error
                      of pixels from −1 to 1, of the worst two neighbours
start_correlation     of the mean pixel of a sample with the pixel that its walk began at
energy_slope          E‖∇E(x⁺)‖ on the finest grid, x⁺ held-out data with the noise of training
energy_slope_highest  the greatest of these norms at data, at samples and half way between: the energy's
                      Lipschitz constant is no smaller
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.images import viewable
from energy_gan.generators.coarse_to_fine import Level
from energy_gan.model import Model, evaluating
from energy_gan.numerics.grids import enlarged, shrunk
from energy_gan.randomness import random_generator
from energy_gan.reports import drawing
from energy_gan.reports.numbers import OF_GRIDS
from energy_gan.reports.section import Section
from energy_gan.samplers.base import init, normal_like

MEASURED, SHOWN = 512, 16  # samples

Images = Float[Tensor, "N C H W"]  # in the networks' units


class Grids(Section):
    """The energies of all grids, at data and at the generator's samples of the same grid."""

    needs = "images grids"
    numbers = OF_GRIDS

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        rng, generator = random_generator(self.seed), model.learned.generator
        x = self.data.standardise(self.data.held_out[:MEASURED]).to(model.method.shift.device)
        with torch.no_grad(), evaluating(model.method):
            first, *images = self._pyramid(model, len(x))
            gaps = []
            for level, made in zip(generator.levels, images, strict=True):
                here = noisy(shrunk(x, level.shape[1:]), level, rng)
                of_data = level.energy(here)
                gap = level.energy(made).mean() - of_data.mean()
                gaps.append(float(gap / of_data.std()))
            slopes = [
                init(level.energy, at).gradient.flatten(1).norm(dim=1)
                for at in (here, images[-1], (here + images[-1]) / 2)
            ]
        errors = [
            float((shrunk(fine, coarse.shape[2:]) - coarse).square().mean())
            for coarse, fine in pairwise(images)
        ]
        means = [shrunk(part, (1, 1)).flatten() for part in (first, images[-1])]
        return {
            "gap_finest": gaps[-1],
            "gap_coarser": max(gaps[:-1], key=abs, default=0.0),
            "grid_consistency": max(errors, default=0.0),
            "start_correlation": float(torch.stack(means).corrcoef()[0, 1]),
            "energy_slope": float(slopes[0].mean()),
            "energy_slope_highest": max(float(part.max()) for part in slopes),
        }

    def _pyramid(self, model: Model, n: int) -> list[Images]:
        generator = model.learned.generator
        latent = generator.prior.sample(n, random_generator(self.seed)).to(model.method.shift.device)
        return generator.pyramid(latent, random_generator(self.seed, 1))

    @torch.no_grad()
    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        with evaluating(model.method):
            images = self._pyramid(model, SHOWN)
        size, rows = model.method.shape[1:], {}
        for part in images:
            shown = model.units.own(enlarged(part, size))
            rows[f"{part.shape[2]}×{part.shape[3]}"] = viewable(shown.clamp(0, 1)).numpy()
        return {"grids": drawing.images(rows, SHOWN)}


def noisy(x: Images, level: Level, rng: torch.Generator) -> Images:
    """x with the noise that a grid's images have in training."""
    return x + level.noise * normal_like(x, rng) if level.noise else x
