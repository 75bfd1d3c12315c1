"""Integrals over the plane by the midpoint rule, on a grid of two resolutions.

    Z = ∫ exp(−E(x)) dx ≈ Σ_c exp(−E(x_c)) a_c        x_c, a_c: centre and area of cell c

The plane is laid out in equal blocks. The inner box, which holds the data, is divided further,
each block into equal fine cells. The blocks of the ring around it stay whole, one coarse cell
each, out to `reach` times the half-width of the box: too coarse to draw an energy, they tell how
much of its mass lies where no data is. For an integrand that is smooth on the scale of the cells
and fades out within the box the rule converges faster than any power of their size: with cells of
half a standard deviation the Z of a Gaussian is exact to rounding.
"""

from collections.abc import Callable, Sequence
from math import prod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from energy_gan.errors import InputError


def evaluate(function: Callable[[Tensor], Tensor], x: Float[Tensor, "N *S"], chunk: int = 16_384):
    """function(x) in double precision, without gradients, in chunks that bound the memory."""
    with torch.no_grad():
        return torch.cat([function(part).to(x.device, torch.float64) for part in x.split(chunk)])


class Grid:
    """Cells that cover a box of the plane finely and its surroundings coarsely.

    The fine cells come first, row by row, so `values[grid.inner].view(grid.shape)` is a picture
    of the inner box: x grows with the first index, y with the second.

    Args:
        low, high: corners of the inner box.
        blocks: in the inner box, along x and along y.
        cells_per_block: fine cells along each side of an inner block, for x and for y.
        reach: how far the ring goes, in half-widths of the box; it ends with a whole block.

    Attributes:
        shape: number of fine cells along x and along y.
        inner: whether the cell belongs to the inner box.
        sizes: the sides of each cell, (N, 2).
        blocks: the number of the block that each cell is in, 0 … n_blocks − 1.
    """

    centres: Float[Tensor, "N 2"]
    sizes: Float[Tensor, "N 2"]
    log_areas: Float[Tensor, "N"]
    inner: Bool[Tensor, "N"]
    blocks: Int[Tensor, "N"]

    def __init__(
        self,
        low: Float[Tensor, "2"],
        high: Float[Tensor, "2"],
        blocks: Sequence[int] = (32, 32),
        cells_per_block: Sequence[int] = (8, 8),
        reach: float = 5.0,
    ):
        if not (low < high).all():
            raise ValueError(f"the box has no area: low={low.tolist()}, high={high.tolist()}")
        self.low, self.high = low.double(), high.double()
        self.shape = tuple(n * k for n, k in zip(blocks, cells_per_block, strict=True))
        blocks, fine = low.new_tensor(blocks).double(), low.new_tensor(self.shape).double()
        self._cell, self._block = (self.high - self.low) / fine, (self.high - self.low) / blocks

        ring = (blocks * (reach - 1) / 2).ceil()
        self._outer_low, self._outer_high = self.low - ring * self._block, self.high + ring * self._block
        self._outer_shape = tuple(int(n) for n in blocks + 2 * ring)
        self.n_blocks = prod(self._outer_shape)

        cells = self.low + (_lattice(self.shape, low.device) + 0.5) * self._cell
        place = _lattice(self._outer_shape, low.device)
        in_ring = ((place < ring) | (place >= ring + blocks)).any(dim=1)
        ring_cells = self._outer_low + (place[in_ring] + 0.5) * self._block
        self.centres = torch.cat([cells, ring_cells]).float()
        self.sizes = torch.cat([self._cell.expand_as(cells), self._block.expand_as(ring_cells)]).float()
        self.log_areas = self.sizes.double().log().sum(dim=1).float()
        self.inner = torch.arange(len(self.centres), device=low.device) < len(cells)

        self.blocks = self._number(self.centres, self._outer_low, self._block, self._outer_shape)
        # of each block the number of its one cell; an inner block has more, and −1 here
        self._ring_cell = torch.full((self.n_blocks,), -1, device=low.device)
        self._ring_cell[self.blocks[~self.inner]] = torch.arange(len(cells), len(self), device=low.device)

    @classmethod
    def covering(
        cls,
        low: Float[Tensor, "2"],
        high: Float[Tensor, "2"],
        smallest_std: float,
        max_cells: int = 4_000_000,
        reach: float = 5.0,
    ) -> "Grid":
        """The grid for a density whose finest detail is known: cells of at most smallest_std / 2.

        Args:
            max_cells: the most fine cells that are allowed. InputError where more are needed.
        """
        needed = 2 * (high - low) / smallest_std  # cells along x and y
        if not needed.prod() <= max_cells:
            possible = 2 * ((high - low).prod() / max_cells).sqrt()
            raise InputError(
                f"smallest_std={smallest_std:.3g} over a box of {high[0] - low[0]:.3g} x "
                f"{high[1] - low[1]:.3g} asks for {needed.prod():.3g} cells, over max_cells={max_cells}: "
                f"give a smallest_std of at least {possible:.3g}, a smaller box or more cells"
            )
        blocks = (32 * needed / needed.max()).ceil()
        per_block = (needed / blocks).ceil().clamp(min=4)  # a wide density still deserves a picture
        return cls(low, high, blocks.int().tolist(), per_block.int().tolist(), reach)

    @classmethod
    def around(cls, points: Float[Tensor, "N 2"]) -> "Grid":
        """The grid for points of unknown density: 256 × 256 cells on a box that is half as wide again as
        the middle 99.8 % of the points, along each axis.
        """
        low, high = points.quantile(points.new_tensor([0.001, 0.999]), dim=0)
        margin = torch.where(high > low, (high - low) / 4, 1.0)
        return cls(low - margin, high + margin)

    def __len__(self) -> int:
        return len(self.centres)

    def locate(self, x: Float[Tensor, "B 2"]) -> Int[Tensor, "B"]:
        """The number of the cell that each point is in; −1 beyond the ring, and for NaN."""
        ring = self._ring_cell[self._number(x, self._outer_low, self._block, self._outer_shape)]
        cell = torch.where(ring < 0, self._number(x, self.low, self._cell, self.shape), ring)
        within = ((x >= self._outer_low) & (x < self._outer_high)).all(dim=1)
        return torch.where(within, cell, -1)

    def log_weights(self, log_density: Callable[[Tensor], Tensor]) -> Float[Tensor, "N"]:
        """log(p(x_c) a_c) of each cell, for a density that need not be normalised."""
        return evaluate(log_density, self.centres) + self.log_areas

    def log_masses(self, log_density: Callable[[Tensor], Tensor]) -> Float[Tensor, "N"]:
        """The log mass of each cell; the masses sum to 1."""
        return self.log_weights(log_density).log_softmax(dim=0)

    def log_normalizer(self, energy: Callable[[Tensor], Tensor]) -> Float[Tensor, ""]:
        """log Z = log Σ_c exp(−E(x_c)) a_c."""
        return self.log_weights(lambda x: -energy(x)).logsumexp(dim=0)

    def block_sums(self, values: Float[Tensor, "N"]) -> Float[Tensor, "K"]:
        """The sums of the cells' values over each block."""
        return values.new_zeros(self.n_blocks).index_add_(0, self.blocks, values)

    @staticmethod
    def _number(x: Tensor, low: Tensor, size: Tensor, shape: tuple[int, ...]) -> Int[Tensor, "B"]:
        """The number, row by row, of the cell nearest to each point in a lattice of equal cells."""
        last = low.new_tensor(shape) - 1
        row, column = ((x - low) / size).nan_to_num().clamp(low.new_zeros(2), last).long().unbind(dim=1)
        return row * shape[1] + column


def _lattice(shape: tuple[int, ...], device: torch.device) -> Float[Tensor, "N 2"]:
    """The places (i, j) of a lattice, row by row."""
    return torch.cartesian_prod(*(torch.arange(n, device=device, dtype=torch.float64) for n in shape))
