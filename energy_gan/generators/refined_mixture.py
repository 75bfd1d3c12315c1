"""A generator that begins at a mixture of Gaussians, and has to learn only what the mixture cannot draw.

    x = tanh(atanh(m(z)) + d(m(z))),    m(z) = μₖ + Wₖ z',    z = (z₀, z'),  k by the place of z₀ in N(0, 1)

The mixture is fitted to the data before the first step and then stays; d is a U-Net that starts at 0.
"""

from collections.abc import Sequence

import torch

from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.priors import NormalPrior
from energy_gan.generators.unet import UNet
from energy_gan.nn import Fitted
from energy_gan.numerics.ppca import PPCAMixture
from energy_gan.shapes import Latents, Points

EDGE = 0.97  # of pixels before atanh


class MixtureUNet(Fitted):
    """z -> m(z) -> x, of images between −1 and 1.

    Args:
        shape: of one image, [C, H, W].
        latent_dim: one more than the axes of each component.
        components: of the mixture, at least 1.
        channels, hidden: of the U-Net.
        n_iterations: of EM.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int,
        components: int = 50,
        channels: Sequence[int] = (24, 48),
        hidden: int = 256,
        n_iterations: int = 0,
    ):
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"shape must be [C, H, W], got {list(shape)}")
        if latent_dim < 2 or components < 1:
            raise ValueError(
                f"latent_dim must be at least 2 and components at least 1, got {latent_dim} and {components}"
            )
        self.shape, self.n_iterations = tuple(shape), n_iterations
        dim = torch.Size(shape).numel()
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("ends", torch.arange(1, components + 1) / components)  # of z₀'s pieces
        self.register_buffer("means", torch.zeros(components, dim))
        factors = torch.eye(latent_dim - 1, dim).expand(components, -1, -1)
        self.register_buffer("factors", factors.clone())
        self.network = UNet(shape[1:], shape[0], shape[0], channels, hidden, normed=True)

    @torch.no_grad()
    def fit(self, x: Points, seed: int = 0) -> None:
        flat = x.flatten(1)
        components, rank, dim = self.factors.shape
        if len(flat) < components or rank >= dim:
            raise InputError(
                f"{len(flat)} points of {dim} numbers carry no {components} components of {rank} axes: give "
                "smaller method.generator.components and method.generator.prior.latent_dim"
            )
        found = PPCAMixture.fit(flat, components, rank, self.n_iterations, seed)
        self.ends.copy_(found.weights.cumsum(0))
        self.means.copy_(found.means)
        self.factors.copy_(found.factors.mT)
        self.fitted.fill_(True)

    def start(self, latent: Latents) -> Points:
        """m(z)."""
        place = torch.special.ndtr(latent[:, 0]).contiguous()
        k = torch.searchsorted(self.ends, place).clamp(max=len(self.ends) - 1)
        mixed = torch.empty_like(self.means[k])
        for own in k.unique().tolist():
            rows = k == own
            mixed[rows] = self.means[own] + latent[rows, 1:] @ self.factors[own]
        return mixed.unflatten(1, self.shape)

    def forward(self, latent: Latents) -> Points:
        start = self.start(latent).clamp(-1.3, 1.3)
        return torch.tanh(start.clamp(-EDGE, EDGE).atanh() + self.network(start))


class MixtureGenerator(Generator):
    """`MixtureUNet` with latents z ~ N(0, I).

    Args:
        shape, components, channels, hidden, n_iterations: of the network.
        latent_dim: of the prior, at least 2.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int = 101,
        components: int = 50,
        channels: Sequence[int] = (24, 48),
        hidden: int = 256,
        n_iterations: int = 0,
    ):
        network = MixtureUNet(shape, latent_dim, components, channels, hidden, n_iterations)
        super().__init__(network, NormalPrior(latent_dim))
