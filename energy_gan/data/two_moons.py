"""Two half circles that reach into each other, blurred: two classes that no line divides."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.data.exact import require_positive
from energy_gan.data.noisy_curve import NoisyCurve


class TwoMoons(NoisyCurve):
    """x = ±(c(u) − m) + σ ε, with u uniform on [0, 1], m = radius · (½, ¼) and ε ~ N(0, I).

        c(u) = radius · (cos πu, sin πu)

    The modes are the two moons. Scikit-learn's `make_moons` is the same with radius 1, in another place.

    Args:
        radius: of both, in the data's own units.
        std: σ, in the data's own units.
    """

    def __init__(self, radius: float = 1.0, std: float = 0.1):
        require_positive(radius=radius, std=std)
        self.radius = radius
        super().__init__(std, segments=1)

    def curves(self, u: Float[Tensor, "N"]) -> Float[Tensor, "2 N 2"]:
        angle = math.pi * u
        moon = self.radius * torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
        return torch.stack([moon, -moon])
