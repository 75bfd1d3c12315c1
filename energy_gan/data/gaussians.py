"""Mixtures of isotropic Gaussians: p(x) = Σ_m w_m N(x; μ_m, σ_m² I)."""

import math
from collections.abc import Sequence

import torch
from torch.nn.functional import normalize, pdist

from energy_gan.data.exact import require_positive
from energy_gan.data.mixtures import EllipticalMixture


class GaussianMixture(EllipticalMixture):
    """p(x) = Σ_m w_m N(x; μ_m, σ_m² I) on R^D.

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
        if not len(means) == len(stds) == len(weights or means):
            raise ValueError(
                "means, stds and weights must be equally many, got "
                f"{len(means)}, {len(stds)}, {len(weights or means)}"
            )
        require_positive(**{f"stds[{m}]": std for m, std in enumerate(stds)})
        factors = [
            (std * torch.eye(len(mean), dtype=torch.float64)).tolist()
            for mean, std in zip(means, stds, strict=True)
        ]
        super().__init__(means, factors, weights)


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
    """Six Gaussians of equal width on a circle, each of twice the weight of the one before: 1 to 32.

    Args:
        radius: of the circle, in the data's own units.
        std: of each Gaussian, in the data's own units.
    """

    def __init__(self, radius: float = 1.5, std: float = 0.15):
        require_positive(radius=radius, std=std)
        angles = [2 * math.pi * m / 6 for m in range(6)]
        means = [[radius * math.cos(a), radius * math.sin(a)] for a in angles]
        super().__init__(means, [std] * 6, [2.0**m for m in range(6)])


class UnevenScales(GaussianMixture):
    """Five Gaussians of equal weight, their standard deviations 0.05, 0.1, 0.2, 0.4 and 0.6."""

    def __init__(self):
        means = [[0.0, 0.0], [1.6, 0.9], [-1.4, 1.2], [-1.2, -1.4], [1.3, -1.5]]
        super().__init__(means, [0.05, 0.1, 0.2, 0.4, 0.6])


class FarModes(GaussianMixture):
    """Four Gaussians at the corners of a square, 25 standard deviations apart, of the weights 1 to 4.

    Args:
        std: of each Gaussian, in the data's own units.
    """

    def __init__(self, std: float = 0.08):
        require_positive(std=std)
        half = 12.5 * std
        means = [[-half, -half], [half, -half], [half, half], [-half, half]]
        super().__init__(means, [std] * 4, [1.0, 2.0, 3.0, 4.0])


class ScatteredGaussians(GaussianMixture):
    """Equal Gaussians in any dimension, the nearest two of them a given distance apart.

    Their means lie on a sphere: of many random choices of as many directions, the one whose nearest two
    are the farthest apart. The radius follows from the separation.

    Args:
        dimension: D, at least 2.
        modes: how many, at least 2.
        std: of each, in the data's own units.
        separation: of the nearest two means, in units of std.
        seed_of_means: the points are drawn from another seed, that of the run.
    """

    def __init__(
        self,
        dimension: int = 10,
        modes: int = 8,
        std: float = 0.5,
        separation: float = 6.0,
        seed_of_means: int = 0,
    ):
        require_positive(std=std, separation=separation)
        if dimension < 2 or modes < 2:
            raise ValueError(f"dimension and modes must be at least 2, got {dimension} and {modes}")
        rng = torch.Generator().manual_seed(seed_of_means)
        choices = (
            normalize(torch.randn(modes, dimension, generator=rng, dtype=torch.float64)) for _ in range(1000)
        )
        directions = max(choices, key=lambda x: pdist(x).min().item())
        means = separation * std / pdist(directions).min() * directions
        super().__init__(means.tolist(), [std] * modes)
