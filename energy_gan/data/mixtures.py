"""Mixtures of ellipsoids, with normal or heavy tails: p(x) = Σ_m w_m t_ν(x; μ_m, L_m L_mᵀ)."""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.data.density import Density
from energy_gan.data.exact import in_float64, require_positive

TAIL = 1e-6  # of a component's mass that may lie outside the box
REACH = 5.5  # the least standard deviations from a mean to the box: 2e-8 of a normal per side
DRAWS = 2**14  # of each component, for the shares of the modes


class EllipticalMixture(Density):
    """p(x) = Σ_m w_m t_ν(x; μ_m, L_m L_mᵀ) on R^D, where t_∞ is the normal law.

    log t_ν(x; μ, LLᵀ) = log Γ((ν+D)/2) − log Γ(ν/2) − D/2 log(νπ) − log |det L| − (ν+D)/2 log(1 + q/ν)
    with q = ‖L⁻¹(x − μ)‖². Its covariance is ν/(ν − 2) LLᵀ.

    A point's mode is the component most responsible for it. The shares of the modes are the weights
    where the components are apart; where they overlap, draws of each tell which modes they belong to.

    Reference: Multivariate T-Distributions and Their Applications (Kotz, Nadarajah, 2004),
    https://doi.org/10.1017/CBO9780511550683, chapter 1

    Args:
        means: one row of D numbers for each component.
        factors: L, one for each component: D rows of D numbers.
        weights: one for each component, positive; they are divided by their sum. Equal if None.
        freedom: ν, at least 3 (so that there is a covariance); None for normal tails.
    """

    def __init__(
        self,
        means: Sequence[Sequence[float]],
        factors: Sequence[Sequence[Sequence[float]]],
        weights: Sequence[float] | None = None,
        freedom: int | None = None,
    ):
        weights = [1.0] * len(means) if weights is None else weights
        if not means or len({len(mean) for mean in means}) != 1 or not means[0]:
            raise ValueError(f"means must be one or more rows of equally many numbers, got {means}")
        if not len(means) == len(factors) == len(weights):
            raise ValueError(
                "means, factors and weights must be equally many, got "
                f"{len(means)}, {len(factors)}, {len(weights)}"
            )
        require_positive(**{f"weights[{m}]": weight for m, weight in enumerate(weights)})
        if freedom is not None and freedom < 3:
            raise ValueError(f"freedom must be at least 3, or None for normal tails, got {freedom}")
        self.means = torch.tensor(means, dtype=torch.float64)
        self.factors = torch.tensor(factors, dtype=torch.float64)
        self.weights = torch.tensor(weights, dtype=torch.float64) / math.fsum(weights)
        self.freedom, dimension = freedom, self.means.shape[1]
        if not self.means.isfinite().all():
            raise ValueError(f"means must be finite, got {means}")
        if self.factors.shape[1:] != (dimension, dimension) or not self.factors.isfinite().all():
            raise ValueError(f"factors must be {dimension} rows of {dimension} finite numbers, got {factors}")
        axes = torch.linalg.svdvals(self.factors)
        if not axes.amin() > 1e-12 * axes.amax():
            raise ValueError(f"factors must be of full rank, got axes as short as {axes.amin():g}")
        self._inverses, self._log_volumes = torch.linalg.inv(self.factors), axes.log().sum(1)
        self.smallest_std = float(axes.amin())
        extents = _reach(freedom, dimension) * self.factors.square().sum(2).sqrt()
        self.low = (self.means - extents).amin(0).float()
        self.high = (self.means + extents).amax(0).float()

    @cached_property
    def mode_shares(self) -> Float[Tensor, "M"]:
        rng, n_modes = torch.Generator().manual_seed(0), len(self.means)
        components = torch.arange(n_modes).repeat_interleave(DRAWS)
        modes = self.modes(self._draw(components, rng))
        return modes.bincount(self.weights[components] / DRAWS, n_modes).float()

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n D"]:
        return self._draw(torch.multinomial(self.weights, n, replacement=True, generator=rng), rng).float()

    def _draw(self, components: Int[Tensor, "n"], rng: torch.Generator) -> Float[Tensor, "n D"]:
        """A point of each of these components: μ + L z √(ν/χ²_ν), where z is a standard normal."""
        noise = torch.randn(len(components), self.means.shape[1], generator=rng, dtype=torch.float64)
        if self.freedom is not None:
            normals = torch.randn(len(components), self.freedom, generator=rng, dtype=torch.float64)
            noise /= normals.square().mean(1, keepdim=True).sqrt()
        points = torch.empty_like(noise)
        for m in range(len(self.means)):  # one matrix for many points, not a copy of it for each
            points[components == m] = self.means[m] + noise[components == m] @ self.factors[m].T
        return points

    def log_prob(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        return in_float64(lambda x: self._log_joint(x).logsumexp(1), x, self.means.numel()).to(x.dtype)

    def modes(self, x: Float[Tensor, "B D"]) -> Int[Tensor, "B"]:
        return in_float64(lambda x: self._log_joint(x).argmax(1), x, self.means.numel())

    def _log_joint(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B M"]:
        """log w_m t_ν(x; μ_m, L_m L_mᵀ)."""
        whitened = (x - self.means[:, None]) @ self._inverses.mT  # one row for each component and point
        squares = whitened.square().sum(2).T
        log_scales, dimension, nu = self.weights.log() - self._log_volumes, x.shape[1], self.freedom
        if nu is None:
            return log_scales - dimension / 2 * math.log(2 * math.pi) - squares / 2
        gammas = math.lgamma((nu + dimension) / 2) - math.lgamma(nu / 2)
        log_scales = log_scales + gammas - dimension / 2 * math.log(nu * math.pi)
        return log_scales - (nu + dimension) / 2 * torch.log1p(squares / nu)


def _reach(freedom: int | None, dimension: int) -> float:
    """An r with Σ_i P(|z_i| > r) ≤ TAIL over the coordinates of a standard t_ν.

    P(|z_i| > r) is at most exp(−r²/2) for a normal and 2 c ν^((ν−1)/2) r^(−ν) for t_ν, where c is the
    density at 0.
    """
    if freedom is None:
        return max(REACH, math.sqrt(2 * math.log(dimension / TAIL)))
    nu = freedom
    log_c = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - math.log(nu * math.pi) / 2
    return math.exp((math.log(2 * dimension / TAIL) + log_c + (nu - 1) / 2 * math.log(nu)) / nu)


def ellipse(long: float, across: float, angle: float) -> list[list[float]]:
    """L = R(angle) diag(long, across), a factor in the plane. The angle to the first axis is in degrees."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return [[long * cos, -across * sin], [long * sin, across * cos]]


class ThinRidges(EllipticalMixture):
    """Four crossing ridges, by default twenty times as long as they are wide.

    Args:
        length, width: standard deviations of each, in the data's own units.
    """

    def __init__(self, length: float = 1.0, width: float = 0.05):
        require_positive(length=length, width=width)
        means = [[-0.8, 0.6], [0.8, 0.6], [0.0, -0.9], [0.0, 0.2]]
        super().__init__(means, [ellipse(length, width, angle) for angle in (20.0, 110.0, 0.0, 65.0)])


class HeavyTails(EllipticalMixture):
    """Two of Student's t side by side: a slanted one of weight 2/3, a round one of weight 1/3.

    Args:
        freedom: ν, at least 3. With 4, one point in a hundred is over 6 scales from its centre.
        scale: the longer axis of both, in the data's own units; the standard deviation is √2 times it.
    """

    def __init__(self, freedom: int = 4, scale: float = 0.4):
        require_positive(scale=scale)
        factors = [ellipse(scale, scale / 2, 45.0), ellipse(scale, scale, 0.0)]
        super().__init__([[-1.0, -0.5], [1.0, 0.5]], factors, [2.0, 1.0], freedom)
