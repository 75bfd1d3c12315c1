"""The contract of inference: latents z for points x, as a generator would have made x from them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.shapes import Energies, Latents, Points, Scalar


class Inferred(NamedTuple):
    """A latent for each point."""

    latent: Latents
    log_prob: Energies | None = None  # log r(z | x) of the law that it was drawn from, where that is known


OfLatent = Callable[[Latents], Mapping[str, Scalar]]


class Inference(nn.Module, ABC):
    """z ~ r(z | x), near p(z | x) ∝ p(x | z) p(z). A subclass gives `forward`."""

    def free(self) -> "Inference | None":
        """The same without regard to p(z), so that z may be where it is 0; None if there is no such."""
        return None

    @abstractmethod
    def forward(self, generator: Generator, x: Points, start: Latents | None = None) -> Inferred:
        """One z for each x; in evaluation the centre of r, where it has one.

        Args:
            generator: p(x | z) and p(z); a network that has learned r does not ask it.
            start: where chains begin; the part's own choice if None.
        """

    def proposal(self, x: Points) -> tuple[Latents, Latents] | None:
        """μ(x) and log σ(x) of a normal law near p(z | x), to draw from where z is weighted; None if none."""
        return None

    def learning_terms(
        self, generator: Generator, x: Points, latent: Latents, besides: OfLatent | None = None
    ) -> Mapping[str, Scalar]:
        """The named losses of the part's own network, where it has one that methods let learn beside chains.

        Args:
            latent: what was inferred of x in this step, detached.
            besides: more of them, of the latents that the network draws itself.
        """
        return {}

    def chains(
        self, generator: Generator, x: Points, latent: Latents, rng: torch.Generator
    ) -> dict[str, float]:
        """How its chains go at these latents, none of which is moved: "chains_acceptance",
        "chains_step_size"; {} where it has none.
        """
        return {}
