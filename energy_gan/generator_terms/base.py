"""The contract of what teaches the generator besides the energy: a quantity to be raised.

L_G = E_z[E(G(z))] − entropy_weight · term                                        (Eq. 13)
"""

from abc import ABC, abstractmethod

from torch import nn

from energy_gan.generators.base import Draw, Generator
from energy_gan.shapes import Scalar


class GeneratorTerm(nn.Module, ABC):
    """An estimate of the entropy of P_generator, or a bound on it, in nats."""

    @abstractmethod
    def forward(self, generator: Generator, draw: Draw) -> Scalar:
        """The term, differentiable in the generator's weights."""
