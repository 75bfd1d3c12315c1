"""The contract of the negative samples: where x⁻ comes from, and how it is weighted (Eq. 12)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from energy_gan.generators.base import Draw
from energy_gan.shapes import Energies, Points


class Negatives(NamedTuple):
    """Samples that stand for the energy's own law in the negative phase.

    With `log_weights`, log Z ≈ logsumexp(log_weights − E(samples)); without, the samples count
    equally and log Z stays unknown.
    """

    samples: Points
    log_weights: Energies | None = None


class NegativeSampler(nn.Module, ABC):
    """A source of negatives. What it must remember goes into buffers, and so into checkpoints."""

    @abstractmethod
    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None) -> Negatives:
        """Negatives without a graph, from the generator's batch or from elsewhere."""
