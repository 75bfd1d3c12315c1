"""Networks of pairs, T(x, z): a number for a point and a latent; and energies made of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from energy_gan.nn import Activation, halving_convolutions, mlp, sizes, small_normal
from energy_gan.shapes import Energies, Latents, Points

Features = Float[Tensor, "B F"]


class Statistics(nn.Module, ABC):
    """T(x, z), one number a pair. A subclass gives `head`, and `encode` where x has a network of its own.

    In two parts because each x is in several pairs and need be read only once.
    """

    def encode(self, x: Points) -> Features:
        """What the pairs of a point need to know of it."""
        return x.flatten(1)

    @abstractmethod
    def head(self, features: Features, latent: Latents) -> Energies:
        """T, row by row, of encoded points and latents."""

    def forward(self, x: Points, latent: Latents) -> Energies:
        return self.head(self.encode(x), latent)


class MLPStatistics(Statistics):
    """T(x, z) = w · f([x, z]) + b, fully connected.

    Args:
        shape: of one point.
        latent_dim: of the generator's prior.
        hidden: widths of the hidden layers; 512, 512, 512 in the paper's code for points in the plane.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int,
        hidden: Sequence[int] = (512, 512, 512),
        activation: Activation = "leaky_relu",
    ):
        super().__init__()
        n_in = math.prod(shape) + _at_least_1(latent_dim)
        self.network = mlp([n_in, *sizes("hidden", hidden), 1], activation)

    def head(self, features: Features, latent: Latents) -> Energies:
        return self.network(torch.cat([features, latent], 1))[:, 0]


class ConvStatistics(Statistics):
    """T(x, z) = w · f([c(x), z]) + b, where convolutions of stride 2 and a linear layer make x as short as z.

    Reference: the authors' code of Kumar et al. (2019), https://arxiv.org/abs/1901.08508; weights N(0, 0.02²)
    as there.

    Args:
        shape: of one image, [C, H, W]; H and W are divided by 2 in each layer, rounded up.
        latent_dim: of the generator's prior.
        channels: of the convolutions, at least one.
        hidden: widths of the layers after x and z have met; 512 in the authors' code.
        kernel: odd, at least 3.
        weight_std: of the first weights, positive; None leaves torch's.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int,
        channels: Sequence[int] = (128, 256),
        hidden: Sequence[int] = (512,),
        activation: Activation = "leaky_relu",
        kernel: int = 5,
        weight_std: float | None = 0.02,
    ):
        super().__init__()
        layers, n_features = halving_convolutions(shape, channels, kernel, activation)
        last = nn.Linear(n_features, _at_least_1(latent_dim))
        self.convolutions = nn.Sequential(*layers, nn.Flatten(), last)
        self.network = mlp([2 * latent_dim, *sizes("hidden", hidden), 1], activation)
        if weight_std is not None:
            self.apply(small_normal(weight_std, bias=0.0))

    def encode(self, x: Points) -> Features:
        return self.convolutions(x)

    def head(self, features: Features, latent: Latents) -> Energies:
        return self.network(torch.cat([features, latent], 1))[:, 0]


class PairEnergy(nn.Module):
    """E(x, z) = log(1 + exp T(x, z)), each layer of T of spectral norm one: of a slope that stays small.

    Reference: Joint Training of Variational Auto-Encoder and Latent Energy-Based Model (Han et al., 2020),
    https://arxiv.org/abs/2006.06059, and the authors' code.

    Args:
        statistics: T.
        normalised: the spectral norms, which the authors' code always has.
        positive: the softplus; otherwise E is T itself.
    """

    def __init__(self, statistics: Statistics, normalised: bool = True, positive: bool = True):
        super().__init__()
        self.statistics, self.positive = statistics, positive
        for layer in list(statistics.modules()) if normalised else ():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                spectral_norm(layer)

    def forward(self, x: Points, latent: Latents) -> Energies:
        found = self.statistics(x, latent)
        return F.softplus(found) if self.positive else found


def _at_least_1(latent_dim: int) -> int:
    if latent_dim < 1:
        raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
    return latent_dim
