"""An autoencoder of images of any size, made of dilated convolutions."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from energy_gan.nn import Activation, make_activation, sizes
from energy_gan.shapes import Points


class DilatedAutoencoder(nn.Module):
    """G(x): 3×3; 3×3 of dilation 2; parallel 3×3 of several dilations, concatenated; 1×1; ReLU.

    Height and width stay as they are, so one network serves all grids. A pixel of G(x) sees
    1 + 2 + 4 + 2 · (greatest rate) pixels of x a side. The ReLU stands for brightness, which has no negative
    values: images from −1 to 1 become ones from 0 to 1 before the first layer, and back after the last. Where
    it is 0 nothing is learned, so its bias starts at ½, in the middle.

    Reference: Towards More Effective Energy-based Deep Learning (Malhotra), section III.F and figure 4, which
    give neither rates nor widths nor the activations in between.

    Args:
        channels: of the images.
        width: channels of each layer, and of each parallel one, at least 1.
        rates: dilations of the parallel ones, at least one; theirs are six.
        activation: of all layers but the last.
    """

    def __init__(
        self,
        channels: int,
        width: int = 16,
        rates: Sequence[int] = (1, 2, 3, 4, 6, 8),
        activation: Activation = "relu",
    ):
        super().__init__()
        if not rates:
            raise ValueError("rates must name at least one dilation, got []")
        (width,), rates = sizes("width", [width]), sizes("rates", rates)
        self.first = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            make_activation(activation),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
            make_activation(activation),
        )
        self.parallel = nn.ModuleList(nn.Conv2d(width, width, 3, padding=r, dilation=r) for r in rates)
        self.activation = make_activation(activation)
        self.last = nn.Conv2d(width * len(rates), channels, 1)
        nn.init.constant_(self.last.bias, 0.5)

    def forward(self, x: Points) -> Points:
        h = self.first((x + 1) / 2)
        together = torch.cat([branch(h) for branch in self.parallel], 1)
        return 2 * F.relu(self.last(self.activation(together))) - 1
