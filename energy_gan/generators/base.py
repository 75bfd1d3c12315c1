"""The contract of a generator: x = G(z), z ~ p(z). Ancestral sampling in one pass (section 3.2).

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import nn

from energy_gan.randomness import random_generator
from energy_gan.shapes import Latents, Points


class Prior(nn.Module, ABC):
    """p(z), over latents of `latent_dim` numbers."""

    def __init__(self, latent_dim: int):
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
        self.latent_dim = latent_dim

    @abstractmethod
    def sample(
        self, n: int, rng: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Latents:
        """n independent latents; from the global random state if no `rng` is given."""


class UniformPrior(Prior):
    """z ~ U(−1, 1), each number on its own: the paper's."""

    def sample(
        self, n: int, rng: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Latents:
        return 2 * torch.rand(n, self.latent_dim, generator=rng, device=device) - 1


class NormalPrior(Prior):
    """z ~ N(0, I)."""

    def sample(
        self, n: int, rng: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Latents:
        return torch.randn(n, self.latent_dim, generator=rng, device=device)


class Draw(NamedTuple):
    """One batch of the generator, shared by whoever needs it."""

    latent: Latents
    samples: Points


class Generator(nn.Module):
    """G(z) with the prior over z. Any module from (B, latent_dim) to (B, *shape) will do for G.

    In evaluation a sample does not depend on who else is in the batch: batch norm then uses the
    statistics that `calibrate` measured.
    """

    def __init__(self, network: nn.Module, prior: Prior):
        super().__init__()
        self.network, self.prior = network, prior

    def forward(self, latent: Latents) -> Points:
        """G(z)."""
        return self.network(latent)

    def draw(self, latent: Latents) -> Draw:
        """The batch G(z) together with what it was made from."""
        return Draw(latent, self(latent))

    @torch.no_grad()
    def calibrate(self, n: int = 16_384, batch_size: int = 1_024, seed: int = 0) -> None:
        """Measure the batch-norm statistics anew, over n latents, for use in evaluation.

        A running average lags behind the weights; this one belongs to them. Training, which uses
        each batch's own statistics, does not notice.
        """
        norms = [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if not norms:
            return
        was_training, device = self.training, next(self.parameters()).device
        self.eval()
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over all batches
        rng = random_generator(seed)
        for _ in range(max(1, n // batch_size)):
            self(self.prior.sample(batch_size, rng).to(device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.train(was_training)
