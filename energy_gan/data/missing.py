"""Cells that are missing, filled from rows that are alike: a hot deck.

A row that lacks cells takes all of them from one of the rows nearest to it, by what both have, that has
them: a value that was seen, with the spread that it has there, and together with the others. A mean of the
neighbours would make the law too narrow.

Reference: A review of hot deck imputation for survey non-response (Andridge & Little, 2010),
https://doi.org/10.1111/j.1751-5823.2010.00103.x.
"""

import numpy as np
import torch
from jaxtyping import Float
from sklearn.metrics.pairwise import nan_euclidean_distances

from energy_gan.data.schema import Schema

NEIGHBOURS = 5
DONORS = 2_000  # that a pattern of missing cells chooses among
ROWS = 500  # at a time


def imputed(schema: Schema, x: Float[np.ndarray, "N D"], rng: torch.Generator) -> Float[np.ndarray, "N D"]:
    """x without missing cells; a row has at least one that is not."""
    filled, lacks = x.copy(), np.isnan(x)
    random = np.random.default_rng(int(torch.randint(2**31, (1,), generator=rng)))
    features = _features(schema, x)
    patterns, of_row = np.unique(lacks, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        rows, donors = np.flatnonzero(of_row == number), np.flatnonzero(~lacks[:, pattern].any(1))
        if not pattern.any():
            continue
        if not len(donors):  # no row has all of these
            for column in np.flatnonzero(pattern):
                filled[rows, column] = random.choice(x[~lacks[:, column], column], len(rows))
            continue
        donors = random.permutation(donors)[:DONORS]
        k = min(NEIGHBOURS, len(donors))
        for some in np.array_split(rows, len(rows) // ROWS + 1):
            away = np.nan_to_num(nan_euclidean_distances(features[some], features[donors]), nan=np.inf)
            nearest = np.argpartition(away, k - 1, axis=1)[:, :k]
            chosen = donors[nearest[np.arange(len(some)), random.integers(k, size=len(some))]]
            filled[np.ix_(some, pattern)] = x[np.ix_(chosen, pattern)]
    return filled


def _features(schema: Schema, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N F"]:
    """Numbers by the middle half of their spread; of a category a column for each level."""
    parts = []
    for column, values in zip(schema.columns, x.T, strict=True):
        if column.kind == "categorical":
            part = (values[:, None] == column.values).astype(float)
            part[np.isnan(values)] = np.nan
        else:
            low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75])
            part = np.clip((values - middle) / (high - low or 1.0), -10, 10)[:, None]
        parts.append(part)
    return np.concatenate(parts, 1)
