"""Fully connected generators: z -> x, batch norm in the hidden layers (section 4)."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.generators.output_noise import OutputNoise
from energy_gan.generators.priors import Prior
from energy_gan.nn import Activation, GaussianNoise, mlp, sizes


class MLPGenerator(Generator):
    """Linear, batch norm, activation for each hidden layer, then a linear layer to x.

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
        if bounded and noise and noise.size:
            raise ValueError(
                "bounded must be false where the noise is learned, whose scales come from the same layer"
            )

        def norm(width: int) -> list[nn.Module]:
            return [GaussianNoise(noise_before_norm), nn.BatchNorm1d(width)]

        dimension = math.prod(shape)
        widths = [prior.latent_dim, *sizes("hidden", hidden), dimension + (noise.size if noise else 0)]
        network = mlp(widths, activation, "tanh" if bounded else None, norm if batch_norm else None)
        if noise and noise.size:
            with torch.no_grad():
                network[-1].weight[dimension:] *= 0.1  # the noise starts nearly the same for all z
        else:
            network.append(nn.Unflatten(1, tuple(shape)))
        super().__init__(network, prior, noise, recognition)
