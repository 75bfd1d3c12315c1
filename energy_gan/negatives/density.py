"""Negatives of a generator whose density is known exactly."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from energy_gan.energies.base import stated
from energy_gan.generators.base import Draw, Generator
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.shapes import Energies, Points


class DensityNegatives(NegativeSampler):
    """x⁻ ~ q with the weights 1/q, so that log Z ≈ log 1/n Σ exp(−E(xᵢ)) / q(xᵢ), and q at hand elsewhere."""

    needs_generator = True

    @torch.no_grad()
    def forward(self, energy: Callable[[Points], Energies], draw: Draw, x: Points) -> Negatives:
        log_densities = draw.log_prob(draw.samples)
        return Negatives(
            draw.samples, -log_densities - math.log(len(log_densities)), log_density=draw.log_prob
        )


class NoNegatives(NegativeSampler):
    """One point that nobody looks at, for an energy that is normalised by construction: that of a flow."""

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None, x: Points) -> Negatives:
        return Negatives(torch.zeros(1, *self.shape))

    def generator(self, energy: nn.Module, shape: Sequence[int]) -> Generator | None:
        return stated(energy, "flow")
