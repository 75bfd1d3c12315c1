"""Columns of a table one by one and two by two: frequencies of levels, mutual information of pairs.

    I(a; b) = Σ p(a, b) log p(a, b) / (p(a) p(b)) − (K_a − 1)(K_b − 1) / 2N

of levels, or of eighths of the data where a column has none; the last term is what N rows have by chance.

Reference: Note on the bias of information estimates (Miller, 1955), in Information Theory in Psychology.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

PARTS = 8  # of a column without levels
MOST = 60  # columns whose pairs are looked at, the first so many


class Compared(NamedTuple):
    """The same of the data and of samples."""

    data: Float[np.ndarray, "K"]
    generator: Float[np.ndarray, "K"]
    error: Float[np.ndarray, "K"]  # standard error of their difference, if both are of one law


class Associations:
    """What samples are compared with.

    Args:
        levels: the numbers of each column's levels, ascending; empty where it has none.
        x: the rows of the table.
    """

    def __init__(self, levels: Sequence[Float[np.ndarray, "_"]], x: Float[np.ndarray, "N D"]):
        self.categorical, self.n = [len(values) > 0 for values in levels], len(x)
        self.edges = [values[1:] if len(values) else _edges(v) for values, v in zip(levels, x.T, strict=True)]
        codes = self._codes(x)
        self.counts, self.informations = self._counts(codes), self._informations(codes)

    def frequencies(self, samples: Float[np.ndarray, "M D"]) -> Compared:
        """Of each level of each categorical column."""
        of_samples, m = self._counts(self._codes(samples)), len(samples)
        pooled = (self.counts + of_samples) / (self.n + m)
        error = np.sqrt(pooled * (1 - pooled) * (1 / self.n + 1 / m))
        return Compared(self.counts / self.n, of_samples / m, error)

    def pairs(
        self, samples: Float[np.ndarray, "M D"]
    ) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "P"]]:
        """The mutual information of each pair of columns, of the data and of the samples, in nats."""
        return self.informations, self._informations(self._codes(samples))

    def _codes(self, x: Float[np.ndarray, "N D"]) -> Int[np.ndarray, "D N"]:
        return np.stack([np.searchsorted(e, v, side="right") for e, v in zip(self.edges, x.T, strict=True)])

    def _counts(self, codes: Int[np.ndarray, "D N"]) -> Float[np.ndarray, "K"]:
        of_levels = [
            np.bincount(row, minlength=len(edges) + 1)
            for row, edges, categorical in zip(codes, self.edges, self.categorical, strict=True)
            if categorical
        ]
        return np.concatenate([*of_levels, []])

    def _informations(self, codes: Int[np.ndarray, "D N"]) -> Float[np.ndarray, "P"]:
        pairs = combinations(range(min(len(codes), MOST)), 2)
        return np.array([information(codes[i], codes[j]) for i, j in pairs])


def information(a: Int[np.ndarray, "N"], b: Int[np.ndarray, "N"]) -> float:
    """I(a; b) in nats, less what there is by chance."""
    joint = np.bincount(a * (b.max() + 1) + b, minlength=(a.max() + 1) * (b.max() + 1)).reshape(
        -1, b.max() + 1
    )
    joint = joint[joint.any(1)][:, joint.any(0)] / len(a)
    alone = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    by_chance = (joint.shape[0] - 1) * (joint.shape[1] - 1) / (2 * len(a))
    return float((joint[there] * np.log(joint[there] / alone[there])).sum() - by_chance)


def _edges(v: Float[np.ndarray, "N"]) -> Float[np.ndarray, "E"]:
    """Between the eighths of v."""
    return np.unique(np.quantile(v, np.arange(1, PARTS) / PARTS))
