"""A flow of images: multi-scale couplings, one pass in either direction, its density known exactly."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from energy_gan.generators.base import Generator, Pushed
from energy_gan.generators.couplings import AffineCoupling, Half, Maps, halves
from energy_gan.generators.output_noise import Scale
from energy_gan.generators.pixel_marginals import PixelMarginals
from energy_gan.generators.priors import NormalPrior
from energy_gan.shapes import Energies, Latents, Points


class Level(nn.Module):
    """2×2 pixels into channels, couplings, and half of the channels go: they are latents as they are.

    The last coupling moves what goes by what stays, so that its law is a conditional one.

    Args:
        shape: of the maps that come in, [C, H, W] with H and W even.
        pairs: of couplings, at least 1; both halves are moved in each.
    """

    def __init__(self, shape: Sequence[int], pairs: int, width: int):
        super().__init__()
        channels, height, columns = shape
        squeezed = (4 * channels, height // 2, columns // 2)
        self.couplings = nn.ModuleList()
        for number in range(pairs):
            stays, goes = halves(squeezed[0], number)
            self.couplings.append(AffineCoupling(squeezed, goes, stays, width))
            self.couplings.append(AffineCoupling(squeezed, stays, goes, width))
        self.stays, self.goes = stays, goes
        self.back = sorted(range(squeezed[0]), key=[*stays, *goes].__getitem__)
        self.shape = (len(stays), *squeezed[1:])

    def forward(self, x: Maps) -> tuple[Half, Half, Energies]:
        """What stays, what goes, and log |det|."""
        x, total = F.pixel_unshuffle(x, 2), 0.0
        for coupling in self.couplings:
            x, log_det = coupling(x)
            total = total + log_det
        return x[:, self.stays], x[:, self.goes], total

    def inverse(self, stays: Half, goes: Half) -> tuple[Half, Energies]:
        x, total = torch.cat([stays, goes], 1)[:, self.back], 0.0
        for coupling in reversed(self.couplings):
            x, log_det = coupling.inverse(x)
            total = total + log_det
        return F.pixel_shuffle(x, 2), total


class MultiScale(nn.Module):
    """f: x -> z, pixels by their marginals, then level by level.

    Reference: Density estimation using Real NVP (Dinh et al., 2016), https://arxiv.org/abs/1605.08803,
    section 3.6.
    """

    def __init__(self, shape: Sequence[int], shades: int, levels: int, pairs: int, width: int):
        super().__init__()
        self.marginals, self.levels = PixelMarginals(shape, shades), nn.ModuleList()
        for _ in range(levels):
            self.levels.append(Level(shape, pairs, width))
            shape = self.levels[-1].shape

    def forward(self, x: Points) -> tuple[Latents, Energies]:
        """z of x, and log |det ∂z/∂x|."""
        x, total = self.marginals(x)
        latent = []
        for level in self.levels:
            x, goes, log_det = level(x)
            latent.append(goes.flatten(1))
            total = total + log_det
        return torch.cat([*latent, x.flatten(1)], 1), total

    def inverse(self, latent: Latents) -> tuple[Points, Energies]:
        """x of z, and log |det ∂x/∂z|."""
        sizes = [math.prod(level.shape) for level in self.levels]
        *parts, x = latent.split([*sizes, sizes[-1]], 1)
        x, total = x.unflatten(1, self.levels[-1].shape), 0.0
        for level, part in zip(reversed(self.levels), reversed(parts), strict=True):
            x = x.reshape(-1, *level.shape)
            x, log_det = level.inverse(x, part.unflatten(1, level.shape))
            total = total + log_det
        x, log_det = self.marginals.inverse(x)
        return x, total + log_det


class ImageFlow(Generator):
    """x = f⁻¹(z), z ~ N(0, I), with log q(x) = log N(f(x); 0, I) + log |det ∂f/∂x|, of images with noise.

    Args:
        shape: of one image, [C, H, W].
        shades: of a pixel, at least 2; the method's own, whose noise makes images continuous.
        levels: at least 1; each halves the height and the width, which have to be even there.
        pairs: of couplings in a level, at least 1.
        width: channels of each coupling's network, at least 1.
    """

    knows_density = True

    def __init__(
        self,
        shape: Sequence[int],
        shades: int = 256,
        levels: int = 2,
        pairs: int = 3,
        width: int = 32,
    ):
        if min(levels, pairs, width) < 1 or shades < 2:
            raise ValueError(
                "levels, pairs and width must be at least 1 and shades at least 2, got "
                f"{levels}, {pairs}, {width} and {shades}"
            )
        if len(shape) != 3 or any(side % 2**levels for side in shape[1:]):
            raise ValueError(
                "a flow of images halves their height and width in each level: shape must be [C, H, W], both "
                f"multiples of {2**levels}, got {list(shape)}; of points give a FlowGenerator"
            )
        network = MultiScale(tuple(shape), shades, levels, pairs, width)
        super().__init__(network, NormalPrior(math.prod(shape)))

    def moments(self, latent: Latents) -> tuple[Points, Scale | None]:
        return self.network.inverse(latent)[0], None

    def log_prob(self, x: Points) -> Energies:
        latent, log_det = self.network(x)
        return self.prior.log_prob(latent) + log_det

    def pushed(self, latent: Latents) -> Pushed:
        x, log_det = self.network.inverse(latent)
        return Pushed(x, self.prior.log_prob(latent) - log_det)
