"""An energy in the units of its chains: what a paper calls an energy, divided by its walk's temperature."""

import math

from torch import nn

from energy_gan.energies.base import Energy, stated
from energy_gan.shapes import Energies, Points


class Tempered(Energy):
    """E(x) = F(x) / T.

    A paper whose chains take the steps x ← x − a ∇F(x) + b ξ samples exp(−F(x) / T) with T = b² / 2a, however
    long they run: they are Langevin's at temperature one for this E, of step size ε = b² / 2. All that is
    reported, energies, histograms and likelihoods, is then of E.

    Args:
        energy: F, any module from (B, *shape) to (B,).
        temperature: T, positive.
    """

    def __init__(self, energy: nn.Module, temperature: float):
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature must be a positive number, got {temperature}")
        self.energy, self.temperature = energy, temperature

    @property
    def integrable(self) -> bool:
        return stated(self.energy, "integrable")

    @property
    def classes(self) -> nn.Module | None:
        """Those of F: p(y | x) is the same at any temperature of the walk in x."""
        return stated(self.energy, "classes")

    @property
    def features(self) -> nn.Module | None:
        """What F is made of."""
        return stated(self.energy, "features")

    def forward(self, x: Points) -> Energies:
        return self.energy(x) / self.temperature
