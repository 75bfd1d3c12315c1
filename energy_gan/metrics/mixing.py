"""Do chains mix? From where each of them has been: what ArviZ makes of it, and the modes that it has seen.

    split R̂       spread of all draws over that within half chains, of ranks: 1 where chains have one law
    time          the draws of a chain that count as one independent draw: N / ESS, ESS of ranks, all chains
                  together; of chains that never leave a mode hardly more than the modes count

Reference: Rank-normalization, folding, and localization: An improved R̂ for assessing convergence of MCMC
(Vehtari et al., 2021), https://arxiv.org/abs/1903.08008.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

SHARE = 0.2  # of the draws, that come before a chain counts


def mixing(draws: Float[Tensor, "C T Q"]) -> dict[str, float]:
    """The worst over Q quantities, of C chains; draws that are not finite make it nan.

    rhat                split R̂, the greater of bulk and tail
    autocorrelation     N / ESS
    """
    from arviz_stats.base import array_stats  # which takes half a second

    late = draws[:, round(SHARE * draws.shape[1]) :].double().cpu().permute(2, 0, 1).numpy()
    if not np.isfinite(late).all():
        return {"rhat": float("nan"), "autocorrelation": float("nan")}
    with np.errstate(divide="ignore", invalid="ignore"):  # of chains that stay where they are
        rhat = array_stats.rhat(late).max()
        share = array_stats.ess(late, relative=True).min()
    return {"rhat": float(rhat), "autocorrelation": float(1 / share)}


def modes_visited(modes: Int[Tensor, "C T"], shares: Float[Tensor, "M"]) -> float:
    """Of the modes the share that a chain has been in, the mean over the chains."""
    modes = modes[:, round(SHARE * modes.shape[1]) :]
    seen = torch.nn.functional.one_hot(modes, len(shares)).amax(1)
    return float(seen.double().mean())


def quantities(x: Float[Tensor, "C T *S"], energies: Float[Tensor, "C T"], like: Tensor, most: int = 8):
    """E, and x along the axes along which the points `like` vary most: at most 8.

    Returns:
        (C, T, Q).
    """
    flat = like.flatten(1)[:1_000]
    axes = torch.linalg.svd(flat - flat.mean(0), full_matrices=False).Vh[:most]
    return torch.cat([x.flatten(2) @ axes.T, energies[..., None]], 2)
