"""Convolutional feature extractors: x -> f(x), each layer halves the image."""

from collections.abc import Sequence

from torch import nn

from energy_gan.nn import Activation, BoundedActivation, make_activation, sizes, small_normal


class ConvFeatures(nn.Sequential):
    """5×5 convolutions of stride 2, an activation after each, no batch norm; the last one bounds f (Eq. 11).

    With channels 128, 256, 512, 1024 on 64×64 colour images it is the paper's, 16,384 features.

    Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
    (Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, section 4.2; first weights N(0, 0.01²) and biases
    0.1 as in the author's code.

    Args:
        shape: of one image, [C, H, W]; H and W are divided by 2 in each layer, rounded up.
        channels: of the layers, at least one.
        activation: of all layers but the last.
        last_activation: of the last; tanh or sigmoid, so that f is bounded.
        kernel: odd, at least 3.
        weight_std: of the first weights, positive; None leaves torch's.
    """

    bounded = True

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int] = (128, 256, 512, 1024),
        activation: Activation = "relu",
        last_activation: BoundedActivation = "tanh",
        kernel: int = 5,
        weight_std: float | None = 0.01,
    ):
        channels = sizes("channels", channels)
        if len(shape) != 3 or not channels:
            raise ValueError(f"shape must be [C, H, W] and channels not empty, got {list(shape)}, {channels}")
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd and at least 3, got {kernel}")
        n_in, height, width = shape
        layers: list[nn.Module] = []
        for n_out in channels:
            layers += [nn.Conv2d(n_in, n_out, kernel, 2, kernel // 2), make_activation(activation)]
            n_in, height, width = n_out, (height + 1) // 2, (width + 1) // 2
        layers[-1] = make_activation(last_activation)
        super().__init__(*layers, nn.Flatten())
        self.out_features = n_in * height * width
        if weight_std is not None:
            self.apply(small_normal(weight_std, bias=0.1))
