"""The gradient of the generator's entropy from a learned score of its own samples."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.nn import Activation, Scheduled, mlp, sizes
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Negatives, Points, Scalar


class DenoisingEntropy(GeneratorTerm, Scheduled):
    """∇H = −E[∇ log q(x̃) · ∂x/∂φ], the score of the generator's noised law learned by denoising.

    With x̃ = x + σε a network ε̂(x̃) learns to tell the noise, by least squares; then ∇ log q(x̃) = −ε̂(x̃) / σ.
    Only the gradient is known: the value is 0. It needs no density, no pairs and no neighbours, so it
    carries to many dimensions. σ shrinks during training.

    Reference: AR-DAE: Towards Unbiased Neural Entropy Gradient Estimation (Lim et al., 2020),
    https://arxiv.org/abs/2006.05164; A Connection Between Score Matching and Denoising Autoencoders
    (Vincent, 2011), https://doi.org/10.1162/NECO_a_00142.

    Args:
        shape: of one point.
        hidden: widths of the score network.
        start, end: σ at first and at last, in standardised units.
        until: the share of the training steps after which σ has come to its end.
        learns, weight: as in `GeneratorTerm`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int] = (128, 128, 128),
        activation: Activation = "silu",
        start: float = 0.3,
        end: float = 0.07,
        until: float = 0.5,
        learns: Learns | None = None,
        weight: float = 1.0,
    ):
        super().__init__(weight, learns)
        if not start > 0 or not end > 0 or not 0 < until <= 1:
            raise ValueError(
                f"start and end must be positive and until above 0 up to 1, got {start}, {end}, {until}"
            )
        self.start, self.end, self.until = start, end, until
        dimension = math.prod(shape)
        layers = mlp([dimension, *sizes("hidden", hidden), dimension], activation)
        self.network = nn.Sequential(nn.Flatten(), *layers, nn.Unflatten(1, tuple(shape)))
        self.register_buffer("std", torch.tensor(float(start)))

    def at(self, progress: float) -> None:
        done = min(1.0, progress / self.until)
        self.std.fill_(self.start ** (1 - done) * self.end**done)

    def score(self, x: Points) -> Points:
        """∇ log q of the noised samples."""
        return -self.network(x) / self.std

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        x = draw.samples
        with torch.no_grad():
            score = self.score(x + self.std * torch.randn_like(x))
        surrogate = -(score * x).flatten(1).sum(1).mean()
        return surrogate - surrogate.detach()

    def learning_terms(self, draw: Draw, x: Points) -> Mapping[str, Scalar]:
        noise = torch.randn_like(draw.samples)
        error = self.network(draw.samples + self.std * noise) - noise
        return {"denoising": error.flatten(1).square().sum(1).mean()}
