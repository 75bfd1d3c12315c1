"""Weights of samples: how many they are worth, and samples without weights in their place."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def ess(log_weights: Float[Tensor, "N"]) -> Float[Tensor, ""]:
    """The effective number of samples, (Σ w)² / Σ w², between 1 and N."""
    return (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()


def systematic(shares: Float[Tensor, "N"], n: int, rng: torch.Generator | None = None) -> Int[Tensor, "n"]:
    """n numbers from 0 to N − 1, each in proportion to its share: n p times, rounded up or down.

    Nothing varies more than it must. The shares are positive; their sum does not matter.

    Reference: Comparison of Resampling Schemes for Particle Filtering (Douc et al., 2005),
    https://arxiv.org/abs/cs/0507025.
    """
    total = shares.cumsum(0)
    first = torch.rand(1, generator=rng, dtype=total.dtype, device=rng.device if rng else total.device)
    places = (torch.arange(n, device=total.device) + first.to(total.device)) * total[-1] / n
    return torch.searchsorted(total, places).clamp(max=len(total) - 1)
