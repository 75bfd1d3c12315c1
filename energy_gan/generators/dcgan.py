"""Convolutional generators: z -> x, each layer doubles the image."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.generators.output_noise import OutputNoise
from energy_gan.generators.priors import Prior
from energy_gan.nn import Activation, GaussianNoise, convolution_channels, make_activation, small_normal


class ConvGenerator(Generator):
    """A linear layer to small maps, then 5×5 transposed convolutions of stride 2 with batch norm.

    With channels 1024, 512, 256, 128 on 64×64 colour images it is the paper's.

    Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
    (Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, section 4.2, after Unsupervised Representation
    Learning with Deep Convolutional GANs (Radford et al., 2015), https://arxiv.org/abs/1511.06434; first
    weights N(0, 0.01²), batch norm's shifts 0.1 and the noise ahead of it as in the author's code.

    Args:
        shape: of one image, [C, H, W]; H and W must be divisible by 2^len(channels), half of it if full_size.
        prior: p(z).
        channels: of the maps from the smallest image to the largest.
        activation: of the hidden layers.
        batch_norm: have it; the entropy of Eq. 15 is read from its scales.
        noise_before_norm: standard deviation of the noise ahead of every batch norm in training.
        kernel: at least 3.
        weight_std: of the first weights, positive; None leaves torch's.
        noise: at the output, of a scale that the network does not give; None in the paper.
        full_size: the last maps have the image's size, and a 3×3 convolution makes it of them.
    """

    def __init__(
        self,
        shape: Sequence[int],
        prior: Prior,
        channels: Sequence[int] = (1024, 512, 256, 128),
        activation: Activation = "relu",
        batch_norm: bool = True,
        noise_before_norm: float = 0.01,
        kernel: int = 5,
        weight_std: float | None = 0.01,
        noise: OutputNoise | None = None,
        full_size: bool = False,
    ):
        if noise and noise.size:
            raise ValueError(f"noise must be of a scale that no network gives, got {type(noise).__name__}")
        channels = convolution_channels(shape, channels, kernel, odd=False)
        halvings = 2 ** (len(channels) - full_size)
        if shape[1] % halvings or shape[2] % halvings:
            raise ValueError(
                f"height and width must be divisible by {halvings}, 2 for each of the channels {channels}, "
                f"got {list(shape)}: give fewer channels"
            )
        height, width = shape[1] // halvings, shape[2] // halvings

        def hidden(n: int) -> list[nn.Module]:
            norm = [GaussianNoise(noise_before_norm), nn.BatchNorm2d(n)] if batch_norm else []
            return [*norm, make_activation(activation)]

        def up(n_in: int, n_out: int, bias: bool) -> nn.Module:
            return nn.ConvTranspose2d(n_in, n_out, kernel, 2, (kernel - 1) // 2, kernel % 2, bias=bias)

        layers: list[nn.Module] = [
            nn.Linear(prior.latent_dim, channels[0] * height * width, bias=not batch_norm),
            nn.Unflatten(1, (channels[0], height, width)),
            *hidden(channels[0]),
        ]
        for n_in, n_out in pairwise(channels):
            layers += [up(n_in, n_out, bias=not batch_norm), *hidden(n_out)]
        last = (
            nn.Conv2d(channels[-1], shape[0], 3, padding=1) if full_size else up(channels[-1], shape[0], True)
        )
        layers += [last, nn.Tanh()]
        super().__init__(nn.Sequential(*layers), prior, noise)
        if weight_std is not None:
            self.apply(small_normal(weight_std, bias=0.0, norm_bias=0.1))
