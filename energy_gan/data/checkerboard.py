"""The uniform law on every other square of a board."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.data.density import Density
from energy_gan.data.exact import in_float64, require_positive

CELLS = 32  # across a square, on the grid that smallest_std asks for
INSIDE = 1 - 2**-20  # samples keep off the edges, or rounding to float32 could put them outside


class Checkerboard(Density):
    """p(x) = 2 / (squares · side)² on the squares (i, j) of the board with i + j even, else 0.

    The density jumps, so it has no smallest standard deviation. Instead `low` and `high` leave one
    empty square around the board and `smallest_std` is side / 16: a grid of cells half that size on
    this box has its lines on the edges of the squares, and then midpoints integrate p exactly.
    A point's mode is the nearest filled square.

    Reference: FFJORD (Grathwohl et al., 2019), https://arxiv.org/abs/1810.01367. Its code has
    4 × 4 squares of side 2. A narrow setting is squares=8, side=0.4375.

    Args:
        squares: on each side of the board, even.
        side: of a square, in the data's own units; 0.875 gives a standard deviation of 1.01, and
            like every multiple of a power of 1/2 it has edges that floating point hits exactly.
    """

    def __init__(self, squares: int = 4, side: float = 0.875):
        if squares < 2 or squares % 2:
            raise ValueError(f"squares must be even and at least 2, got {squares}")
        require_positive(side=side)
        self.side = side
        indices = [(i, j) for i in range(squares) for j in range(squares) if (i + j) % 2 == 0]
        self.centres = (torch.tensor(indices).double() - (squares - 1) / 2) * side
        self.high = torch.full((2,), (squares / 2 + 1) * side)
        self.low = -self.high
        self.smallest_std = 2 * side / CELLS * (1 + 1e-6)  # or rounding could ask for one cell more
        self.mode_shares = torch.full((len(indices),), 1 / len(indices))

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        square = torch.randint(len(self.centres), (n,), generator=rng)
        offset = torch.rand(n, 2, generator=rng, dtype=torch.float64) - 0.5
        return (self.centres[square] + self.side * INSIDE * offset).float()

    def log_prob(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        distance = in_float64(lambda x: self._distances(x).amin(1), x, self.centres.numel())
        height = -math.log(len(self.centres) * self.side**2)
        log_prob = torch.full_like(distance, height).masked_fill(distance > self.side / 2, -math.inf)
        return log_prob.to(x.dtype)

    def modes(self, x: Float[Tensor, "B 2"]) -> Int[Tensor, "B"]:
        return in_float64(lambda x: self._distances(x).argmin(1), x, self.centres.numel())

    def _distances(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B M"]:
        """max(|x₁ − m₁|, |x₂ − m₂|) to the centre m of each filled square."""
        return (x[:, None] - self.centres).abs().amax(2)
