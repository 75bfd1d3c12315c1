"""Whether samples are where the data is, and everywhere where the data is: precision and coverage."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from energy_gan.shapes import Points, Scalar


class HighDensityShare(Metric):
    """The share of samples in the region {x : log p(x) ≥ t} that holds `level` of the law p.

    t is the (1 − level) quantile of log p over draws of p. Samples of p have the share `level`;
    fewer say that samples lie between or beside the modes, more that they stay near the peaks.

    Args:
        log_prob: log p, the true density.
        draws: points from p.
    """

    inside: Tensor
    total: Tensor

    def __init__(
        self, log_prob: Callable[[Tensor], Tensor], draws: Float[Tensor, "N *S"], level: float = 0.99
    ):
        super().__init__()
        self.log_prob = log_prob
        self.register_buffer("threshold", _quantile(log_prob(draws), 1 - level), persistent=False)
        self.add_state("inside", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")
        self.to(draws.device)

    def update(self, samples: Points) -> None:
        self.inside += (self.log_prob(samples) >= self.threshold).sum()
        self.total += len(samples)

    def compute(self) -> Scalar:
        return self.inside.double() / self.total


class ModeShares(Metric):
    """(share of the samples in a mode) / (its true share), over the modes: the least, 1 ideal and 0 a lost
    mode, and how many modes have at least `covered`.

    Args:
        modes: the mode, 0 … M − 1, that each point belongs to.
        mode_shares: the true shares.
        covered: from there on a mode counts.
    """

    counts: Tensor

    def __init__(
        self, modes: Callable[[Tensor], Tensor], mode_shares: Float[Tensor, "M"], covered: float = 0.5
    ):
        super().__init__()
        self.modes, self.covered = modes, covered
        self.register_buffer("mode_shares", mode_shares, persistent=False)
        self.add_state("counts", torch.zeros(len(mode_shares), dtype=torch.long), dist_reduce_fx="sum")
        self.to(mode_shares.device)

    def update(self, samples: Points) -> None:
        self.counts += self.modes(samples).bincount(minlength=len(self.counts))

    def compute(self) -> dict[str, Scalar]:
        ratios = self.counts.double() / self.counts.sum() / self.mode_shares
        return {"smallest_mode": ratios.min(), "modes_covered": (ratios >= self.covered).sum()}


def _quantile(values: Float[Tensor, "N"], level: float) -> Scalar:
    """The value that a share `level` lies below. torch.quantile stops at 16 million values."""
    return values.kthvalue(1 + round(level * (len(values) - 1))).values
