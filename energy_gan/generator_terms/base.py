"""The contract of what teaches the generator besides the energy: quantities to be raised.

    L_G = E_z[E(G(z))] − entropy_weight · H − likelihood_weight · E_{y ~ P_energy}[log q(y)]

The first two (Eq. 13) are KL(P_generator ‖ P_energy) but for log Z; the third is KL(P_energy ‖ P_generator)
but for the energy's own entropy.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import nn

from energy_gan.generators.base import Draw, Generator
from energy_gan.negatives.base import Negatives
from energy_gan.shapes import Points, Scalar


class GeneratorTerm(nn.Module, ABC):
    """A quantity in nats that the generator is to raise: an entropy, a likelihood, a bound on one."""

    @abstractmethod
    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        """The term, differentiable in the generator's weights.

        Args:
            draw: the generator's batch.
            negatives: those of the energy's last move, with their energies; None before there was one.
        """

    def learning_terms(self, draw: Draw, x: Points) -> Mapping[str, Scalar]:
        """The named losses of the term's own network, for a term that learns one.

        Args:
            draw: the generator's batch, detached.
            x: the batch of data.
        """
        return {}
