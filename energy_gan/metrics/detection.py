"""Two-sample tests by a classifier: can two sets of points be told apart, and where?"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

LEAST = 25  # points of each set
CROSSED = 250


class TwoSampleTest(NamedTuple):
    """What a classifier that saw half of two sets makes of the other half."""

    auc: float  # ½: they cannot be told apart; 1: without a doubt
    standard_error: float
    missing: float  # share of the first set where the second has less than a tenth of its density


def two_sample_test(
    a: Float[Tensor, "N D"], b: Float[Tensor, "M D"], seed: int = 0, most: int = 10_000
) -> TwoSampleTest:
    """AUC of gradient-boosted trees that tell a from b, on the halves they were not trained on; of fewer than
    CROSSED points of each, on all of them, each fifth by trees that the other four have trained.

    Features are the coordinates, their projections on random directions, so that slanted structure is
    seen, and the distances to the centres of clusters, so that modes are in many dimensions. Points that
    are not finite are told apart with certainty. Below LEAST points a classifier says nothing: all is nan.

    Reference: Revisiting Classifier Two-Sample Tests (Lopez-Paz & Oquab, 2017),
    https://arxiv.org/abs/1610.06545; The meaning and use of the area under a ROC curve
    (Hanley & McNeil, 1982), https://doi.org/10.1148/radiology.143.1.7063747, for the standard error.

    Args:
        most: points of each set that are looked at, the first so many.
    """
    from sklearn.cluster import KMeans  # a second, which a training's start need not wait
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    if not (a.isfinite().all() and b.isfinite().all()):
        return TwoSampleTest(1.0, 0.0, 1.0)
    n = min(len(a), len(b), most)
    if n < LEAST:
        return TwoSampleTest(math.nan, math.nan, math.nan)
    x = torch.cat([a[:n], b[:n]]).double().flatten(1)
    x = (x - x.mean(0)) / x.std(0).clamp(min=1e-12)
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(x.shape[1], min(16, 4 * x.shape[1])))
    labels = np.repeat([0, 1], n)
    order, few = rng.permutation(2 * n), n < CROSSED
    splits = [(order[:n], order[n:])]
    if few:
        splits = [
            (order[train], order[test]) for train, test in StratifiedKFold(5).split(order, labels[order])
        ]
    scores = np.full(2 * n, np.nan)
    with threadpool_limits(limits=1):
        for train, test in splits:
            clusters = KMeans(min(16, n), n_init=1, random_state=seed).fit(x[train[:4_000]].numpy())
            features = np.concatenate([x.numpy(), x.numpy() @ directions, clusters.transform(x.numpy())], 1)
            classifier = HistGradientBoostingClassifier(
                max_iter=50 if few else 150, learning_rate=0.08, max_leaf_nodes=31,
                min_samples_leaf=max(2, min(20, n // 8)), l2_regularization=1.0, early_stopping=not few,
                validation_fraction=0.2, random_state=seed,
            )  # fmt: skip
            classifier.fit(features[train], labels[train])
            scores[test] = classifier.predict_proba(features[test])[:, 1]
    tested = ~np.isnan(scores)
    # by fold: trees that have not seen a fold have scores of their own
    auc = float(np.mean([roc_auc_score(labels[test], scores[test]) for _, test in splits]))
    missing = float((scores[tested & (labels == 0)] < 1 / 11).mean())
    return TwoSampleTest(auc, _standard_error(auc, int(tested.sum()) // 2), missing)


def _standard_error(auc: float, n: int) -> float:
    """Hanley and McNeil's, for n points of each kind."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    return math.sqrt((auc * (1 - auc) + (n - 1) * (q1 - auc**2 + q2 - auc**2)) / n**2)
