"""Many generated networks as one classifier: p(y | x) = 1/M Σₘ p(y | x, wₘ), wₘ = G(zₘ)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.generators.weights import WeightGenerator
from energy_gan.randomness import random_generator
from energy_gan.shapes import Latents, Points

AT_ONCE = 2**24  # numbers of points that networks see, before a batch is cut


class Ensemble(nn.Module):
    """x -> log p(y | x), of networks whose latents were drawn once.

    Args:
        generator: of their weights.
        n: M, at least 2.
        seed: of the latents.
    """

    def __init__(self, generator: WeightGenerator, n: int = 200, seed: int = 0):
        super().__init__()
        if n < 2:
            raise ValueError(f"an ensemble has at least 2 networks, got {n}")
        self.generator = generator
        self.register_buffer("latent", generator.prior.sample(n, random_generator(seed, 8)))

    def forward(self, x: Points) -> Float[Tensor, "B K"]:
        return self.by_network(x).logsumexp(0) - math.log(len(self.latent))

    def by_network(self, x: Points, latent: Latents | None = None) -> Float[Tensor, "M B K"]:
        """log p(y | x, wₘ), of other latents if they are given."""
        weights = self.generator(self.latent if latent is None else latent)
        n = max(1, AT_ONCE // max(1, x.numel()))
        parts = [self.generator.architecture.on_all(some, x) for some in weights.split(n)]
        return torch.cat(parts).log_softmax(2)
