"""Whole numbers that a column holds far oftener than their neighbours, as the 0 and the 100 of marks.

    G(y) = Σₖ mₖ clip(y − aₖ, 0, 1) + (1 − Σₖ mₖ) Φ(v(y)),    u = Φ⁻¹(G(y)),    y = x + ξ

v is the column's map to numbers near 0 and of spread 1, fitted to what is no atom; the atom aₖ has the share
mₖ besides, spread evenly over its cell. So u is normal if v is, and an atom as wide as its share, which a
smooth map makes a spike. Beyond |v| = 30, where Φ leaves the range of float64, u is v and a constant.

Reference: On the distributional transform (Rüschendorf, 2009), https://doi.org/10.1016/j.jspi.2009.05.030.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.special import erfc, ndtri

from energy_gan.data.columns import Column

EDGE = 30.0  # of v
LEAST = 1e-300


class Atoms:
    """The map of one column between v and u.

    Args:
        column: with its atoms and their shares.
        v: of numbers y of the column.
    """

    def __init__(self, column: Column, v: Callable[[Float[Tensor, "K"]], Float[Tensor, "K"]]):
        self.values = torch.tensor(column.atoms, dtype=torch.float64)
        self.shares = torch.tensor(column.atom_shares, dtype=torch.float64)
        self.rest = 1 - float(self.shares.sum())
        before = self.shares.cumsum(0) - self.shares
        self.starts = before + self.rest * ndtr(v(self.values))  # of the atoms' cells, in G
        self.ends = before + self.shares + self.rest * ndtr(v(self.values + 1))
        self.edge = -float(ndtri(self.rest * ndtr(torch.tensor(-EDGE, dtype=torch.float64))))

    def inserted(
        self,
        v: Float[Tensor, "B"],
        log_q: Float[Tensor, "B"],
        x: Float[Tensor, "B"],
        ξ: Float[Tensor, "#B"],
    ) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """u, and log |dx/du| from log q = log |dx/dv|."""
        x = x.detach()[:, None]
        own = (x == self.values).double() @ self.shares
        below = (x > self.values).double() @ self.shares + own * ξ
        above = (x < self.values).double() @ self.shares + own * (1 - ξ)
        inner = v.clamp(-EDGE, EDGE)
        left, right = below + self.rest * ndtr(inner), above + self.rest * ndtr(-inner)
        u = ndtri(torch.minimum(left, right)) * torch.where(left < right, 1.0, -1.0)
        density = torch.logaddexp(own.log(), math.log(self.rest) + log_normal(inner) - log_q)
        return u + (v - inner), torch.where(inner == v, log_normal(u) - density, log_q)

    def removed(self, u: Float[Tensor, "B"]) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """v of u, and the atom in whose cell it is; NaN elsewhere."""
        inner = u.clamp(-self.edge, self.edge)
        left, right = ndtr(inner), ndtr(-inner)
        passed = left[:, None] >= self.ends
        inside = (left[:, None] >= self.starts) & ~passed
        below = passed.double() @ self.shares
        left, right = (left - below) / self.rest, (right - (self.shares.sum() - below)) / self.rest
        v = ndtri(torch.minimum(left, right).clamp(min=LEAST)) * torch.where(left < right, 1.0, -1.0)
        atom = torch.where(inside.any(1), inside.double() @ self.values, math.nan)
        return v + (u - inner), atom


def ndtr(x: Tensor) -> Tensor:
    """Φ(x); torch's own is 0 below −8."""
    return erfc(-x / math.sqrt(2)) / 2


def log_normal(x: Tensor) -> Tensor:
    """log φ(x)."""
    return -x.square() / 2 - 0.5 * math.log(2 * math.pi)
