"""The contract of the negative samples: where x⁻ comes from, and how it is weighted (Eq. 12)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from energy_gan.generators.base import Draw
from energy_gan.shapes import Energies, Points, Scalar


class Negatives(NamedTuple):
    """Samples that stand for the energy's own law in the negative phase.

    With `log_weights`, log Z ≈ logsumexp(log_weights − E(samples)); without, the samples count
    equally and log Z stays unknown. `energies` are E(samples) where they have been computed.
    """

    samples: Points
    log_weights: Energies | None = None
    energies: Energies | None = None

    @property
    def mean_energy(self) -> Scalar:
        """The mean of E under the law that the negatives stand for: Σ pᵢ E(xᵢ), p = softmax(w − E)."""
        if self.log_weights is None:
            return self.energies.mean()
        return (self.log_weights - self.energies).softmax(0) @ self.energies


class NegativeSampler(nn.Module, ABC):
    """A source of negatives. What it must remember goes into buffers, and so into checkpoints."""

    @abstractmethod
    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None) -> Negatives:
        """Negatives without a graph, from the generator's batch or from elsewhere."""
