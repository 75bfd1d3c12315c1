"""The samples of stacked densities as a generator: one number chooses the member, normal noise the place."""

import torch

from energy_gan.energies.stacked import Stack
from energy_gan.generators.base import Generator
from energy_gan.generators.output_noise import Scale
from energy_gan.generators.priors import NormalPrior
from energy_gan.shapes import Energies, Latents, Points


class StackedGenerator(Generator):
    """x ~ exp(−E(x)), exactly, of a stack that is the energy and learns as such: no weights of its own.

    The first of the latents, z₀ ~ N(0, 1), chooses the member by Φ(z₀).

    Args:
        stack: E.
    """

    knows_density = is_energy_s = True

    def __init__(self, stack: Stack):
        super().__init__(stack, NormalPrior(1 + stack.dim))
        self.training = stack.training

    def moments(self, latent: Latents) -> tuple[Points, Scale | None]:
        return self.network.at(torch.special.ndtr(latent[:, 0]), latent[:, 1:]), None

    def log_prob(self, x: Points) -> Energies:
        return -self.network(x)
