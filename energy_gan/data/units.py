"""Between the columns' own units x and the networks', u: all of them near 0 and of spread 1.

    w = x, log(x − low), −log(high − x), log((x − low) / (high − x))   a number, by its bounds
    w = the same of x + ξ, with bounds low and high + 1               a whole number
    w = Φ⁻¹(s_1 + … + s_{k−1} + s_k ξ'), ξ' = σ(logit(ξ) / 4)          level k of a category, of share s_k
    v = (w − shift) / scale
    u = v, or sign(v) (8 + log(|v| − 7)) where |v| > 8                where a few cells would set the scale
    u = Φ⁻¹(G(v))                                                     where it has atoms, see `atoms.py`

with noise ξ, uniform from 0 to 1. All of it is float64, and only u is rounded. A density changes by

    p(x) = E_ξ[p(u) / q(u | x)],    q = |dx/du|, of a level φ(w) |dw/du| / (s_k dξ'/dξ)

so that without noise E(x) = E(u) + log q, the `log_volume`.

Reference: RNADE (Uria et al., 2013), https://arxiv.org/abs/1306.0186, section 5.1, noise on whole numbers;
Flow++ (Ho et al., 2019), https://arxiv.org/abs/1902.00275, equation 12, for several ξ; On the
distributional transform (Rüschendorf, 2009), https://doi.org/10.1016/j.jspi.2009.05.030, for levels.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from energy_gan.data.atoms import Atoms, log_normal
from energy_gan.data.columns import Column, atoms_of
from energy_gan.data.schema import Schema
from energy_gan.randomness import random_generator

FENCE = 8.0  # spreads from which far cells are drawn in,
FAR = 2.0  # of columns in which those farther than so many widths of the middle 96 %
SET = 2.0  # make the spread greater by this factor
DRAWS = 16  # of ξ, for an energy
NARROW = 0.25  # of a level's place in its share: ξ' = σ(NARROW · logit ξ), near ½ and never at the ends
LEAST = 1e-12  # of ξ, and of 1 − ξ
LARGEST = sys.float_info.max


class Networks(NamedTuple):
    """Points as the networks see them."""

    u: Float[Tensor, "B D"]
    log_volumes: Float[Tensor, "B D"]  # of each column

    @property
    def log_volume(self) -> Float[Tensor, "B"]:
        """log q(u | x): E(x) = E(u) + log q."""
        return self.log_volumes.sum(1)


class Units:
    """The maps of a schema's columns.

    Args:
        schema: with the standardisation of each, see `fitted`.
    """

    def __init__(self, schema: Schema):
        self.schema = schema
        self.shift = torch.tensor([c.shift for c in schema.columns], dtype=torch.float64)
        self.scale = torch.tensor([c.scale for c in schema.columns], dtype=torch.float64)
        self.tails = torch.tensor([c.tails for c in schema.columns])
        self.special = [(i, _Map(c)) for i, c in enumerate(schema.columns) if c.discrete or _bounded(c)]
        self.noises = [i for i, c in enumerate(schema.columns) if c.discrete]
        self.atoms = [(i, Atoms(c, smooth(c))) for i, c in enumerate(schema.columns) if c.atoms]

    def networks(self, x: Float[Tensor, "B D"], noise: Float[Tensor, "#B K"] | None = None) -> Networks:
        """u of x, float64, and differentiable in x.

        Args:
            noise: ξ for each discrete column; ½ if None.
        """
        w, log_volumes = list(x.double().unbind(1)), list(self.scale.log().expand(len(x), -1).unbind(1))
        if noise is None:
            noise = x.new_full((1, len(self.noises)), 0.5).double()
        ξ = dict(zip(self.noises, noise.unbind(1), strict=True))
        for i, column in self.special:
            w[i], log_q = column.networks(w[i].contiguous(), ξ.get(i))
            log_volumes[i] = log_volumes[i] + log_q
        u, log_volumes = (torch.stack(w, 1) - self.shift) / self.scale, torch.stack(log_volumes, 1)
        if self.tails.any():
            u, beyond = drawn_in(u, self.tails)
            log_volumes = log_volumes + beyond
        if self.atoms:
            u, log_volumes = list(u.unbind(1)), list(log_volumes.unbind(1))
            for i, atoms in self.atoms:
                u[i], log_volumes[i] = atoms.inserted(u[i], log_volumes[i], x[:, i].double(), ξ[i])
            u, log_volumes = torch.stack(u, 1), torch.stack(log_volumes, 1)
        return Networks(u, log_volumes)

    def own(self, u: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """x of u, float64."""
        u, found = u.double(), {}
        if self.atoms:
            u = u.clone()
            for i, atoms in self.atoms:
                u[:, i], found[i] = atoms.removed(u[:, i])
        if self.tails.any():
            beyond = torch.where(self.tails, (u.abs() - FENCE).clamp(min=0), 0.0)
            u = torch.where(beyond > 0, u.sign() * (FENCE + beyond.expm1()), u)
        x = torch.addcmul(self.shift, u, self.scale)
        for i, column in self.special:
            x[:, i] = column.own(x[:, i].contiguous())
        for i, atom in found.items():
            x[:, i] = torch.where(atom.isnan(), x[:, i], atom)
        return x

    def random(self, x: Float[Tensor, "B D"], rng: torch.Generator) -> Networks:
        """u of x, with noise of its own for each row."""
        noise = torch.rand(len(x), len(self.noises), generator=rng, dtype=torch.float64)
        return self.networks(x, noise.clamp(LEAST, 1 - LEAST))

    def views(self, x: Float[Tensor, "B D"]) -> Iterator[Networks]:
        """u of x for several ξ that are spread evenly, the same for all rows: one where there is no noise."""
        if not self.noises:
            yield self.networks(x)
            return
        sobol = torch.quasirandom.SobolEngine(len(self.noises), scramble=True, seed=0)
        for noise in sobol.draw(DRAWS, dtype=torch.float64).clamp(LEAST, 1 - LEAST):
            yield self.networks(x, noise[None])


class _Map:
    """x, with noise where it is discrete, to the real line and back."""

    def __init__(self, column: Column):
        self.low, self.high, self.whole = column.low, column.high, column.whole
        if column.whole and column.high is not None:
            self.high = column.high + 1
        self.least = -LARGEST if self.low is None else self.low
        self.most = LARGEST if self.high is None else self.high
        if column.whole:
            self.most -= 1 if self.high is not None else 0
        else:
            self.least, self.most = math.nextafter(self.least, math.inf), math.nextafter(self.most, -math.inf)
        self.values = torch.from_numpy(column.values)
        shares = torch.tensor(column.shares, dtype=torch.float64)
        self.shares = shares / shares.sum() if len(shares) else shares
        self.below = self.shares.cumsum(0) - self.shares

    def networks(self, x: Float[Tensor, "B"], ξ: Float[Tensor, "#B"] | None) -> tuple[Tensor, Tensor]:
        """w and log |dx/dw|, of a level log φ(w) / s."""
        if len(self.values):
            k = torch.searchsorted(self.values, x.detach().contiguous()).clamp(max=len(self.values) - 1)
            inner = (NARROW * ξ.logit()).sigmoid()
            w = torch.special.ndtri(self.below[k] + self.shares[k] * inner)
            slope = math.log(NARROW) + (inner * (1 - inner) / (ξ * (1 - ξ))).log()
            return w, log_normal(w) - self.shares[k].log() - slope
        y = x + ξ if self.whole else x
        above = y if self.low is None else y - self.low
        under = y if self.high is None else self.high - y
        if self.low is not None and self.high is not None:
            width = self.high - self.low
            return above.log() - under.log(), above.log() + under.log() - math.log(width)
        if self.low is not None:
            return above.log(), above.log()
        if self.high is not None:
            return -under.log(), under.log()
        return y, torch.zeros_like(y)

    def own(self, w: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
        if len(self.values):
            k = torch.searchsorted(self.below, torch.special.ndtr(w).contiguous(), right=True) - 1
            return self.values[k.clamp(0, len(self.values) - 1)]
        if self.low is not None and self.high is not None:
            y = self.low + (self.high - self.low) * w.sigmoid()
        elif self.low is not None:
            y = self.low + w.exp()
        else:
            y = w if self.high is None else self.high - (-w).exp()
        # rounding may put a number onto a bound
        return (y.floor() if self.whole else y).clamp(self.least, self.most)


def drawn_in(v: Float[Tensor, "*B"], tails: Bool[Tensor, "..."]) -> tuple[Tensor, Tensor]:
    """u of v, and log |dv/du|."""
    beyond = torch.where(tails, (v.abs() - FENCE).clamp(min=0), 0.0).log1p()
    return torch.where(beyond > 0, v.sign() * (FENCE + beyond), v), beyond


def smooth(column: Column) -> Callable[[Float[Tensor, "K"]], Float[Tensor, "K"]]:
    """y -> v of whole numbers and what lies between them: standardised, as without atoms."""

    def v(y: Float[Tensor, "K"]) -> Float[Tensor, "K"]:
        w = _Map(column).networks(y, y.new_zeros(1))[0]
        return drawn_in((w - column.shift) / column.scale, torch.tensor(column.tails))[0]

    return v


def _bounded(column: Column) -> bool:
    return column.low is not None or column.high is not None


def fitted(schema: Schema, x: Float[np.ndarray, "N D"], seed: int = 0) -> Schema:
    """The schema with the standardisation of each column: the mean and the standard deviation of w.

    Where cells farther than twice the width of the middle 96 % from these make the standard deviation more
    than twice as great, it is that of the others, and far cells are drawn in. Atoms set nothing.
    """
    plain = {"shift": 0.0, "scale": 1.0, "tails": False, "atoms": (), "atom_shares": ()}
    blank = Schema(tuple(replace(c, **plain) for c in schema.columns))
    w = Units(blank).random(torch.from_numpy(x), random_generator(seed, 3)).u.numpy()
    columns = []
    for column, values, own in zip(blank.columns, w.T, x.T, strict=True):
        atoms, shares = atoms_of(own) if column.whole else ((), ())
        values = values[others] if (others := ~np.isin(own, atoms)).any() else values
        mean, std = moments(values)
        low, high = np.quantile(values, [0.02, 0.98])
        near = values[(values >= low - FAR * (high - low)) & (values <= high + FAR * (high - low))]
        inner_mean, inner = moments(near)
        tails = inner > 0 and std > SET * inner
        shift, scale = (inner_mean, inner) if tails else (mean, std)
        found = {"atoms": tuple(map(float, atoms)), "atom_shares": tuple(map(float, shares))}
        columns.append(replace(column, shift=shift, scale=scale or 1.0, tails=tails, **found))
    return Schema(tuple(columns))


def moments(values: Float[np.ndarray, "N"]) -> tuple[float, float]:
    """Mean and standard deviation, whatever the offset and the scale."""
    middle = float(np.median(values))
    away = values - middle
    greatest = float(np.abs(away).max())
    if greatest == 0 or len(values) < 2:
        return middle, 0.0
    away = away / greatest
    return middle + greatest * float(away.mean()), greatest * float(away.std(ddof=1))
