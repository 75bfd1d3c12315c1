"""A pinwheel: a few Gaussian arms that curl with the radius. Its density by change of variables.

A point is drawn near (1, 0) and turned clockwise, the more the farther out, into one of K arms:

    r ~ N(1, σ_r²),   t ~ N(0, σ_t²),   (r, t) = (ρ cos φ, ρ sin φ),
    x = scale · (ρ cos ψ, −ρ sin ψ),   ψ = φ + 2πk/K + rate · exp(r),   k uniform on 0 … K − 1.

The turn keeps ρ. So x leaves open only φ, one number on a circle: with g(φ) = φ + rate · exp(ρ cos φ),

    p(x) = 1 / (K scale²) Σ N(r; 1, σ_r) N(t; 0, σ_t) / |g′(φ)|   over all φ with g(φ) ≡ ψ (mod 2π/K).

g rises on (−π, π) but for at most one interval, between its folds g′ = 0. On each of the three
pieces it is monotone, and so all roots are found: one for every level ψ + 2πm/K that it passes.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from energy_gan.data.density import Density
from energy_gan.data.exact import in_float64, require_positive

BISECTIONS = 52  # of an interval of length 2π at most: the last digits of float64
TAIL = 12.0  # standard deviations beyond which the density, below exp(−72), counts as 0
REACH = 4.9  # standard deviations to the box


class FourSpin(Density):
    """The pinwheel of this module's first lines. A point's mode is the arm nearest by angle, unwound.

    Reference: Composing graphical models with neural networks (Johnson et al., 2016),
    https://arxiv.org/abs/1603.06277, its pinwheel, in the four arms of Kim & Bengio (2016),
    https://arxiv.org/abs/1606.03439, who show a four-spin set and do not define it.

    The arms get thinner outwards, to tangential_std / √(1 + (r · rate · exp(r))²) across;
    `smallest_std` is that width, scaled, two standard deviations out, where 98 % of the mass is
    inside. A narrow setting is radial_std=0.2, tangential_std=0.05.

    Args:
        arms: K.
        radial_std, tangential_std: σ_r and σ_t, in units of `scale`; times it, in the data's own.
        rate: of the winding, 0 for straight arms.
        scale: the radius of the arms' middles, in the data's own units; 1.35 gives a standard
            deviation of 1.
    """

    def __init__(
        self,
        arms: int = 4,
        radial_std: float = 0.3,
        tangential_std: float = 0.1,
        rate: float = 0.25,
        scale: float = 1.35,
    ):
        require_positive(arms=arms, radial_std=radial_std, tangential_std=tangential_std, scale=scale)
        if not 0 <= rate < math.inf:
            raise ValueError(f"rate must be 0 or more and finite, got {rate}")
        self.arms, self.rate, self.scale = arms, rate, scale
        self.radial_std, self.tangential_std = radial_std, tangential_std
        self.high = torch.full((2,), scale * math.hypot(1 + REACH * radial_std, REACH * tangential_std))
        self.low = -self.high
        outside = 1 + 2 * radial_std
        self.smallest_std = scale * tangential_std / math.hypot(1, outside * rate * math.exp(outside))
        self.mode_shares = torch.full((arms,), 1 / arms)

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        r, t = torch.randn(2, n, generator=rng, dtype=torch.float64)
        r, t = 1 + self.radial_std * r, self.tangential_std * t
        arm = torch.randint(self.arms, (n,), generator=rng)
        rho, psi = torch.hypot(r, t), torch.atan2(t, r) + 2 * math.pi / self.arms * arm + self.rate * r.exp()
        return (self.scale * torch.stack([rho * psi.cos(), -rho * psi.sin()], 1)).float()

    def log_prob(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        return in_float64(self._log_prob, x, width=2 * self.arms).to(x.dtype)

    def modes(self, x: Float[Tensor, "B 2"]) -> Int[Tensor, "B"]:
        rho, psi = self._polar(x.double())
        turns = (psi - self.rate * rho.exp()) / (2 * math.pi)  # as if t were 0
        return (turns.frac() * self.arms).round().long() % self.arms

    def _polar(self, x: Float[Tensor, "B 2"]) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        return x.norm(dim=1) / self.scale, torch.atan2(-x[:, 1], x[:, 0])

    def _log_prob(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        rho, psi = self._polar(x)
        point, phi = self._roots(rho, psi)
        rho = rho[point]
        r, t = (rho * phi.cos() - 1) / self.radial_std, rho * phi.sin() / self.tangential_std
        terms = torch.exp(-(r**2 + t**2) / 2) / self._slope(rho, phi).abs()
        total = torch.zeros(len(x), dtype=torch.float64).index_add(0, point, terms)
        normaliser = 2 * math.pi * self.radial_std * self.tangential_std * self.arms * self.scale**2
        return total.log() - math.log(normaliser)

    def _roots(
        self, rho: Float[Tensor, "B"], psi: Float[Tensor, "B"]
    ) -> tuple[Int[Tensor, "R"], Float[Tensor, "R"]]:
        """All φ with g(φ) ≡ ψ (mod 2π/K), each with the index of its point."""
        first, second = self._folds(rho)
        ends = torch.full_like(rho, math.pi)
        low, high = torch.stack([-ends, second, second]), torch.stack([first, first, ends])  # g rises
        step = 2 * math.pi / self.arms
        lowest = ((self._twist(rho, low) - psi) / step).ceil()
        count = ((self._twist(rho, high) - psi) / step).ceil() - lowest
        count = torch.where(rho < 1 + TAIL * max(self.radial_std, self.tangential_std), count, 0).long()
        piece = torch.repeat_interleave(count.flatten())
        position = torch.arange(len(piece)) - (count.flatten().cumsum(0) - count.flatten())[piece]
        point = piece % len(rho)
        level = psi[point] + step * (lowest.flatten()[piece] + position)
        rho = rho[point]
        return point, _bisect(
            lambda phi: self._twist(rho, phi) < level, low.flatten()[piece], high.flatten()[piece]
        )

    def _folds(self, rho: Float[Tensor, "B"]) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """The two φ where g′ = 0, around the φ where it is least; both are that φ if g′ > 0 there."""
        least = torch.acos(2 * rho / (1 + (1 + 4 * rho**2).sqrt()))
        sides = torch.stack([torch.zeros_like(rho), torch.full_like(rho, math.pi)])
        first, second = _bisect(lambda phi: self._slope(rho, phi) > 0, sides, least.expand(2, -1))
        return first, second

    def _twist(self, rho: Tensor, phi: Tensor) -> Tensor:
        """g(φ) = φ + rate · exp(ρ cos φ)."""
        return phi + self.rate * (rho * phi.cos()).exp()

    def _slope(self, rho: Tensor, phi: Tensor) -> Tensor:
        """g′(φ) = 1 − rate · ρ sin φ · exp(ρ cos φ)."""
        return 1 - self.rate * rho * phi.sin() * (rho * phi.cos()).exp()


def _bisect(left: Callable[[Tensor], Bool[Tensor, "..."]], low: Tensor, high: Tensor) -> Tensor:
    """Where `left` turns from true, at low, to false, at high; low may be the greater number."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        true = left(middle)
        low, high = torch.where(true, middle, low), torch.where(true, high, middle)
    return (low + high) / 2
