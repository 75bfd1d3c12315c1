"""A mixture of Gaussians that another law tilts, each component with a normaliser of its own.

    p(y) = Σₖ πₖ qₖ(y) e^{−a g(y)} / Zₖ,    g = E + log Σₖ πₖ qₖ,    Zₖ = ∫ qₖ(y) e^{−a g(y)} dy

With one normaliser for all it would be q^{1 − a} e^{−a E}, and images of few strokes, of which q and E say
nearly the same, would take almost all of the mass: Zₖ of some components is e³⁰ times that of others. With
their own, components keep the shares that they have of the data, as maximum likelihood wants it.

log Zₖ is found by annealing from each component, after E has learned; what that misses is left to log Z of
the whole.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

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

    def __init__(self, mixture: NoisedMixture, strength: float, chains: int = 8, temperatures: int = 400):
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
        joint = self.mixture.at(sigma).joint(y)
        tilt = self.strength * (energies + joint.logsumexp(1))
        return tilt - (joint - self.log_normalizers).logsumexp(1)

    def balance(self, energy: Callable[[Points], Energies], sigma: float) -> None:
        """Find log Zₖ; `energy` is E.

        Each of the chains stays with its component, along whose axes it moves far (`NoisedMixture.moved`).
        """
        base = _Each(self.mixture, sigma, self.chains)
        begin = self.log_normalizers.repeat_interleave(self.chains)  # only how many there are

        def tilted(y: Points) -> Energies:
            joint = base.joint(y)
            return base.of_own(joint) + self.strength * (energy(y) + joint.logsumexp(1))

        found = anneal(tilted, begin, self.temperatures, base=base, power=1.0)
        log_mean = found.log_weights.view(-1, self.chains).logsumexp(1) - math.log(self.chains)
        self.log_normalizers.copy_(log_mean)
        self.balanced.fill_(True)


class _Each(OneLevel):
    """−log qₖ of as many points of each component, one component after the other."""

    def __init__(self, mixture: NoisedMixture, sigma: float, n: int):
        super().__init__(mixture, sigma)
        self.component = torch.arange(len(mixture.means)).repeat_interleave(n).to(mixture.means.device)

    def of_own(self, joint: Float[Tensor, "B K"]) -> Energies:
        own = (self.mixture.log_weights - joint).gather(1, self.component[:, None])
        return own[:, 0]

    def forward(self, x: Points) -> Energies:
        return self.of_own(self.joint(x))

    def sample(self, n: int, rng: torch.Generator | None = None) -> Points:
        return self._move(self.mixture.means[self.component].view(-1, *self.mixture.shape), 1.0, rng)

    def _move(self, y: Points, size: float, rng: torch.Generator | None) -> Points:
        return self.mixture.moved(y, self.component, self.sigma, size, rng)
