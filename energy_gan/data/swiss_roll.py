"""One spiral of one and a half turns, blurred."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.data.exact import require_positive
from energy_gan.data.noisy_curve import NoisyCurve

START, END = 1.5 * math.pi, 4.5 * math.pi  # the angle, in scikit-learn's make_swiss_roll


class SwissRoll(NoisyCurve):
    """x = radius · t/t₁ · (cos t, sin t) + σ ε, with t uniform on [3π/2, t₁ = 9π/2], ε ~ N(0, I).

    The eight modes are pieces of equal mass, from the inner end to the outer.

    Reference: `make_swiss_roll` of scikit-learn, without its middle coordinate. Maximum Entropy
    Generators (Kumar et al., 2019), https://arxiv.org/abs/1901.08508, adds noise 0.25 and divides
    by 7.5; that narrow setting is radius=1.885, std=0.0333 here.

    Args:
        radius: at the outer end, in the data's own units; 2 gives a standard deviation of 0.97.
        std: σ, in the data's own units.
    """

    def __init__(self, radius: float = 2.0, std: float = 0.1):
        require_positive(radius=radius, std=std)
        self.radius = radius
        super().__init__(std, segments=8)

    def curves(self, u: Float[Tensor, "N"]) -> Float[Tensor, "1 N 2"]:
        t = START + (END - START) * u
        return (self.radius / END * t[:, None] * torch.stack([t.cos(), t.sin()], 1))[None]
