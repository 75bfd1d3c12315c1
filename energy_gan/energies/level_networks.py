"""Networks of a point and its noise level, f(y, log σ): what an energy over noise levels adds to its base.

Both read out a number that starts at 0, so that training begins at the base.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from energy_gan.nn import mlp, sizes
from energy_gan.shapes import Energies, Points

WAVES = 8


class LevelEncoding(nn.Module):
    """log σ -> numbers that modulate layers: waves of it, then two layers.

    Args:
        low, high: the levels between which the waves go.
        out_features: of all that is modulated.
    """

    def __init__(self, low: float, high: float, out_features: int):
        super().__init__()
        self.start, self.length = math.log(low), math.log(high / low)
        self.register_buffer("frequencies", torch.arange(1, WAVES + 1) * math.pi / 4)
        self.layers = mlp([2 * WAVES + 1, 64, out_features], "silu")
        nn.init.normal_(self.layers[-1].weight, std=0.02)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, log_sigma: Energies) -> Float[Tensor, "B F"]:
        t = ((log_sigma - self.start) / self.length)[:, None]
        waves = t * self.frequencies
        return self.layers(torch.cat([t, waves.sin(), waves.cos()], 1))


def modulated(h: Tensor, by: Tensor) -> Tensor:
    """silu((1 + a) h + b), a and b one number a channel."""
    a, b = by.view(*by.shape, *[1] * (h.ndim - 2)).chunk(2, 1)
    return F.silu(torch.addcmul(b, h, 1 + a))


def level_scale(log_sigma: Energies) -> Energies:
    """c = (σ² + ¼)^−½: y c has numbers of one size at all levels."""
    return ((2 * log_sigma).exp() + 0.25).rsqrt()


class MLPLevels(nn.Module):
    """Fully connected, of points: layers of [c y, waves of log σ], then a number.

    Args:
        shape: of one point.
        low, high: the ends of the ladder.
        hidden: widths of the layers.
        input_gain: the first layer's weights start this many times larger: fine structure is found sooner.
    """

    at_most_linear = True

    def __init__(
        self,
        shape: Sequence[int],
        low: float,
        high: float,
        hidden: Sequence[int] = (128, 128, 128),
        input_gain: float = 3.0,
    ):
        super().__init__()
        widths = [math.prod(shape), *sizes("hidden", hidden)]
        self.layers = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(widths))
        self.readout = nn.Linear(widths[-1], 1)
        self.encoding = LevelEncoding(low, high, 2 * sum(widths[1:]))
        self.widths = [2 * n for n in widths[1:]]
        with torch.no_grad():
            self.layers[0].weight.mul_(input_gain)
            self.readout.weight.zero_()
            self.readout.bias.zero_()

    def features(self, h: Float[Tensor, "B N"], log_sigma: Energies) -> Float[Tensor, "B F"]:
        for layer, by in zip(self.layers, self.encoding(log_sigma).split(self.widths, 1), strict=True):
            h = modulated(layer(h), by)
        return h

    def forward(self, y: Points, log_sigma: Energies) -> Energies:
        return self.readout(self.features(y.flatten(1) * level_scale(log_sigma)[:, None], log_sigma))[:, 0]


class ConvLevels(nn.Module):
    """Convolutional, of images: maps at half the size, each further stage half of that, then dense layers.

    Every stage has a layer and one more around which it is added, and a read-out: linear at each place, and
    quadratic summed over the places, the weights of both by level. A quadratic read-out sees how much texture
    there is, of which a sum over hundreds of places is the noise's own size.

    Args:
        shape: of one image, [C, H, W]; H and W must be divisible by 2^len(channels).
        low, high: the ends of the ladder.
        channels: of the stages.
        hidden: width of the dense layers.
    """

    def __init__(
        self,
        shape: Sequence[int],
        low: float,
        high: float,
        channels: Sequence[int] = (32, 64),
        hidden: int = 512,
    ):
        super().__init__()
        channels, depth = sizes("channels", channels), 2 ** len(channels)
        if len(shape) != 3 or not channels or shape[1] % depth or shape[2] % depth:
            raise ValueError(
                f"shape must be [C, H, W] with H and W divisible by {depth}, 2 for each of the channels "
                f"{channels}, got {list(shape)}: give fewer channels"
            )
        first, height, width = nn.Conv2d(4 * shape[0], channels[0], 3, padding=1), shape[1], shape[2]
        down = [first, *(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(channels))]
        self.down = nn.ModuleList(down)
        self.across = nn.ModuleList(nn.Conv2d(n, n, 3, padding=1) for n in channels)
        places = [(height >> k + 1, width >> k + 1) for k in range(len(channels))]
        flat = channels[-1] * math.prod(places[-1])
        self.dense = nn.ModuleList([nn.Linear(flat, hidden), nn.Linear(hidden, hidden)])
        self.linear = nn.ParameterList(
            torch.zeros(n, *place) for n, place in zip(channels, places, strict=True)
        )
        self.last = nn.Parameter(torch.randn(hidden) * 0.01)
        modulations = [2 * n for n in [*(n for n in channels for _ in range(2)), hidden, hidden]]
        gates = [n for n in channels for _ in range(2)] + [hidden, 1]
        self.splits = [*modulations, *gates]
        self.encoding = LevelEncoding(low, high, sum(self.splits))
        for layer in [*self.down, *self.across, *self.dense]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, y: Points, log_sigma: Energies) -> Energies:
        by = list(self.encoding(log_sigma).split(self.splits, 1))
        n = len(self.down)
        gates = by[2 * n + 2 :]
        h = F.pixel_unshuffle(y * level_scale(log_sigma)[:, None, None, None], 2)
        h = h.contiguous(memory_format=torch.channels_last)
        total = gates[-1][:, 0]
        for k, (down, across) in enumerate(zip(self.down, self.across, strict=True)):
            h = modulated(down(h), by[2 * k])
            h = h + modulated(across(h), by[2 * k + 1])
            total = total + ((1 + gates[2 * k]) * (h * self.linear[k]).sum((2, 3))).sum(1)
            total = total + 0.05 * (gates[2 * k + 1] * h.square().sum((2, 3))).sum(1)
        h = modulated(self.dense[0](h.flatten(1)), by[2 * n])
        h = h + modulated(self.dense[1](h), by[2 * n + 1])
        return total + 3 * (h * (self.last + 0.1 * gates[-2])).sum(1)
