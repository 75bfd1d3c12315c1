"""How far points are from their nearest neighbours, with a gradient through the distances."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def log_distances(
    x: Float[Tensor, "N D"], k: int = 1, least: float = 1e-6, others: Float[Tensor, "M D"] | None = None
) -> Float[Tensor, "N"]:
    """log ρᵢ, ρᵢ the distance from xᵢ to its k-th nearest of the other points of x, or of `others`.

    Args:
        k: where there are fewer neighbours, the farthest counts.
        least: distances below this count as this: neither a value nor a slope becomes infinite.
    """
    among = x if others is None else others
    with torch.no_grad():  # who is whose neighbour; by differences, for products lose near points' digits
        distances = torch.cdist(x, among, compute_mode="donot_use_mm_for_euclid_dist")
        if others is None:
            distances.fill_diagonal_(math.inf)
        nearest = distances.kthvalue(min(k, len(among) - (others is None)), 1).indices
    return (x - among[nearest]).square().sum(1).clamp(min=least**2).log() / 2
