"""A language model by counts: how likely each word is after the two before it, Kneser and Ney's way.

    p(w | h) = max(c(hw) − D, 0) / c(h) + D · N(h) / c(h) · p(w | h'),   D = n₁ / (n₁ + 2 n₂)

c counts of the longest histories, of shorter ones how many different words stood before; N(h) how many
different words followed h, h' is h without its first word, n₁ and n₂ how many grams occur once and twice.
After no word at all every word of the vocabulary is as likely.

NLTK's model has the same law, in Python alone: after 2,000 sentences a word took 8 ms, so a report would take
a quarter of an hour.

Reference: Improved backing-off for M-gram language modeling (Kneser & Ney, 1995),
https://doi.org/10.1109/ICASSP.1995.479394, in the interpolated form of An Empirical Study of Smoothing
Techniques for Language Modeling (Chen & Goodman, 1999), https://doi.org/10.1006/csla.1999.0128.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Real
from torch import Tensor

from energy_gan.vocabulary import ids_of, is_said

ORDER = 3

Grams = Int[np.ndarray, "G"]  # each in one number, the first word the highest digit


class _Level(NamedTuple):
    """The grams of one length, and the histories that they begin with."""

    grams: Grams
    counts: Int[np.ndarray, "G"]
    histories: Int[np.ndarray, "H"]
    totals: Int[np.ndarray, "H"]  # c(h)
    followers: Int[np.ndarray, "H"]  # N(h)
    discount: float


class KneserNey:
    """p(word | the two before), from rows of words' numbers; what is before a sentence is a word too.

    Args:
        rows: the text to count.
        words: of the vocabulary.
    """

    def __init__(self, rows: Real[Tensor, "N T"], words: int):
        self.words, self.base = words, words + 1
        grams, counts = np.unique(self._grams(rows), return_counts=True)
        self.levels: list[_Level] = []
        for _ in range(ORDER):
            self.levels.insert(0, _level(grams, counts, self.base))
            shorter = self.base ** (ORDER - len(self.levels))
            grams, counts = np.unique(grams % shorter, return_counts=True)

    def log_prob(self, rows: Real[Tensor, "N T"]) -> Float[np.ndarray, "W"]:
        """Of each word of the rows, their ends among them, one row after another."""
        return self._log_prob(self._grams(rows))

    def perplexity(self, rows: Real[Tensor, "N T"]) -> float:
        """exp of the mean −log p of a word, ends among them."""
        return math.exp(-self.log_prob(rows).mean())

    def _log_prob(self, grams: Grams) -> Float[np.ndarray, "W"]:
        p = np.full(len(grams), 1 / self.words)
        for length, level in enumerate(self.levels, 1):
            of = grams % self.base**length
            (count,) = _looked_up(of, level.grams, level.counts)
            total, followers = _looked_up(of // self.base, level.histories, level.totals, level.followers)
            told = np.maximum(count - level.discount, 0) + level.discount * followers * p
            p = np.where(total > 0, told / np.maximum(total, 1), p)
        return np.log(p)

    def _grams(self, rows: Real[Tensor, "N T"]) -> Grams:
        """The words of the rows, each with those before it."""
        ids = ids_of(rows, self.words)
        before = torch.nn.functional.pad(ids, (ORDER - 1, 0), value=self.words)
        grams = sum(before[:, k : k + ids.shape[1]] * self.base ** (ORDER - 1 - k) for k in range(ORDER))
        return grams[is_said(ids)].numpy()


def _level(grams: Grams, counts: Int[np.ndarray, "G"], base: int) -> _Level:
    histories, which, followers = np.unique(grams // base, return_inverse=True, return_counts=True)
    totals = np.bincount(which, weights=counts).astype(np.int64)
    once, twice = (int((counts == n).sum()) for n in (1, 2))
    discount = once / (once + 2 * twice) if once else 0.5  # of a text too small to tell
    return _Level(grams, counts, histories, totals, followers, discount)


def _looked_up(keys: Grams, known: Int[np.ndarray, "K"], *values: np.ndarray) -> list[np.ndarray]:
    """The values of known keys, 0 of others."""
    place = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return [np.where(known[place] == keys, value[place], 0) for value in values]
