"""A network that infers: r(z | x) = N(z; μ(x), diag σ²(x)), an encoder.

Reference: Auto-Encoding Variational Bayes (Kingma & Welling, 2013), https://arxiv.org/abs/1312.6114.
"""

import math
from collections.abc import Mapping

import torch
from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.inference.base import Inference, Inferred, OfLatent
from energy_gan.inference.kl_weight import KLWeight
from energy_gan.nn import widened
from energy_gan.shapes import Energies, Latents, Points, Scalar

LARGEST = 5.0  # log σ lies within ± this


class AmortisedInference(Inference):
    """z = μ(x) + σ(x) ε in training, μ(x) in evaluation. Differentiable in the network's weights.

    Args:
        features: of a point, a module from (B, *shape) to (B, features.out_features); a linear layer to
            μ and log σ follows.
        latent_dim: of the generator's prior.
        kl_weight: how much the KL of its bound counts; None: all of it, always.
    """

    def __init__(self, features: nn.Module, latent_dim: int, kl_weight: KLWeight | None = None):
        super().__init__()
        self.kl_weight = kl_weight
        self.features, self.last = features, nn.Linear(features.out_features, 2 * latent_dim)

    def law(self, x: Points) -> tuple[Latents, Latents]:
        """μ(x) and log σ(x)."""
        mean, raw = widened(self.last(self.features(x))).chunk(2, 1)
        return mean, LARGEST * torch.tanh(raw / LARGEST)

    def forward(self, generator: Generator, x: Points, start: Latents | None = None) -> Inferred:
        mean, log_std = self.law(x)
        latent = mean + log_std.exp() * torch.randn_like(mean) if self.training else mean
        return Inferred(latent, log_normal(latent, mean, log_std))

    def log_prob(self, latent: Latents, x: Points) -> Energies:
        """log r(z | x)."""
        return log_normal(latent, *self.law(x))

    def bound(self, generator: Generator, x: Points, besides: OfLatent | None = None) -> Mapping[str, Scalar]:
        """−E_r[log p(x | z)] + KL(r(z | x) ‖ p(z)), above −log p(x), whose gap is KL(r(z | x) ‖ p(z | x)).

        The KL to N(0, I) is exact, its energy's part, E_r[U(z)] + log Z, but for log Z, by the same z, which
        what there is `besides` is of too.
        """
        mean, log_std = self.law(x)
        latent = mean + log_std.exp() * torch.randn_like(mean)
        kl, tilt = kl_of_each(mean, log_std), generator.prior.tilt(latent)
        kl = self.kl_weight(kl, tilt) if self.kl_weight else (kl.sum(1) + tilt).mean()
        terms = {"reconstruction": -generator.log_likelihood(x, latent).mean(), "kl": kl}
        return terms if besides is None else {**terms, **besides(latent)}

    def proposal(self, x: Points) -> tuple[Latents, Latents]:
        return self.law(x)

    def learning_terms(
        self, generator: Generator, x: Points, latent: Latents, besides: OfLatent | None = None
    ) -> Mapping[str, Scalar]:
        return {f"inference_{name}": value for name, value in self.bound(generator, x, besides).items()}


def log_normal(latent: Latents, mean: Latents, log_std: Latents) -> Energies:
    """log N(z; μ, diag σ²)."""
    standard = (latent - mean) * (-log_std).exp()
    return -(0.5 * standard.square() + log_std).sum(1) - 0.5 * latent.shape[1] * math.log(2 * math.pi)


def entropy(log_std: Latents) -> Energies:
    """Of N(μ, diag σ²)."""
    return log_std.sum(1) + 0.5 * log_std.shape[1] * math.log(2 * math.pi * math.e)


def kl_of_each(mean: Latents, log_std: Latents) -> Latents:
    """KL(N(μⱼ, σⱼ²) ‖ N(0, 1)) of each number."""
    return 0.5 * (mean.square() + (2 * log_std).exp() - 1 - 2 * log_std)


def kl_to_normal(mean: Latents, log_std: Latents) -> Energies:
    """KL(N(μ, diag σ²) ‖ N(0, I))."""
    return kl_of_each(mean, log_std).sum(1)
