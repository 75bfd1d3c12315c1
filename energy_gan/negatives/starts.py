"""Where chains begin: at noise, at the data, at the generator's samples."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from energy_gan.generators.base import Draw
from energy_gan.generators.mixture import log_mixture
from energy_gan.generators.output_noise import add_noise
from energy_gan.generators.priors import NormalPrior, Prior, UniformPrior
from energy_gan.shapes import Energies, Points


class Started(NamedTuple):
    """Points, and log q of the law that each of them is a sample of, where it is known."""

    samples: Points
    log_density: Callable[[Points], Energies] | None = None


class Start(nn.Module, ABC):
    """A law q that chains begin at. A subclass gives `forward`."""

    needs_generator = False
    keeps_rows = False  # whether it is the generator's batch, row by row

    def latents(self, dimension: int) -> tuple[Prior, float] | None:
        """p(z) and a factor, where x₀ = factor · z, z of as many numbers as a point; None elsewhere."""
        return None

    @abstractmethod
    def forward(self, n: int, draw: Draw | None, x: Points) -> Started:
        """n samples of q, from the generator's batch `draw`, the data `x` or from elsewhere."""


class FromNoise(Start):
    """x₀ ~ N(0, std² I), in standardised units.

    Args:
        std: positive.
    """

    def __init__(self, std: float = 1.0):
        super().__init__()
        if not std > 0:
            raise ValueError(f"std must be positive, got {std}")
        self.std = std

    def latents(self, dimension: int) -> tuple[Prior, float]:
        return NormalPrior(dimension), self.std

    def forward(self, n: int, draw: Draw | None, x: Points) -> Started:
        origin = torch.zeros_like(x[:1])
        scale = origin.new_full((1, 1), self.std)
        return _of_batch(n, Draw(origin.flatten(1), origin, origin, scale))  # a batch of one point


class FromUniform(Start):
    """x₀ uniform in a cube around 0, in standardised units.

    Args:
        half_width: of each side, positive.
    """

    def __init__(self, half_width: float = 1.0):
        super().__init__()
        if not 0 < half_width < math.inf:
            raise ValueError(f"half_width must be a positive number, got {half_width}")
        self.half_width = half_width

    def latents(self, dimension: int) -> tuple[Prior, float]:
        return UniformPrior(dimension), self.half_width

    def forward(self, n: int, draw: Draw | None, x: Points) -> Started:
        samples = x.new_empty((n, *x.shape[1:])).uniform_(-self.half_width, self.half_width)
        return Started(samples, self.log_density)

    def log_density(self, x: Points) -> Energies:
        """−D log(2 · half_width) within the cube, −∞ outside."""
        x = x.flatten(1)
        inside = (x.abs() <= self.half_width).all(1)
        return torch.where(inside, -x.shape[1] * math.log(2 * self.half_width), -math.inf)


class FromData(Start):
    """x₀ from the batch of data, each of its rows as often as any other or once more. Nobody knows log q.

    Reference: Training Products of Experts by Minimizing Contrastive Divergence (Hinton, 2002),
    https://doi.org/10.1162/089976602760128018.
    """

    def forward(self, n: int, draw: Draw | None, x: Points) -> Started:
        return Started(x[torch.randperm(n, device=x.device) % len(x)])


class FromGenerator(Start):
    """x₀ = G(z), of the density of the generator's batch.

    Reference: Cooperative Training of Descriptor and Generator Networks (Xie et al., 2018),
    https://arxiv.org/abs/1609.09408.

    Args:
        in_order: take the batch as it is, however many are asked for: each chain is that of its latent.
    """

    needs_generator = True

    def __init__(self, in_order: bool = False):
        super().__init__()
        self.keeps_rows = in_order

    def forward(self, n: int, draw: Draw | None, x: Points) -> Started:
        if draw is None:
            raise ValueError("FromGenerator needs a method with a generator: start from noise or the data")
        return Started(draw.samples) if self.keeps_rows else _of_batch(n, draw)


def _of_batch(n: int, draw: Draw) -> Started:
    """Samples of the mixture that a batch of the generator with output noise is."""
    component = torch.randint(len(draw.clean), (n,), device=draw.clean.device)
    if draw.scale is None:
        return Started(draw.samples[component], lambda x: log_mixture(x, draw))
    noisy = add_noise(draw.clean[component], draw.scale[component])
    return Started(noisy, lambda x: log_mixture(x, draw))
