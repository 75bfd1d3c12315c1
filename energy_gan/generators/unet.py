"""A U-Net: images to images of the same size, with dense layers at the bottom.

Its blocks are batch norm and ReLU, or, where numbers of a noise level modulate it, SiLU without a norm:
points at different levels have no statistics in common.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from energy_gan.energies.level_networks import modulated
from energy_gan.nn import sizes


class UNet(nn.Module):
    """Maps at half the size, each further stage half of that, and back, with a sum across at each stage.

    The last layer starts at 0.

    Args:
        size: H, W, divisible by 2^len(channels).
        n_in, n_out: channels of the images.
        channels: of the stages.
        hidden: width of the dense layer.
        normed: batch norm and ReLU; otherwise `forward` gets what modulates.
    """

    def __init__(
        self, size: Sequence[int], n_in: int, n_out: int, channels: Sequence[int], hidden: int, normed: bool
    ):
        super().__init__()
        channels, depth = sizes("channels", channels), 2 ** len(channels)
        if not channels or any(side % depth for side in size):
            raise ValueError(
                f"height and width must be divisible by {depth}, 2 for each of the channels {channels}, got "
                f"{list(size)}: give fewer channels"
            )
        deepest = (channels[-1], *(side // depth for side in size))
        self.deepest, flat, bias = deepest, math.prod(deepest), not normed
        downs = [(channels[0], nn.Conv2d(4 * n_in, channels[0], 3, padding=1, bias=bias))]
        downs += [(b, nn.Conv2d(a, b, 4, 2, 1, bias=bias)) for a, b in pairwise(channels)]
        ups = [(a, nn.ConvTranspose2d(b, a, 4, 2, 1, bias=bias)) for a, b in pairwise(channels)][::-1]
        ends = [
            (channels[-1], nn.Conv2d(channels[-1], channels[-1], 3, padding=1, bias=bias)),
            (hidden, nn.Linear(flat, hidden, bias=bias)),
            (channels[-1], nn.Conv2d(channels[-1], channels[-1], 3, padding=1, bias=bias)),
        ]
        blocks = [
            *downs,
            *ends,
            *ups,
            (channels[0], nn.Conv2d(channels[0], channels[0], 3, padding=1, bias=bias)),
        ]
        self.widths, layers = [width for width, _ in blocks], [layer for _, layer in blocks]
        self.layers, self.n_down = nn.ModuleList(layers), len(downs)
        norms = [nn.BatchNorm1d(w) if isinstance(x, nn.Linear) else nn.BatchNorm2d(w) for w, x in blocks]
        self.norms = nn.ModuleList(norms) if normed else None
        self.spread = nn.Linear(hidden, flat)
        self.last = nn.Conv2d(channels[0], 4 * n_out, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, by: Tensor | None = None) -> Tensor:
        settings = None if by is None else by.split([2 * width for width in self.widths], 1)
        k = 0

        def block(h: Tensor) -> Tensor:
            nonlocal k
            h = self.layers[k](h)
            h = modulated(h, settings[k]) if self.norms is None else F.relu(self.norms[k](h))
            k += 1
            return h

        h, kept = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last), []
        for _ in range(self.n_down):
            h = block(h)
            kept.append(h)
        h = h + block(h)
        h = h + self.spread(block(h.flatten(1))).unflatten(1, self.deepest)
        h = h + block(h)
        for across in reversed(kept[:-1]):
            h = block(h) + across
        h = h + block(h)
        return F.pixel_shuffle(self.last(h), 2)
