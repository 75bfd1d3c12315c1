"""A contrast of an energy with its own chains, late in training: the phases of Eq. 7, with a weight.

    weight · (E[E(y⁺)] − E[E(y⁻)]),    y⁺ = x + σ₀ ε,    y⁻ where chains of the energy have come to

Score matching knows the energy where data with noise are. Chains find what it has got wrong beside: basins
into which they sink. The contrast raises these, and leaves alone what chains keep.

Reference: Energy Matching: Unifying Flow Matching and Energy-Based Models for Generative Modeling (Balcerak
et al., 2025), https://arxiv.org/abs/2504.10612, whose second phase it is.
"""

import math

from energy_gan.methods.phases import phases
from energy_gan.methods.players import Terms
from energy_gan.negatives.base import NegativeSampler
from energy_gan.nn import Scheduled
from energy_gan.objectives import maximum_likelihood
from energy_gan.randomness import noised
from energy_gan.samplers.base import Energy
from energy_gan.shapes import Points


class Contrast(Scheduled):
    """A term of the energy's loss, from its time on.

    Args:
        negatives: where y⁻ comes from; its chains begin at data with noise.
        weight: positive.
        begin: the share of the training steps from which on it counts, 0 to less than 1.
    """

    def __init__(self, negatives: NegativeSampler, weight: float = 0.001, begin: float = 0.5):
        super().__init__()
        if not 0 < weight < math.inf or not 0 <= begin < 1:
            raise ValueError(
                f"weight must be positive and begin at least 0 and below 1, got {weight}, {begin}"
            )
        self.negatives, self.weight, self.begin, self.active = negatives, weight, begin, True

    def at(self, progress: float) -> None:
        self.active = progress >= self.begin

    def terms(self, energy: Energy, x: Points, sigma: float) -> Terms:
        y = noised(x, sigma)
        found = phases(energy, y, self.negatives(energy, None, y), maximum_likelihood, None)
        return {f"contrast_{name}": self.weight * term for name, term in found.terms.items()}
