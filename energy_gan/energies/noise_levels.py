"""An energy over noise levels: one function of y and σ, normalised along the ladder.

    E(y, σ) = −log p₀(y, σ) + f(y − m, log σ) / (σ c),    c = (σ² + ¼)^−½,    y = x + σ ε

p₀ is a mixture noised exactly, m its mean, f a network of what the mixture has wrong. Where E is right at
all levels it obeys the heat equation, and at great σ the mixture is right by itself: log Z(σ) is then 0
throughout. Both derivatives have targets that are known for each pair of x and ε (`dual_score_matching`):

    σ ∂E/∂y ≈ ε,    ∂E/∂log σ ≈ D − ‖ε‖²

in the mean given y. The first is what denoising learns, the second ties the levels' normalisers to each
other.

As an energy of points it answers at σ₀. Score matching knows E where data with noise are. Elsewhere E(·, σ₀)
has wells, in which chains sink and with which nobody knows log Z. A density whose log Z can be found is
made of it with a finer mixture, which it tilts a little: `energies/balanced.py`.

Reference: Learning normalized image densities via dual score matching (Guth, Kadkhodaie & Simoncelli, 2025),
https://arxiv.org/abs/2506.05310.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from energy_gan.energies.balanced import BalancedMixture
from energy_gan.energies.base import Base, Energy
from energy_gan.energies.level_networks import level_scale
from energy_gan.energies.noised_mixture import NoisedMixture
from energy_gan.nn import widened
from energy_gan.samplers.base import per_chain
from energy_gan.shapes import Energies, Points, Scalar

Ladder = Callable[[Points, Energies], Energies]  # (y, log σ), row by row


class NoiseLevels(Energy):
    """E(y, σ); called with points alone, the density at σ₀.

    Args:
        mixture: p₀.
        network: f, any module from (y, log σ) to (B,).
        noise: σ₀, positive: pixels that never vary have no density without noise.
        low, high: the ends of the ladder that is trained, low at most σ₀ and high above it.
        density: what `forward` answers with; None is E(·, σ₀) itself.
        power: of σ, in how much a level counts.
    """

    def __init__(
        self,
        mixture: NoisedMixture,
        network: nn.Module,
        noise: float,
        low: float,
        high: float,
        density: BalancedMixture | None = None,
        power: float = 0.4,
    ):
        super().__init__()
        if not 0 < noise < math.inf:
            raise ValueError(f"noise must be a positive number, the density's least level, got {noise}")
        if not 0 < low <= noise < high < math.inf:
            raise ValueError(
                f"the ladder must rise, 0 < low <= noise < high, got low {low}, noise {noise}, high {high}"
            )
        self.mixture, self.network, self.density = mixture, network, density
        self.noise, self.low, self.high, self.power = noise, low, high, power

    @property
    def integrable(self) -> bool:
        """Where f grows no faster than |y|, the mixture wins far away."""
        return getattr(self.network, "at_most_linear", False)

    @property
    def base(self) -> Base:
        return (self.mixture if self.density is None else self.density.mixture).at(self.noise)

    @property
    def strength(self) -> float:
        """a, of the density; 1 where it is E(·, σ₀) itself."""
        return 1.0 if self.density is None else self.density.strength

    def balance(self) -> None:
        """Find what the density has to know of E after E has learned; once."""
        if self.density is not None and not self.density.balanced:
            self.density.balance(self.least, self.noise)

    @property
    def levels(self) -> "NoiseLevels":
        return self

    def at(self, y: Points, log_sigma: Energies) -> Energies:
        """E(yᵢ, σᵢ), each point at a level of its own."""
        return self.mixture(y, log_sigma) + self.correction(y, log_sigma)

    def correction(self, y: Points, log_sigma: Energies) -> Energies:
        """f(y, log σ) / (σ c): what the network adds."""
        found = widened(self.network(y - self.mixture.mean, log_sigma))
        return found / (log_sigma.exp() * level_scale(log_sigma))

    def weights(self, log_sigma: Energies) -> Energies:
        """(σ / σ₀)^power: how much a level counts where scores are matched."""
        return (log_sigma.exp() / self.noise) ** self.power

    def least(self, y: Points) -> Energies:
        """E(y, σ₀)."""
        return self.at(y, y.new_full((len(y),), math.log(self.noise)))

    def forward(self, x: Points) -> Energies:
        energies = self.least(x)
        return energies if self.density is None else self.density(energies, x, self.noise)


def derivatives(
    ladder: Ladder, y: Points, log_sigma: Energies, create_graph: bool = False
) -> tuple[Points, Energies]:
    """∂E/∂y and ∂E/∂log σ."""
    with torch.enable_grad():
        y, log_sigma = y.detach().requires_grad_(), log_sigma.detach().requires_grad_()
        return torch.autograd.grad(ladder(y, log_sigma).sum(), (y, log_sigma), create_graph=create_graph)


def dual_score_matching(
    energy: NoiseLevels, x: Points, log_sigma: Energies, noise: Points, slope_weight: float = 3.0
) -> dict[str, Scalar]:
    """E[(σ/σ₀)^power {‖σ ∂E/∂y − ε‖² / D + weight/D² (∂E/∂log σ − (D − ‖ε‖²))²}].

    The mixture has no weights: second derivatives are taken of the network alone.

    Args:
        x: points without noise.
        slope_weight: of the second square. At a weight of D it would drown the first.
    """
    sigma, dim = log_sigma.exp(), x[0].numel()
    y = x + per_chain(sigma, x) * noise
    base, base_slope = derivatives(energy.mixture, y, log_sigma)
    own, own_slope = derivatives(energy.correction, y, log_sigma, create_graph=True)
    errors = (per_chain(sigma, y) * (base + own) - noise).flatten(1).square().sum(1)
    slopes = base_slope + own_slope - (dim - noise.flatten(1).square().sum(1))
    weight = energy.weights(log_sigma)
    return {
        "score_matching": (weight * errors).mean() / dim,
        "slope_matching": slope_weight * (weight * slopes.square()).mean() / dim**2,
    }
