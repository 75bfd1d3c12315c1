"""Negatives straight from the generator, the paper's proposal."""

from collections.abc import Callable

from energy_gan.generators.base import Draw
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.shapes import Energies, Points


class GeneratorNegatives(NegativeSampler):
    """x⁻ = G(z): the generator stands in for the energy's own law (Eq. 12)."""

    needs_generator = True
    keeps_rows = True

    def forward(self, energy: Callable[[Points], Energies], draw: Draw, x: Points) -> Negatives:
        return Negatives(draw.samples.detach())
