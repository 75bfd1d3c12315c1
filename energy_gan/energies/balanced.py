"""A mixture of Gaussians that another law tilts, each component with a normaliser of its own.

    p(y) = Σₖ πₖ qₖ(y) e^{−a g(y)} / Zₖ,    g = E + log Σₖ πₖ qₖ,    Zₖ = ∫ qₖ(y) e^{−a g(y)} dy

With one normaliser for all it would be q^{1 − a} e^{−a E}, and images of few strokes, of which q and E say
nearly the same, would take almost all of the mass: Zₖ of some components is e³⁰ times that of others. With
their own, components keep the shares that they have of the data, as maximum likelihood wants it.

log Zₖ is found by annealing from each component, after E has learned. What a short annealing misses is much
the same in all of them, and is left to log Z of the whole.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from energy_gan.energies.noised_mixture import NoisedMixture, OneLevel
from energy_gan.samplers.annealed_importance import anneal
from energy_gan.shapes import Energies, Points


class BalancedMixture(nn.Module):
    """−log p(y) − log Z, from E(y) and y.

    Args:
        mixture: q, finer than what E was made of.
        strength: a, above 0 and below 1.
        chains: of each component, from which log Zₖ is found.
        temperatures: of their annealing.
    """

    def __init__(self, mixture: NoisedMixture, strength: float, chains: int = 8, temperatures: int = 130):
        super().__init__()
        if not 0 < strength < 1:
            raise ValueError(f"strength must be above 0 and below 1, got {strength}")
        if chains < 1 or temperatures < 1:
            raise ValueError(f"chains and temperatures must be at least 1, got {chains}, {temperatures}")
        self.mixture, self.strength = mixture, strength
        self.chains, self.temperatures = chains, temperatures
        self.register_buffer("log_normalizers", torch.zeros(len(mixture.means)))
        self.register_buffer("balanced", torch.tensor(False))

    def forward(self, energies: Energies, y: Points, sigma: float) -> Energies:
        """Args: energies: E(y)."""
        joint = self.mixture.joint(y, y.new_full((len(y),), math.log(sigma)))
        tilt = self.strength * (energies + joint.logsumexp(1))
        return tilt - (joint - self.log_normalizers).logsumexp(1)

    def balance(self, energy: Callable[[Points], Energies], sigma: float) -> None:
        """Find log Zₖ, of this energy of points."""
        self.log_normalizers.zero_()
        begin = self.log_normalizers.repeat_interleave(self.chains)  # only how many there are
        found = anneal(energy, begin, self.temperatures, base=_Each(self.mixture, sigma))
        self.log_normalizers.copy_(found.log_weights.view(-1, self.chains).mean(1))
        self.balanced.fill_(True)


class _Each(OneLevel):
    """−log q, whose samples are as many from each component, one after the other."""

    def sample(self, n: int, rng: torch.Generator | None = None) -> Points:
        return self.mixture.of_each(n // len(self.mixture.means), self.sigma, rng)
