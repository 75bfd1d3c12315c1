"""Fully connected generators: z -> x, batch norm in the hidden layers (section 4)."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.generators.output_noise import OutputNoise
from energy_gan.generators.priors import Prior
from energy_gan.nn import Activation, GaussianNoise, make_activation, sizes


class MLPGenerator(Generator):
    """Linear, batch norm, activation for each hidden layer, then a linear layer to x.

    A bias ahead of batch norm has no effect, so those layers have none.

    Args:
        shape: of one point.
        prior: p(z); it says how many numbers z has.
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        batch_norm: have it; the entropy of Eq. 15 is read from its scales.
        noise_before_norm: standard deviation of the noise that the author's code adds ahead of
            every batch norm in training (0.01 there).
        noise: at the output, which gives the samples a density; None in the paper.
        recognition: r(z | x), for terms that need it; None in the paper.
        bounded: end in tanh, for images with values between −1 and 1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        prior: Prior,
        hidden: Sequence[int] = (128, 128),
        activation: Activation = "relu",
        batch_norm: bool = True,
        noise_before_norm: float = 0.0,
        noise: OutputNoise | None = None,
        recognition: nn.Module | None = None,
        bounded: bool = False,
    ):
        widths = [prior.latent_dim, *sizes("hidden", hidden)]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers.append(nn.Linear(fan_in, fan_out, bias=not batch_norm))
            if batch_norm:
                layers += [GaussianNoise(noise_before_norm), nn.BatchNorm1d(fan_out)]
            layers.append(make_activation(activation))
        dimension = math.prod(shape)
        last = nn.Linear(widths[-1], dimension + (noise.size if noise else 0))
        with torch.no_grad():
            last.weight[dimension:] *= 0.1  # the noise starts nearly the same for all z
        layers.append(last)
        if bounded and noise:
            raise ValueError(
                "bounded must be false where there is output noise, whose scales come from the same layer"
            )
        if bounded:
            layers.append(nn.Tanh())
        if not noise or not noise.size:
            layers.append(nn.Unflatten(1, tuple(shape)))
        super().__init__(nn.Sequential(*layers), prior, noise, recognition)
