"""Negatives from everywhere, weighted by quadrature: exact maximum likelihood in the plane."""

from collections.abc import Callable

import torch

from energy_gan.generators.base import Draw
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.numerics.quadrature import Grid
from energy_gan.shapes import Energies, Points


class GridNegatives(NegativeSampler):
    """The cells of a grid with their areas as weights, so that log Z is integrated (Eq. 6 itself).

        log Z ≈ log Σ_c exp(−E(x_c)) a_c

    The lattice is moved by a new random offset in every step: over many steps no detail of the
    energy hides between its points, so the cells may be coarser than the finest detail.

    Args:
        half_width: of the square that is covered finely, in standardised units.
        cells: along each side of the square, a multiple of 8.
        reach: the square's surroundings, in cells eight times as wide, go out to this many
            half-widths, at least 1.
    """

    def __init__(self, half_width: float = 4.0, cells: int = 96, reach: float = 2.0):
        super().__init__()
        if not half_width > 0 or not reach >= 1:
            raise ValueError(
                f"half_width must be positive and reach at least 1, got {half_width} and {reach}"
            )
        if cells < 8 or cells % 8:
            raise ValueError(f"cells must be a positive multiple of 8, got {cells}")
        corner = torch.full((2,), float(half_width))
        grid = Grid(-corner, corner, (cells // 8, cells // 8), (8, 8), reach)
        self.register_buffer("centres", grid.centres, persistent=False)
        self.register_buffer("sizes", grid.sizes, persistent=False)
        self.register_buffer("log_areas", grid.log_areas, persistent=False)

    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None, x: Points) -> Negatives:
        offset = torch.rand(2, device=self.sizes.device) - 0.5
        return Negatives(self.centres + offset * self.sizes, self.log_areas)
