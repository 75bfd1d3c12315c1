"""How the score of a generator's noised samples differs from that of an energy over noise levels.

    r(y, D, log σ) ≈ E[ε | y] − σ ∂E/∂y,    y = G(z) + σ ε,    D = y − σ² ∂E/∂y

D is what the energy takes y for without its noise. r starts at 0, where the two laws are one.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.energies.level_networks import LevelEncoding, MLPLevels, level_scale
from energy_gan.generators.unet import UNet
from energy_gan.samplers.base import per_chain
from energy_gan.shapes import Energies, Points


class MLPScore(MLPLevels):
    """Fully connected, of points: see `MLPLevels`, with y and D for its input and a point for its output."""

    def __init__(
        self,
        shape: Sequence[int],
        low: float,
        high: float,
        hidden: Sequence[int] = (128, 128, 128),
        input_gain: float = 3.0,
    ):
        super().__init__([2 * math.prod(shape)], low, high, hidden, input_gain)
        self.readout = nn.Linear(hidden[-1], math.prod(shape))
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def forward(self, y: Points, denoised: Points, log_sigma: Energies) -> Points:
        both = torch.cat([y * per_chain(level_scale(log_sigma), y), denoised], 1)
        return self.readout(self.features(both, log_sigma))


class ConvScore(nn.Module):
    """A U-Net, of images.

    Args:
        shape: of one image, [C, H, W].
        low, high: the ends of the ladder.
        channels, hidden: of the U-Net.
    """

    def __init__(
        self,
        shape: Sequence[int],
        low: float,
        high: float,
        channels: Sequence[int] = (24, 48),
        hidden: int = 384,
    ):
        super().__init__()
        self.network = UNet(shape[1:], 2 * shape[0], shape[0], channels, hidden, normed=False)
        self.encoding = LevelEncoding(low, high, 2 * sum(self.network.widths))

    def forward(self, y: Points, denoised: Points, log_sigma: Energies) -> Points:
        both = torch.cat([y * per_chain(level_scale(log_sigma), y), denoised], 1)
        return self.network(both, self.encoding(log_sigma))
