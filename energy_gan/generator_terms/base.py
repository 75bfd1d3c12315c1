"""The contract of what teaches the generator besides the energy: quantities to be raised.

    L_G = E_z[E(G(z))] − Σ weight · term

With the generator's entropy H as a term (Eq. 13) that is KL(P_generator ‖ P_energy) but for log Z; the term
E_{y ~ P_energy}[log q(y)] is −KL(P_energy ‖ P_generator) but for the energy's own entropy.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import nn

from energy_gan.generators.base import Draw, Generator
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Energies, Negatives, Points, Scalar


class GeneratorTerm(nn.Module, ABC):
    """A quantity in nats that the generator is to raise: an entropy, a likelihood, a bound on one.

    Args:
        weight: of it in the generator's loss, not negative.
        learns: how the term's own network learns, for a term that has one.
    """

    needs_negatives = False  # whether it is of the energy's own samples
    needs_rows = False  # whether each of these has to come from the same row of the generator's batch

    def __init__(self, weight: float = 1.0, learns: Learns | None = None):
        super().__init__()
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight must be a number of at least 0, got {weight}")
        self.weight, self.learns = weight, learns

    @abstractmethod
    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        """The term, differentiable in the generator's weights.

        Args:
            draw: the generator's batch.
            negatives: what `learns_from` gave of those of the energy's last move, with their energies; None
                before there was one.
        """

    def learns_from(
        self, energy: Callable[[Points], Energies], draw: Draw, negatives: Negatives | None
    ) -> Negatives | None:
        """The negatives that the term is of: the energy's, for a term that makes none of its own."""
        return negatives

    def learning_terms(self, draw: Draw, x: Points) -> Mapping[str, Scalar]:
        """The named losses of the term's own network, for a term that learns one.

        Args:
            draw: the generator's batch, detached.
            x: the batch of data.
        """
        return {}
