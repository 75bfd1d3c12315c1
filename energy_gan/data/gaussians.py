"""Mixtures of isotropic Gaussians: p(x) = Σ_m w_m N(x; μ_m, σ_m² I)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.data.density import Density
from energy_gan.data.exact import in_float64, require_positive

REACH = 5.5  # standard deviations from the outer means to the box: 2e-8 of a component per side


class GaussianMixture(Density):
    """p(x) = Σ_m w_m N(x; μ_m, σ_m² I) on R^D.

    A point's mode is the component most responsible for it. The shares of the modes are the
    weights, as far as the components are apart: beyond five standard deviations to within 1e-6.

    Args:
        means: one row of D numbers for each component.
        stds: one for each component, in the data's own units.
        weights: one for each component, positive; they are divided by their sum. Equal if None.
    """

    def __init__(
        self,
        means: Sequence[Sequence[float]],
        stds: Sequence[float],
        weights: Sequence[float] | None = None,
    ):
        weights = [1.0] * len(means) if weights is None else weights
        if not means or len({len(mean) for mean in means}) != 1 or not means[0]:
            raise ValueError(f"means must be one or more rows of equally many numbers, got {means}")
        if not len(means) == len(stds) == len(weights):
            raise ValueError(
                f"means, stds and weights must be equally many, got {len(means)}, {len(stds)}, {len(weights)}"
            )
        for m, (std, weight) in enumerate(zip(stds, weights, strict=True)):
            require_positive(**{f"stds[{m}]": std, f"weights[{m}]": weight})
        self.means = torch.tensor(means, dtype=torch.float64)
        self.stds = torch.tensor(stds, dtype=torch.float64)
        if not self.means.isfinite().all():
            raise ValueError(f"means must be finite, got {means}")
        self.weights = torch.tensor(weights, dtype=torch.float64) / math.fsum(weights)
        self.low = (self.means - REACH * self.stds[:, None]).amin(0).float()
        self.high = (self.means + REACH * self.stds[:, None]).amax(0).float()
        self.smallest_std = float(min(stds))
        self.mode_shares = self.weights.float()

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n D"]:
        component = torch.multinomial(self.weights, n, replacement=True, generator=rng)
        noise = torch.randn(n, self.means.shape[1], generator=rng, dtype=torch.float64)
        return (self.means[component] + self.stds[component, None] * noise).float()

    def log_prob(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        return in_float64(lambda x: self._log_joint(x).logsumexp(1), x, self.means.numel()).to(x.dtype)

    def modes(self, x: Float[Tensor, "B D"]) -> Int[Tensor, "B"]:
        return in_float64(lambda x: self._log_joint(x).argmax(1), x, self.means.numel())

    def _log_joint(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B M"]:
        """log w_m N(x; μ_m, σ_m² I)."""
        squares = (x[:, None] - self.means).square().sum(2)
        normaliser = self.weights.log() - x.shape[1] * (self.stds * math.sqrt(2 * math.pi)).log()
        return normaliser - squares / (2 * self.stds**2)


class EightGaussians(GaussianMixture):
    """Eight equal Gaussians on a circle: μ_m = radius · (cos 2πm/8, sin 2πm/8).

    Reference: Maximum Entropy Generators for Energy-Based Models (Kumar et al., 2019),
    https://arxiv.org/abs/1901.08508. Its code draws radius 2 and σ = 0.02 and divides by 1.414;
    that narrow setting is std=0.0141 here. The default is seven times as wide.

    Args:
        radius: of the circle, in the data's own units; 1.414 gives a standard deviation of 1.
        std: of each Gaussian, in the data's own units.
    """

    def __init__(self, radius: float = 1.414, std: float = 0.1):
        require_positive(radius=radius, std=std)
        angles = [2 * math.pi * m / 8 for m in range(8)]
        super().__init__([[radius * math.cos(a), radius * math.sin(a)] for a in angles], [std] * 8)


class TwentyFiveGaussians(GaussianMixture):
    """Twenty-five equal Gaussians on a square lattice: μ_ij = spacing · (i, j), i, j = −2 … 2.

    Reference: Maximum Entropy Generators for Energy-Based Models (Kumar et al., 2019),
    https://arxiv.org/abs/1901.08508. Its code draws spacing 2 and σ = 0.05 and divides by 2.828;
    that narrow setting is std=0.0177 here. The default is three times as wide.

    Args:
        spacing: between neighbours, in the data's own units; 0.707 gives a standard deviation of 1.
        std: of each Gaussian, in the data's own units.
    """

    def __init__(self, spacing: float = 0.707, std: float = 0.05):
        require_positive(spacing=spacing, std=std)
        steps = range(-2, 3)
        super().__init__([[spacing * i, spacing * j] for i in steps for j in steps], [std] * 25)


class UnevenWeights(GaussianMixture):
    """Six equal Gaussians on a circle, each of twice the weight of the one before: 1 to 32."""

    def __init__(self, radius: float = 1.5, std: float = 0.15):
        require_positive(radius=radius, std=std)
        angles = [2 * math.pi * m / 6 for m in range(6)]
        means = [[radius * math.cos(a), radius * math.sin(a)] for a in angles]
        super().__init__(means, [std] * 6, [2.0**m for m in range(6)])


class UnevenScales(GaussianMixture):
    """Five Gaussians of equal weight whose standard deviations go from 0.05 to 0.6."""

    def __init__(self):
        means = [[0.0, 0.0], [1.6, 0.9], [-1.4, 1.2], [-1.2, -1.4], [1.3, -1.5]]
        super().__init__(means, [0.05, 0.1, 0.2, 0.4, 0.6])


class FarModes(GaussianMixture):
    """Four Gaussians 25 standard deviations apart, of the weights 1 to 4."""

    def __init__(self, std: float = 0.08):
        require_positive(std=std)
        half = 12.5 * std
        means = [[-half, -half], [half, -half], [half, half], [-half, half]]
        super().__init__(means, [std] * 4, [1.0, 2.0, 3.0, 4.0])


class ScatteredGaussians(GaussianMixture):
    """Equal Gaussians in any dimension, their means drawn once on a sphere.

    Args:
        dimension: D, at least 1.
        modes: how many.
        radius: of the sphere, in the data's own units.
        std: of each.
        seed: of the means.
    """

    def __init__(
        self, dimension: int = 10, modes: int = 8, radius: float = 3.0, std: float = 0.5, seed: int = 0
    ):
        require_positive(radius=radius, std=std)
        if dimension < 1 or modes < 1:
            raise ValueError(f"dimension and modes must be at least 1, got {dimension} and {modes}")
        directions = torch.randn(modes, dimension, generator=torch.Generator().manual_seed(seed))
        means = radius * torch.nn.functional.normalize(directions, dim=1)
        super().__init__(means.tolist(), [std] * modes)
