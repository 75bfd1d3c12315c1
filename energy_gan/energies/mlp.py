"""Fully connected feature extractors: x -> f(x)."""

import math
from collections.abc import Sequence

from torch import nn

from energy_gan.nn import BOUNDED, Activation, GaussianNoise, mlp, sizes, spectrally_normed


class Identity(nn.Flatten):
    """f(x) = x, flattened: with it the heads are the shallow models of Eq. 3 to 5."""

    bounded = False

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.out_features = math.prod(shape)


class MLPFeatures(nn.Sequential):
    """Linear layers with an activation after each; the last one should bound the features (Eq. 11).

    Args:
        shape: of one point.
        hidden: widths of the layers, the last is the number of features.
        activation: of all layers but the last.
        last_activation: of the last; with tanh or sigmoid f is bounded.
        input_gain: the first layer's weights and biases start this many times larger. Fine
            structure (thin spirals) is found sooner with 3.
        spectral_norm: keep the slope of each layer at 1 or less, whatever its weights and the gain.
        input_noise: standard deviation of noise that x gets in training, for encoders.
        dropout: the share of each layer's outputs that is set to 0 in training, for encoders.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int] = (128, 128),
        activation: Activation = "tanh",
        last_activation: Activation = "tanh",
        input_gain: float = 1.0,
        spectral_norm: bool = False,
        input_noise: float = 0.0,
        dropout: float = 0.0,
    ):
        widths = [math.prod(shape), *sizes("hidden", hidden)]
        if len(widths) < 2:
            raise ValueError("hidden must name at least one layer, got []")
        if not 0 < input_gain < math.inf:
            raise ValueError(f"input_gain must be a positive number, got {input_gain}")
        flat = nn.Sequential(nn.Flatten(), GaussianNoise(input_noise)) if input_noise else nn.Flatten()
        layers: list[nn.Module] = [flat, *mlp(widths, activation, last_activation)]
        if dropout:
            pairs = zip(layers[1::2], layers[2::2], strict=True)
            layers = [layers[0], *(part for pair in pairs for part in (*pair, nn.Dropout(dropout)))]
        super().__init__(*layers)
        self.out_features = widths[-1]
        self.bounded = last_activation in BOUNDED
        for parameter in self[1].parameters():
            parameter.data.mul_(input_gain)
        if spectral_norm:
            spectrally_normed(self)
