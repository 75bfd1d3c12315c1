"""Convolutional feature extractors: x -> f(x), each layer halves the image."""

from collections.abc import Sequence

from torch import nn

from energy_gan.nn import (
    BOUNDED,
    Activation,
    halving_convolutions,
    make_activation,
    small_normal,
    spectrally_normed,
)


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
        last_activation: of the last; with tanh or sigmoid f is bounded.
        kernel: odd, at least 3.
        weight_std: of the first weights, positive; None leaves torch's.
        spectral_norm: keep the largest singular value of each layer's weights at 1, whatever they are.
        batch_norm: after each convolution by the batch's own mean and variance, in evaluation too. f(x) then
            depends on who else is in the batch: an energy made of it has no density of single points.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int] = (128, 256, 512, 1024),
        activation: Activation = "relu",
        last_activation: Activation = "tanh",
        kernel: int = 5,
        weight_std: float | None = 0.01,
        spectral_norm: bool = False,
        batch_norm: bool = False,
    ):
        layers, out_features = halving_convolutions(shape, channels, kernel, activation, batch_norm)
        layers[-1] = make_activation(last_activation)
        super().__init__(*layers, nn.Flatten())
        self.out_features = out_features
        self.bounded = last_activation in BOUNDED
        if weight_std is not None:
            self.apply(small_normal(weight_std, bias=0.1))
        if spectral_norm:
            spectrally_normed(self)
