"""Mixtures of ellipses, with normal or heavy tails: p(x) = Σ_m w_m t_ν(x; μ_m, L_m L_mᵀ)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.data.density import Density
from energy_gan.data.exact import in_float64, require_positive

TAIL = 1e-6  # of a component's mass that may lie outside the box


class EllipseMixture(Density):
    """Components in the plane, each a normal (ν = ∞) or Student's t, long in one direction.

    Student's t in the plane has P(‖L⁻¹(x − μ)‖ > r) = (1 + r²/ν)^(−ν/2).

    Args:
        means: a row (x, y) for each component.
        axes: the standard deviations (for t, the scales) along the long and across it, a row for each.
        angles: of the long axis against the first coordinate, in degrees, one for each.
        weights: one for each, positive; divided by their sum. Equal if None.
        tails: ν, above 2; None for normal tails.
    """

    def __init__(
        self,
        means: Sequence[Sequence[float]],
        axes: Sequence[Sequence[float]],
        angles: Sequence[float],
        weights: Sequence[float] | None = None,
        tails: float | None = None,
    ):
        weights = [1.0] * len(means) if weights is None else weights
        if not means or not len(means) == len(axes) == len(angles) == len(weights):
            raise ValueError(
                "means, axes, angles and weights must be equally many, at least 1, got "
                f"{len(means)}, {len(axes)}, {len(angles)}, {len(weights)}"
            )
        for m, ((long, across), weight) in enumerate(zip(axes, weights, strict=True)):
            require_positive(**{f"axes[{m}][0]": long, f"axes[{m}][1]": across, f"weights[{m}]": weight})
        if tails is not None and not 2 < tails < math.inf:
            raise ValueError(f"tails must be above 2, or None for normal tails, got {tails}")
        self.tails = tails
        self.means = torch.tensor(means, dtype=torch.float64)
        self.weights = torch.tensor(weights, dtype=torch.float64) / math.fsum(weights)
        turn = torch.deg2rad(torch.tensor(angles, dtype=torch.float64))
        rotation = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], 1).view(-1, 2, 2)
        self.factors = rotation * torch.tensor(axes, dtype=torch.float64)[:, None]  # L = R diag(axes)
        if tails is None:
            reach = math.sqrt(-2 * math.log(TAIL))
        else:
            reach = math.sqrt(tails * (TAIL ** (-2 / tails) - 1))
        extent = reach * self.factors.square().sum(2).sqrt()
        self.low = (self.means - extent).amin(0).float()
        self.high = (self.means + extent).amax(0).float()
        self.smallest_std = float(min(map(min, axes)))
        self.mode_shares = self.weights.float()

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        component = torch.multinomial(self.weights, n, replacement=True, generator=rng)
        noise = torch.randn(n, 2, generator=rng, dtype=torch.float64)
        if self.tails is not None:  # in the plane ‖t‖² = ν (U^(−2/ν) − 1) has the law that the class states
            uniform = torch.rand(n, generator=rng, dtype=torch.float64).clamp(min=1e-300)
            radius = (self.tails * (uniform ** (-2 / self.tails) - 1)).sqrt()
            noise = radius[:, None] * torch.nn.functional.normalize(noise, dim=1)
        return (self.means[component] + torch.einsum("bij,bj->bi", self.factors[component], noise)).float()

    def log_prob(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        return in_float64(lambda x: self._log_joint(x).logsumexp(1), x, self.means.numel()).to(x.dtype)

    def modes(self, x: Float[Tensor, "B 2"]) -> Int[Tensor, "B"]:
        return in_float64(lambda x: self._log_joint(x).argmax(1), x, self.means.numel())

    def _log_joint(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B M"]:
        inverse = torch.linalg.inv(self.factors)
        squares = torch.einsum("mij,bmj->bmi", inverse, x[:, None] - self.means).square().sum(2)
        shape = -squares / 2
        if self.tails is not None:
            shape = -(self.tails / 2 + 1) * torch.log1p(squares / self.tails)
        log_volumes = torch.linalg.det(self.factors).abs().log()
        return self.weights.log() - math.log(2 * math.pi) - log_volumes + shape


class ThinRidges(EllipseMixture):
    """Four crossing ridges, twenty times as long as they are wide."""

    def __init__(self, length: float = 1.0, width: float = 0.05):
        means = [[-0.8, 0.6], [0.8, 0.6], [0.0, -0.9], [0.0, 0.2]]
        super().__init__(means, [[length, width]] * 4, [20.0, 110.0, 0.0, 65.0])


class HeavyTails(EllipseMixture):
    """Two slanted components of Student's t with ν degrees of freedom."""

    def __init__(self, tails: float = 4.0, scale: float = 0.4):
        means, axes = [[-1.0, -0.5], [1.0, 0.5]], [[scale, scale / 2], [scale, scale]]
        super().__init__(means, axes, [45.0, 0.0], [2.0, 1.0], tails)
