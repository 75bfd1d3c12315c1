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
RAW = math.log(math.e - 1)  # softplus of it is 1


class Layers(nn.Module):
    """(z₁, …, z_L) in one row -> what `last` makes of h_L.

    Args:
        latents: numbers in each layer's z.
        shapes: of each layer's h.
        grow: hₗ₋₁ -> what is added to the part of vₗ in hₗ, a module for each layer but the first.
        last: h_L -> x.
    """

    def __init__(
        self,
        latents: Sequence[int],
        shapes: Sequence[Sequence[int]],
        grow: Sequence[nn.Module],
        last: nn.Module,
        activation: Activation,
    ):
        super().__init__()
        self.latents, self.shapes = list(latents), [tuple(shape) for shape in shapes]
        self.enter = nn.ModuleList(
            nn.Linear(n, math.prod(shape)) for n, shape in zip(self.latents, self.shapes, strict=True)
        )
        self.law = nn.ModuleList(
            nn.Linear(math.prod(shape), 2 * n)
            for shape, n in zip(self.shapes, self.latents[1:], strict=False)
        )
        self.grow, self.last, self.activation = nn.ModuleList(grow), last, make_activation(activation)
        with torch.no_grad():
            for law in self.law:  # nearly N(0, 1) at first
                law.weight *= 0.1
                law.bias.zero_()

    def forward(self, latent: Latents) -> Float[Tensor, "B ..."]:
        first, *others = latent.split(self.latents, 1)
        h = self.activation(self.enter[0](first)).unflatten(1, self.shapes[0])
        layers = zip(others, self.law, self.grow, self.enter[1:], self.shapes[1:], strict=True)
        for z, law, grow, enter, shape in layers:
            mean, raw = law(h.flatten(1)).chunk(2, 1)
            v = mean + nn.functional.softplus(raw + RAW) * z
            h = self.activation(grow(h) + enter(v).unflatten(1, shape))
        return self.last(h)


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
        grow = [nn.Linear(width, width) for _ in latents[1:]]
        network = Layers(
            latents,
            [(width,)] * len(latents),
            grow,
            nn.Sequential(*last, nn.Unflatten(1, tuple(shape))),
            activation,
        )
        super().__init__(network, prior, noise)


class ConvLayers(Generator):
    """Maps that each layer of latents is added to, from the smallest image up; tanh at the end.

    The layers of latents enter one a size, those that are left at the largest but for x. Between two sizes
    there is a transposed convolution of stride 2, within one a convolution whose outcome is added to h.

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
        maps = [(channels[k], *(side * 2**k // halvings for side in shape[1:])) for k in stages]
        super().__init__(Layers(latents, maps, grow, nn.Sequential(*last), activation), prior, noise)


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
