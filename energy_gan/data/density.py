"""The contract of a law whose density is known exactly: what a data set of the plane must tell.

Everything is in the data's own units. A density knows no training, no network and no file.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Density(ABC):
    """A law p on R^D that can be sampled and evaluated.

    Attributes:
        low, high: corners, shape (D,), of a box that holds all but 1e-6 of the mass.
        smallest_std: the smallest standard deviation (or width) of any detail. Cells of half
            this size resolve the density.
        mode_shares: the true share, shape (M,), of each mode that `modes` tells apart.
    """

    low: Float[Tensor, "D"]
    high: Float[Tensor, "D"]
    smallest_std: float
    mode_shares: Float[Tensor, "M"]

    @abstractmethod
    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n D"]:
        """Draw n independent points."""

    @abstractmethod
    def log_prob(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        """log p(x), normalised; −inf where p is 0."""

    @abstractmethod
    def modes(self, x: Float[Tensor, "B D"]) -> Int[Tensor, "B"]:
        """The mode, 0 … M − 1, that each point belongs to (every point belongs to one)."""
