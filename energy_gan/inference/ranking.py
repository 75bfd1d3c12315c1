"""How unlikely a point is by its inferred latent: −log p(x, z⁺), and its parts; or the energy of the pair.

They claim no density: z⁺ is one of all z, and an energy prior's normaliser is unknown.

Reference: Learning Latent Space Energy-Based Prior Model (Pang et al., 2020),
https://arxiv.org/abs/2006.08205, section 4.4.
"""

from typing import NamedTuple

import torch

from energy_gan.energies.pairs import PairEnergy
from energy_gan.generators.base import Generator
from energy_gan.inference.base import Inference
from energy_gan.shapes import Energies, Points


class Parts(NamedTuple):
    """Of −log p(x, z⁺), a number for each point."""

    joint: Energies
    reconstruction: Energies  # −log p(x | z⁺)
    prior: Energies  # −log p(z⁺), of an energy prior up to its normaliser
    tilt: Energies  # U(z⁺), minus the prior's log ratio to N(0, I)


class JointRanking:
    """x ↦ −log p(x, z⁺). High is unlikely."""

    def __init__(self, generator: Generator, inference: Inference):
        self.generator, self.inference = generator, inference

    def __call__(self, x: Points) -> Energies:
        return self.parts(x).joint

    @torch.no_grad()
    def parts(self, x: Points) -> Parts:
        """The ranking and what it is made of."""
        latent, prior = self.inference(self.generator, x).latent, self.generator.prior
        reconstruction, of_prior = -self.generator.log_likelihood(x, latent), -prior.log_prob(latent)
        return Parts(reconstruction + of_prior, reconstruction, of_prior, prior.tilt(latent))


class PairRanking:
    """x ↦ E(x, z⁺). High is unlikely."""

    def __init__(self, energy: PairEnergy, generator: Generator, inference: Inference):
        self.energy, self.generator, self.inference = energy, generator, inference

    @torch.no_grad()
    def __call__(self, x: Points) -> Energies:
        return self.energy(x, self.inference(self.generator, x).latent)
