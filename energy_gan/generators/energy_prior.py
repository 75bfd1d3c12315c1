"""A prior over z that is an energy: a normal law, tilted by what the data's latents are like.

    p(z) = exp(−U(z)) N(z; 0, I) / Z,    V(z) = U(z) − log N(z; 0, I) = −log p(z) − log Z

Z is E[exp(−U(z))] over z ~ N(0, I). Chains of the prior and of a posterior both walk on V: without its
quadratic part z would wander off.

Reference: Learning Latent Space Energy-Based Prior Model (Pang et al., 2020),
https://arxiv.org/abs/2006.08205, equation 3.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.energies.base import stated
from energy_gan.energies.classes import OneClass
from energy_gan.errors import InputError
from energy_gan.generators.priors import NormalPrior, Prior
from energy_gan.samplers.chains import Chains
from energy_gan.shapes import Energies, Latents

AT_ONCE = 16_384  # chains that move together


class EnergyPrior(Prior):
    """p(z) ∝ exp(−U(z)) N(z; 0, I), sampled by chains that begin at N(0, I).

    Chains that persist between training steps are the method's negatives.

    Args:
        energy: U, any module from (B, latent_dim) to (B,).
        latent_dim: numbers in a latent.
        chains: that make a sample. Few steps of Langevin make a law of their own, which the energy then
            depends on: give those that it was trained with, or enough of a kernel that is exact.
    """

    tilted = True

    def __init__(self, energy: nn.Module, latent_dim: int, chains: Chains):
        super().__init__(latent_dim)
        self.energy, self.base, self.chains = energy, NormalPrior(latent_dim), chains
        with torch.no_grad():
            given = tuple(energy(torch.zeros(2, latent_dim)).shape)
        if given != (2,):
            raise ValueError(
                f"the prior's energy must give one number a latent, of shape (2,) here, got {given}"
            )

    def log_prob(self, latent: Latents) -> Energies:
        """log p(z) + log Z = −V(z)."""
        return self.base.log_prob(latent) - self.energy(latent)

    def tilt(self, latent: Latents) -> Energies:
        return self.energy(latent)

    def potential(self, latent: Latents) -> Energies:
        """V(z)."""
        return -self.log_prob(latent)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Latents:
        start = self.base.sample(n, rng, device)
        own = next(self.energy.parameters(), start).device
        ends = [self.chains.run(self.potential, z.to(own), rng).state.x for z in start.split(AT_ONCE)]
        return torch.cat(ends).to(device)

    def of_class(self, number: int) -> "EnergyPrior":
        """p(z | y) ∝ exp(f_y(z)) N(z; 0, I), where the energy has classes f; the same weights."""
        return EnergyPrior(OneClass(stated(self.energy, "classes"), number), self.latent_dim, self.chains)

    def interpolate(self, first: Latents, last: Latents, t: Float[Tensor, "T"]) -> Float[Tensor, "B T L"]:
        """As under N(0, I)."""
        return self.base.interpolate(first, last, t)

    def from_uniform(self, u: Float[Tensor, "B K"]) -> Latents:
        raise InputError("a prior that is an energy has no map from uniform numbers: give draws.spread=false")

    @torch.no_grad()
    def log_weights(self, n: int, rng: torch.Generator | None = None) -> Energies:
        """log exp(−U(zᵢ)) / n, zᵢ ~ N(0, I): the weights that make these latents the prior's, Σ w ≈ Z.

        The logarithm of the sum is below log Z on average, and close in few dimensions: see their `ess`.
        """
        own = next(self.energy.parameters(), torch.empty(0)).device
        parts = [self.energy(z.to(own)) for z in self.base.sample(n, rng).split(AT_ONCE)]
        return -torch.cat(parts) - math.log(n)
