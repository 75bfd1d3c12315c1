"""Features of classifiers that are to be small: convolutions with pooling after each, dense layers."""

from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.nn import Activation, convolution_channels, make_activation, sizes
from energy_gan.shapes import Points


class Shift(nn.Module):
    """x − by."""

    def __init__(self, by: float):
        super().__init__()
        self.by = by

    def forward(self, x: Points) -> Points:
        return x - self.by


class PooledConvFeatures(nn.Sequential):
    """Convolutions with an activation and 2×2 max-pooling after each, then dense layers.

    With channels 32 and 16, a kernel of 5 and one dense layer of 8 on 28×28 it is the 20,018 weights of A
    Generative Model for Sampling High-Performance and Diverse Weights for Neural Networks (Deutsch, Nijkamp,
    Yang, 2019), https://arxiv.org/abs/1905.02898, with the 10 logits.

    Args:
        shape: of one image, [C, H, W].
        channels: of the convolutions; none if empty.
        hidden: widths of the dense layers; none if empty.
        activation: of all layers.
        kernel: odd, at least 3; images keep their size.
        shrink: the image is first averaged over squares of so many pixels a side, at least 1.
        background: the value of a pixel that shows nothing. It becomes 0, as the padding is; without that the
            first layer learns slowly.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int] = (32, 16),
        hidden: Sequence[int] = (8,),
        activation: Activation = "relu",
        kernel: int = 5,
        shrink: int = 1,
        background: float = -1.0,
    ):
        if shrink < 1:
            raise ValueError(f"shrink must be at least 1, got {shrink}")
        before, layers = shape[0], [Shift(background), nn.AvgPool2d(shrink)]
        for n_out in convolution_channels(shape, channels, kernel) if channels else ():
            layers += [nn.Conv2d(before, n_out, kernel, padding=kernel // 2), make_activation(activation)]
            layers.append(nn.MaxPool2d(2))
            before = n_out
        layers.append(nn.Flatten())
        width = nn.Sequential(*layers)(torch.zeros(1, *shape)).shape[1]
        for n_out in sizes("hidden", hidden):
            layers += [nn.Linear(width, n_out), make_activation(activation)]
            width = n_out
        super().__init__(*layers)
        self.out_features = width
