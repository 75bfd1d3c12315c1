"""The contract of inference: latents z for points x, as a generator would have made x from them."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.shapes import Energies, Latents, Points


class Inferred(NamedTuple):
    """A latent for each point."""

    latent: Latents
    log_prob: Energies | None = None  # log r(z | x) of the law that it was drawn from, where that is known


class Inference(nn.Module, ABC):
    """z ~ r(z | x), near p(z | x) ∝ p(x | z) p(z). A subclass gives `forward`."""

    def free(self) -> "Inference | None":
        """The same without regard to p(z), so that z may be where it is 0; None if there is no such."""
        return None

    @abstractmethod
    def forward(self, generator: Generator, x: Points, start: Latents | None = None) -> Inferred:
        """One z for each x.

        Args:
            generator: p(x | z) and p(z); a network that has learned r does not ask it.
            start: where chains begin; the part's own choice if None.
        """
