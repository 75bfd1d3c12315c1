"""Two spirals from the centre, one the other's image under x ↦ −x, blurred."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.data.exact import require_positive
from energy_gan.data.noisy_curve import NoisyCurve


class TwoSpiral(NoisyCurve):
    """x = ±(c(u) + jitter · v) + σ ε, with u uniform on [0, 1], v on [0, 1]² and ε ~ N(0, I).

        c(u) = radius · √u · (−cos θ, sin θ),   θ = 2π · turns · √u.

    The eight modes are four pieces of equal mass of each arm, from the centre outwards.

    Reference: FFJORD (Grathwohl et al., 2019), https://arxiv.org/abs/1810.01367. Its code draws
    turns 1.5, radius π, jitter 1/6 and σ = 0.1; the defaults are those divided by 1.72, rounded.
    Kim & Bengio (2016), https://arxiv.org/abs/1606.03439, show a two-spiral set and do not define it.
    A narrow setting is jitter=0.06, std=0.035. The cost of `log_prob` grows as 1 / std.

    Args:
        turns: of each arm.
        radius: at the outer ends, in the data's own units; 1.83 gives a standard deviation of 0.93.
        jitter: width of the uniform noise, in the data's own units.
        std: σ, in the data's own units.
    """

    def __init__(self, turns: float = 1.5, radius: float = 1.83, jitter: float = 0.097, std: float = 0.058):
        require_positive(turns=turns, radius=radius, jitter=jitter, std=std)
        self.turns, self.radius, self.jitter = turns, radius, jitter
        super().__init__(std, segments=4, margin=jitter / 2)

    def curves(self, u: Float[Tensor, "N"]) -> Float[Tensor, "2 N 2"]:
        """The middle of the jitter's square, so that both arms have the same, symmetric noise."""
        root = u.sqrt()
        angle = 2 * math.pi * self.turns * root
        arm = self.radius * root[:, None] * torch.stack([-angle.cos(), angle.sin()], 1) + self.jitter / 2
        return torch.stack([arm, -arm])

    def log_noise(self, difference: Float[Tensor, "B N 2"]) -> Float[Tensor, "B N"]:
        """In each coordinate, jitter · (v − ½) + σ ε has density (Φ((½j + d)/σ) − Φ((−½j + d)/σ)) / j."""
        distance, unit = (
            difference.abs(),
            self.smallest_std * math.sqrt(2),
        )  # |d|: no digits cancel in the tail
        upper = torch.erfc((distance - self.jitter / 2) / unit)
        density = (upper - torch.erfc((distance + self.jitter / 2) / unit)) / (2 * self.jitter)
        return (density[..., 0] * density[..., 1]).log()

    def sample_noise(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        uniform = torch.rand(n, 2, generator=rng, dtype=torch.float64) - 0.5
        return self.jitter * uniform + super().sample_noise(n, rng)
