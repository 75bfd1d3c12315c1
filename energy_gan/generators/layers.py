"""Generators of several layers of latents, each of which bends the law of the next.

    h₁ = f₁(z₁),   hₗ = fₗ(hₗ₋₁, vₗ),   vₗ = μₗ(hₗ₋₁) + σₗ(hₗ₋₁) zₗ,   x = g(h_L)

The latents are non-centred: vₗ depends on the layers above, z = (z₁, …, z_L) is N(0, I) all the same, so that
one step size suits the chains of all layers. With one layer it is a plain generator.

Reference: Learning Multi-layer Latent Variable Model via Variational Optimization of Short Run MCMC for
Approximate Inference (Nijkamp et al., 2019), https://arxiv.org/abs/1912.01909, section 2.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.generators.base import Generator
from energy_gan.generators.output_noise import OutputNoise
from energy_gan.generators.priors import Prior
from energy_gan.nn import Activation, convolution_channels, make_activation, sizes
from energy_gan.shapes import Latents

MOST = 5  # layers
NARROW = 4  # maps through which a layer enters images
RAW = math.log(math.e - 1)  # softplus of it is 1


class Layers(nn.Module):
    """(z₁, …, z_L) in one row -> what `last` makes of h_L.

    Args:
        latents: numbers in each layer's z.
        enter: vₗ -> its part of hₗ, a module for each layer, the first of which has v₁ = z₁.
        law: hₗ₋₁ -> μₗ and what σₗ is made of, 2 numbers for each of zₗ; for each layer but the first.
        grow: hₗ₋₁ -> its part of hₗ, likewise.
        last: h_L -> x.
    """

    def __init__(
        self,
        latents: Sequence[int],
        enter: Sequence[nn.Module],
        law: Sequence[nn.Module],
        grow: Sequence[nn.Module],
        last: nn.Module,
        activation: Activation,
    ):
        super().__init__()
        self.latents, self.activation, self.last = list(latents), make_activation(activation), last
        self.enter, self.law, self.grow = (nn.ModuleList(part) for part in (enter, law, grow))

    def forward(self, latent: Latents) -> Float[Tensor, "B ..."]:
        first, *others = latent.split(self.latents, 1)
        h = self.activation(self.enter[0](first))
        for z, law, grow, enter in zip(others, self.law, self.grow, self.enter[1:], strict=True):
            mean, raw = law(h).chunk(2, 1)
            h = self.activation(grow(h) + enter(mean + nn.functional.softplus(raw + RAW) * z))
        return self.last(h)


def near_standard(features: int, n: int) -> nn.Linear:
    """A law's last layer: nearly N(0, 1) at first."""
    linear = nn.Linear(features, 2 * n)
    with torch.no_grad():
        linear.weight *= 0.1
        linear.bias.zero_()
    return linear


class MLPLayers(Generator):
    """A hidden layer for each layer of latents, then one more, then a linear layer to x.

    Args:
        shape: of one point.
        prior: N(0, I) of as many numbers as `latents` add up to.
        latents: numbers in each layer's z, from the top, 1 to 5 layers.
        width: of all hidden layers.
        activation: of them.
        noise: at the output, of a scale that the network does not give.
        bounded: end in tanh, for images with values between −1 and 1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        prior: Prior,
        latents: Sequence[int],
        width: int = 512,
        activation: Activation = "leaky_relu",
        noise: OutputNoise | None = None,
        bounded: bool = False,
    ):
        (width,), latents = sizes("width", [width]), checked(latents, prior, noise)
        last = [nn.Linear(width, width), make_activation(activation), nn.Linear(width, math.prod(shape))]
        last += [nn.Tanh()] if bounded else []
        last.append(nn.Unflatten(1, tuple(shape)))
        enter = [nn.Linear(n, width) for n in latents]
        law = [near_standard(width, n) for n in latents[1:]]
        grow = [nn.Linear(width, width) for _ in latents[1:]]
        super().__init__(Layers(latents, enter, law, grow, nn.Sequential(*last), activation), prior, noise)


class ConvLayers(Generator):
    """Maps that each layer of latents is added to, from the smallest image up; tanh at the end.

    The layers of latents enter one a size, those that are left at the largest but for x. Between two sizes
    there is a transposed convolution of stride 2, within one a residual block. A layer enters, and is read,
    through 4 maps of that size.

    Args:
        shape: of one image, [C, H, W]; H and W must be divisible by 2^len(channels).
        prior: N(0, I) of as many numbers as `latents` add up to.
        latents: numbers in each layer's z, from the top, 1 to 5 layers.
        channels: of the maps from the smallest image to the largest; [64] with images of 32×32 has all layers
            at 16×16, as published.
        activation: of the hidden layers.
        kernel: odd, at least 3.
        noise: at the output, of a scale that the network does not give.
    """

    def __init__(
        self,
        shape: Sequence[int],
        prior: Prior,
        latents: Sequence[int],
        channels: Sequence[int],
        activation: Activation = "gelu",
        kernel: int = 5,
        noise: OutputNoise | None = None,
    ):
        latents, channels = checked(latents, prior, noise), convolution_channels(shape, channels, kernel)
        halvings = 2 ** len(channels)
        if shape[1] % halvings or shape[2] % halvings:
            raise ValueError(
                f"height and width must be divisible by {halvings}, 2 for each of the channels {channels}, "
                f"got {list(shape)}: give fewer channels"
            )

        def up(n_in: int, n_out: int) -> nn.Module:
            return nn.ConvTranspose2d(n_in, n_out, kernel, 2, kernel // 2, output_padding=1)

        stages = [min(k, len(channels) - 1) for k in range(len(latents))]  # where each layer enters
        grow = [
            up(channels[a], channels[b]) if a < b else Residual(channels[b], kernel, activation)
            for a, b in pairwise(stages)
        ]
        last: list[nn.Module] = []
        for n_in, n_out in pairwise(channels[stages[-1] :]):
            last += [up(n_in, n_out), make_activation(activation)]
        last += [up(channels[-1], shape[0]), nn.Tanh()]
        areas = [tuple(side * 2**k // halvings for side in shape[1:]) for k in stages]
        at = list(zip(latents, [channels[k] for k in stages], areas, strict=True))
        enter = [entrance(n, width, area, kernel) for n, width, area in at]
        read = zip(latents[1:], at[:-1], strict=True)
        law = [reading(n, width, area, kernel, activation) for n, (_, width, area) in read]
        super().__init__(Layers(latents, enter, law, grow, nn.Sequential(*last), activation), prior, noise)


def entrance(n: int, channels: int, area: tuple[int, int], kernel: int) -> nn.Module:
    """n numbers -> maps of an area."""
    return nn.Sequential(
        nn.Linear(n, NARROW * math.prod(area)),
        nn.Unflatten(1, (NARROW, *area)),
        nn.Conv2d(NARROW, channels, kernel, padding=kernel // 2),
    )


def reading(n: int, channels: int, area: tuple[int, int], kernel: int, activation: Activation) -> nn.Module:
    """Maps of an area -> the law of n numbers."""
    return nn.Sequential(
        nn.Conv2d(channels, NARROW, kernel, padding=kernel // 2),
        make_activation(activation),
        nn.Flatten(),
        near_standard(NARROW * math.prod(area), n),
    )


class Residual(nn.Module):
    """h + f(h), f two convolutions."""

    def __init__(self, channels: int, kernel: int, activation: Activation):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2),
            make_activation(activation),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, h: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return h + self.f(h)


def checked(latents: Sequence[int], prior: Prior, noise: OutputNoise | None) -> list[int]:
    """ValueError unless the layers' numbers are those of the prior, and there are 1 to 5."""
    latents = sizes("latents", latents)
    if not 1 <= len(latents) <= MOST:
        raise ValueError(f"latents must be of 1 to {MOST} layers, got {latents}")
    if sum(latents) != prior.latent_dim:
        raise ValueError(
            f"latents must add up to the prior's latent_dim={prior.latent_dim}, got {latents}, {sum(latents)}"
        )
    if noise and noise.size:
        raise ValueError(f"noise must be of a scale that no network gives, got {type(noise).__name__}")
    return latents
