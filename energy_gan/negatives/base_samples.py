"""Negatives from the base of a tilted energy: exact, independent and new in every step, without a chain."""

import math
from collections.abc import Callable

import torch

from energy_gan.energies.base import stated
from energy_gan.generators.base import Draw
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.shapes import Energies, Points


class BaseNegatives(NegativeSampler):
    """x⁻ ~ p₀ with the weights 1/p₀, for an energy −log p₀(x) + Σᵢ Ẽᵢ(f(x)), and p₀ at hand elsewhere.

    With the objective `noise_contrast` the experts learn log p₀ − log p_data where samples of both are seen.

    Reference: Noise-contrastive estimation (Gutmann & Hyvärinen, 2010),
    https://proceedings.mlr.press/v9/gutmann10a.html.

    Args:
        n: how many in a step, at least 2.
    """

    def __init__(self, n: int = 64):
        super().__init__()
        if n < 2:
            raise ValueError(f"n must be at least 2, got {n}")
        self.n = n

    @torch.no_grad()
    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None, x: Points) -> Negatives:
        if (base := stated(energy, "base")) is None:
            raise ValueError(
                "BaseNegatives need an energy with a base, a MixtureBase as its quadratic term: "
                f"this {type(energy).__name__} has none"
            )
        samples = base.sample(self.n)
        return Negatives(samples, base(samples) - math.log(self.n), log_density=lambda x: -base(x))
