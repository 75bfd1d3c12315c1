"""The weights of networks as samples: w = G(z).

    codes of all units = extractor(z),    row of unit u in layer l = H_l(code of u)

The units of a layer share H_l, so that G has few weights of its own. What comes out stands for all networks
that are the same function of x, see `gauge`.

Reference: A Generative Model for Sampling High-Performance and Diverse Weights for Neural Networks
(Deutsch, Nijkamp, Yang, 2019), https://arxiv.org/abs/1905.02898; its sizes from the code of Generating Neural
Networks with Neural Networks (Deutsch, 2018), https://arxiv.org/abs/1801.01952.
"""

import math
from collections.abc import Sequence

from torch import nn

from energy_gan.generators.architecture import Architecture, Weights
from energy_gan.generators.base import Generator
from energy_gan.generators.gauge import Gauge
from energy_gan.generators.priors import Prior
from energy_gan.nn import Activation, mlp, sizes
from energy_gan.shapes import Latents

GAIN = 2.4  # of what a fresh H_l gives, to be of mean square 1


class SharedWeights(nn.Module):
    """z -> w before the gauge is fixed.

    Args:
        architecture: of which w are the weights.
        latent_dim: numbers in z.
        extractor: widths of the extractor's hidden layers.
        code: numbers that tell one unit from another.
        hidden: widths of the hidden layers of each H_l.
        activation: of all of them.
        batch_norm: have it in all hidden layers, as in the paper.
    """

    def __init__(
        self,
        architecture: Architecture,
        latent_dim: int,
        extractor: Sequence[int],
        code: int,
        hidden: Sequence[int],
        activation: Activation,
        batch_norm: bool,
    ):
        super().__init__()
        if code < 1:
            raise ValueError(f"code must be at least 1, got {code}")
        norm = (lambda width: [nn.BatchNorm1d(width)]) if batch_norm else None
        extractor, hidden = sizes("extractor", extractor), sizes("hidden", hidden)
        self.architecture, self.code = architecture, code
        self.units = [layer.units for layer in architecture.layers]
        self.extractor = mlp([latent_dim, *extractor, code * sum(self.units)], activation, norm=norm)
        self.by_layer = nn.ModuleList(
            mlp([code, *hidden, layer.width], activation, norm=norm) for layer in architecture.layers
        )

    def forward(self, latent: Latents) -> Weights:
        codes = self.extractor(latent).unflatten(1, (-1, self.code)).split(self.units, 1)
        rows = []
        for network, code, layer in zip(self.by_layer, codes, self.architecture.layers, strict=True):
            made = network(code.flatten(0, 1)).unflatten(0, code.shape[:2])
            rows.append(GAIN * math.sqrt(2 / layer.width) * made)
        return self.architecture.joined(rows)


class WeightGenerator(Generator):
    """z -> the weights of a network of a given form, its gauge fixed.

    Args:
        shape: of one point that the networks take.
        target: one such network: dense and convolutional layers, ReLU or leaky ReLU, pooling; (B, *shape)
            to logits (B, K). Its own weights are not used.
        prior: p(z).
        extractor, code, hidden, activation, batch_norm: as in `SharedWeights`.
        permutations, where_possible: as in `Gauge`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        target: nn.Module,
        prior: Prior,
        extractor: Sequence[int] = (300, 300),
        code: int = 15,
        hidden: Sequence[int] = (100, 100),
        activation: Activation = "leaky_relu",
        batch_norm: bool = True,
        permutations: bool = False,
        where_possible: bool = False,
    ):
        architecture = Architecture(shape, target)
        shared = SharedWeights(
            architecture, prior.latent_dim, extractor, code, hidden, activation, batch_norm
        )
        gauge = Gauge(architecture, permutations, where_possible)
        super().__init__(nn.Sequential(shared, gauge), prior)
        self.architecture = architecture

    def calibrate(self, n: int = 2_048, batch_size: int = 256, seed: int = 0) -> None:
        """As of points, on fewer: a network has many more numbers."""
        super().calibrate(n, batch_size, seed)
