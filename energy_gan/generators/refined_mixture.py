"""A generator that begins at a mixture of Gaussians, and has to learn only what the mixture cannot draw.

    points    x = m + d(m),                 m = μₖ + Wₖ z' + σₖ z''
    images    x = tanh(atanh(m) + d(m)),    m = μₖ + Wₖ z'

z = (z₀, z', z'') ~ N(0, I), k by the place of z₀ in N(0, 1). The mixture is fitted to the data before the
first step and then stays; d starts at 0.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.priors import NormalPrior
from energy_gan.generators.unet import UNet
from energy_gan.nn import Activation, Fitted, mlp
from energy_gan.numerics.ppca import PPCAMixture
from energy_gan.shapes import Latents, Points

EDGE = 0.97  # of pixels before atanh


class Refined(Fitted, ABC):
    """z -> m -> x. A subclass gives `refined`.

    Args:
        shape: of one point, D numbers.
        components: of the mixture, at least 1.
        rank: columns of each W, at least 1; no more than D − 1 are used.
        rest: have the term σₖ z'', D more latents.
        n_iterations: of EM.
    """

    def __init__(self, shape: Sequence[int], components: int, rank: int, rest: bool, n_iterations: int):
        super().__init__()
        dim = math.prod(shape)
        if components < 1 or rank < 1 or dim < 2:
            raise ValueError(
                "components and rank must be at least 1 and points of 2 numbers, got "
                f"{components}, {rank} and {dim}"
            )
        self.shape, self.n_iterations, rank = tuple(shape), n_iterations, min(rank, dim - 1)
        self.latent_dim, self.rank = 1 + rank + (dim if rest else 0), rank
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("ends", torch.arange(1, components + 1) / components)  # of z₀'s pieces
        self.register_buffer("means", torch.zeros(components, dim))
        self.register_buffer("factors", torch.eye(rank, dim).repeat(components, 1, 1))
        self.register_buffer("stds", torch.ones(components) if rest else torch.zeros(components))

    @torch.no_grad()
    def fit(self, x: Points, seed: int = 0) -> None:
        """Fit the mixture.

        Raises:
            InputError: there are fewer points than components.
        """
        flat, components = x.flatten(1), len(self.means)
        if len(flat) < components:
            raise InputError(
                f"components must be at most the {len(flat)} points, got {components}: give "
                "method.generator.components"
            )
        found = PPCAMixture.fit(flat, components, self.rank, self.n_iterations, seed)
        self.ends.copy_(found.weights.cumsum(0))
        self.means.copy_(found.means)
        self.factors.copy_(found.factors.mT)
        self.stds.copy_(found.noise.sqrt() * (self.latent_dim > 1 + self.rank))
        self.fitted.fill_(True)

    def start(self, latent: Latents) -> Points:
        """m(z)."""
        place = torch.special.ndtr(latent[:, 0]).contiguous()
        k = torch.searchsorted(self.ends, place).clamp(max=len(self.ends) - 1)
        along, across = latent[:, 1 : self.rank + 1], latent[:, self.rank + 1 :]
        mixed = self.means[k]
        for own in k.unique().tolist():
            mixed[k == own] += along[k == own] @ self.factors[own]
        if across.shape[1]:
            mixed = mixed + self.stds[k, None] * across
        return mixed.unflatten(1, self.shape)

    @abstractmethod
    def refined(self, start: Points) -> Points:
        """x of m."""

    def forward(self, latent: Latents) -> Points:
        return self.refined(self.start(latent))


class RefinedPoints(Refined):
    """d is fully connected, of widths `hidden`."""

    def __init__(
        self,
        shape: Sequence[int],
        components: int,
        rank: int,
        n_iterations: int,
        hidden: Sequence[int],
        activation: Activation,
    ):
        super().__init__(shape, components, rank, True, n_iterations)
        dim = math.prod(shape)
        self.network = nn.Sequential(nn.Flatten(), *mlp([dim, *hidden, dim], activation))
        nn.init.zeros_(self.network[-1].weight)
        nn.init.zeros_(self.network[-1].bias)

    def refined(self, start: Points) -> Points:
        return start + self.network(start).unflatten(1, self.shape)


class RefinedImages(Refined):
    """d is a U-Net of `channels` and `hidden`; images lie between −1 and 1."""

    def __init__(
        self,
        shape: Sequence[int],
        components: int,
        rank: int,
        n_iterations: int,
        channels: Sequence[int],
        hidden: int,
    ):
        super().__init__(shape, components, rank, False, n_iterations)
        self.network = UNet(shape[1:], shape[0], shape[0], channels, hidden, normed=True)

    def refined(self, start: Points) -> Points:
        start = start.clamp(-1.3, 1.3)
        return torch.tanh(start.clamp(-EDGE, EDGE).atanh() + self.network(start))


class PointsFromMixture(Generator):
    """`RefinedPoints` with latents z ~ N(0, I); the arguments are its."""

    def __init__(
        self,
        shape: Sequence[int],
        components: int = 60,
        rank: int = 1,
        n_iterations: int = 30,
        hidden: Sequence[int] = (128, 128, 128),
        activation: Activation = "silu",
    ):
        network = RefinedPoints(shape, components, rank, n_iterations, hidden, activation)
        super().__init__(network, NormalPrior(network.latent_dim))


class ImagesFromMixture(Generator):
    """`RefinedImages` with latents z ~ N(0, I); the arguments are its."""

    def __init__(
        self,
        shape: Sequence[int],
        components: int = 50,
        rank: int = 100,
        n_iterations: int = 0,
        channels: Sequence[int] = (24, 48),
        hidden: int = 256,
    ):
        if len(shape) != 3:
            raise ValueError(f"shape must be [C, H, W], got {list(shape)}")
        network = RefinedImages(shape, components, rank, n_iterations, channels, hidden)
        super().__init__(network, NormalPrior(network.latent_dim))
