"""One energy for each of several grids, from coarse to fine; the coarser grid's chains begin the finer one's.

x₀⁻ is the mean pixel of a training image. On each grid s, coarse to fine, chains of Eₛ start at x⁻ₛ₋₁, whose
pixels are copied, and

    the energy Eₛ    descends   E[Eₛ(xₛ⁺)] − E[Eₛ(xₛ⁻)],    xₛ⁺ the data, averaged over the cells     (Eq. 7)

Each step of every grid is contrastive divergence that starts at the coarser grid's law and not at the data.
A grid moves right after it has sampled; whether before or after the finer ones sample makes no difference,
these see its samples alone. What the chains of all grids make of the mean pixel and their noise is a
generator; noise is not optional: without it a sample is a function of C numbers, of grey images of one.

With an autoencoder A (Malhotra) what is enlarged is A(x⁻ₛ₋₁), on all grids above that of one pixel; data are
xₛ⁺ or, so that KL(P_A ‖ Pₛ) falls (Malhotra, Eq. 7), A(xₛ⁺). By turns with the energies

    A                descends   Σₛ E‖A(xₛ + σ ε) − xₛ‖² / Dₛ

Reference: Learning Generative ConvNets via Multi-grid Modeling and Sampling (Gao et al., 2018),
https://arxiv.org/abs/1709.08868; Towards More Effective Energy-based Deep Learning (Malhotra), for A.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.generators.coarse_to_fine import CoarseToFine, before
from energy_gan.generators.pixel_law import PixelLaw
from energy_gan.inference.base import Inference
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.fit_together import check_grids
from energy_gan.methods.grids import Grid
from energy_gan.methods.players import Player, Terms
from energy_gan.nn import Fitted
from energy_gan.numerics.grids import enlarged, shrunk
from energy_gan.optim.learns import Learns
from energy_gan.randomness import noised
from energy_gan.shapes import Batch, Points


class Multigrid(Method):
    """Energies on grids, and an autoencoder between them.

    Args:
        shape: of one image, [C, H, W].
        grids: by name, the coarsest first; the last is of the images' own size. The sides of each are
            multiples of those of the one before.
        autoencoder: A, of images of any of these sizes from −1 to 1; None is Gao's method.
        autoencoder_learns: how A learns, where it has weights.
        autoencoder_noise: σ of the noise that A removes. Not negative.
        positives: what the energies take for data: the data, or what A makes of them.
        inference: x -> z for the generator that the chains of all grids are.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        grids: Mapping[str, Grid | None],
        autoencoder: nn.Module | None = None,
        autoencoder_learns: Learns | None = None,
        autoencoder_noise: float = 0.0,
        positives: Literal["data", "autoencoder"] = "data",
        inference: Inference | None = None,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        self.grids = nn.ModuleDict({name: grid for name, grid in grids.items() if grid is not None})
        self.autoencoder, self.autoencoder_noise = autoencoder, autoencoder_noise
        self.positives, self.inference = positives, inference
        self.pixel = PixelLaw(self.shape[0])
        check_grids(self, autoencoder_learns)
        self.players = [
            Player(name, grid.energy, partial(self.grid_terms, name), grid.learns)
            for name, grid in self.grids.items()
        ]
        if autoencoder_learns is not None:
            self.players.append(
                Player("autoencoder", autoencoder, self.autoencoder_terms, autoencoder_learns)
            )

    @property
    def finest(self) -> Grid:
        return [*self.grids.values()][-1]

    def fit_parts(self, x: Points) -> None:
        """Each grid's parts on images of its size."""
        for part in self.pixel, *self.grids.values():
            of_grid = x if part is self.pixel else shrunk(x, part.shape[1:])
            for fitted in part.modules():
                if isinstance(fitted, Fitted) and not fitted.fitted:
                    fitted.fit(of_grid, self.seed)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        ends = shrunk(batch.x, (1, 1))
        for player, grid in zip(self.players, self.grids.values(), strict=False):
            start = self.start(ends, grid)
            for _ in player.moves(self.step):
                self.descend(player, player.terms(start, batch.x))
            ends = grid.last.samples
        for player in self.players[len(self.grids) :]:
            for _ in player.moves(self.step):
                self.descend(player, player.terms(batch.x))
        self.end_step()

    @torch.no_grad()
    def start(self, coarser: Float[Tensor, "B C h w"], grid: Grid) -> Points:
        """Where a grid's chains begin, from the images of the coarser one."""
        return enlarged(before(coarser, self.autoencoder), grid.shape[1:])

    def grid_terms(self, name: str, start: Float[Tensor, "B C h w"], x: Float[Tensor, "B C H W"]) -> Terms:
        """Positive and negative phase of one grid (Eq. 7)."""
        grid = self.grids[name]
        with torch.no_grad():
            positive = shrunk(x, grid.shape[1:])
            if self.positives == "autoencoder":
                positive = self.autoencoder(positive)
        found = grid.phases(start, positive)
        if grid is self.finest:
            self.report_means(found)
        self.report({f"{name}_gap": found.means["energy_gap"]})
        return {f"{name}_{term}": value for term, value in found.terms.items()}

    def autoencoder_terms(self, x: Points) -> Terms:
        """How far what A makes of images with noise is from the images, on each grid."""
        errors = {}
        for name, grid in self.grids.items():
            here = shrunk(x, grid.shape[1:])
            made = self.autoencoder(noised(here, self.autoencoder_noise))
            errors[f"autoencoder_{name}"] = (made - here).square().mean()
        return errors

    @property
    def learned(self) -> Learned:
        finest, levels = self.finest, [grid.level for grid in self.grids.values()]
        return Learned(
            energy=finest.energy,
            generator=CoarseToFine(self.pixel, levels, self.autoencoder),
            inference=self.inference,
            noise=finest.data_noise,
            walked=finest.negatives.walked,
        )

    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        """Of the finest grid, and of the others under their names."""
        signs = {}
        for name, grid in self.grids.items():
            found = grid.vital_signs(n, rng)
            if grid is not self.finest and "energy_negative" in found:
                found[f"energy_{name} negative"] = found.pop("energy_negative")
                found[f"{name} chains_distance"] = found.pop("chains_distance")
            signs |= found
        return signs

    def compile_networks(self, backend: str = "inductor") -> None:
        for grid in self.grids.values():
            grid.energy.compile(backend=backend)
