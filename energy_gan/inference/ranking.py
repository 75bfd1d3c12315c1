"""How unlikely a point is by its inferred latent: −log p(x, z⁺), and its parts; or the energy of the pair.

They claim no density: z⁺ is one of all z, and an energy prior's normaliser is unknown.

Reference: Learning Latent Space Energy-Based Prior Model (Pang et al., 2020),
https://arxiv.org/abs/2006.08205, section 4.4.
"""

from abc import ABC, abstractmethod

import torch

from energy_gan.energies.pairs import PairEnergy
from energy_gan.generators.base import Generator
from energy_gan.inference.base import Inference
from energy_gan.shapes import Energies, Points


class Ranking(ABC):
    """x ↦ a number that is high where x is unlikely. A subclass gives `scores`."""

    @abstractmethod
    def scores(self, x: Points) -> dict[str, Energies]:
        """By name: the ranking first, then what it is made of, each of which ranks too."""

    def __call__(self, x: Points) -> Energies:
        return next(iter(self.scores(x).values()))


class JointRanking(Ranking):
    """−log p(x, z⁺), −log p(x | z⁺), −log p(z⁺) and U(z⁺), minus the prior's log ratio to N(0, I)."""

    def __init__(self, generator: Generator, inference: Inference):
        self.generator, self.inference = generator, inference

    @torch.no_grad()
    def scores(self, x: Points) -> dict[str, Energies]:
        latent, prior = self.inference(self.generator, x).latent, self.generator.prior
        of_x, of_latent = -self.generator.log_likelihood(x, latent), -prior.log_prob(latent)
        found = {"−log p(x, z)": of_x + of_latent, "−log p(x | z)": of_x, "−log p(z)": of_latent}
        return found | ({"U(z)": prior.tilt(latent)} if prior.tilted else {})


class PairRanking(Ranking):
    """E(x, z⁺)."""

    def __init__(self, energy: PairEnergy, generator: Generator, inference: Inference):
        self.energy, self.generator, self.inference = energy, generator, inference

    @torch.no_grad()
    def scores(self, x: Points) -> dict[str, Energies]:
        return {"E(x, z)": self.energy(x, self.inference(self.generator, x).latent)}
