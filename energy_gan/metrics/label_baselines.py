"""What few labels are worth without a model of all points: accuracies that one with a model has to beat.

    labels only         logistic regression, its penalty found by cross-validation
    labels, network     one hidden layer of 128, its penalty found the same way
    nearest neighbour   of the labelled points
    label spreading     over a graph of seven neighbours, of 4,000 points at most
    all labels          the network on all labels, 10,000 at most: a ceiling, not a rival

Reference: Learning with local and global consistency (Zhou et al., 2004), for label spreading.
"""

import warnings

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

SPREAD, CEILING, NEIGHBOURS = 4_000, 10_000, 7
FOLDS, PENALTIES, DECAYS = 5, (1e-3, 1e-2, 1e-1, 1.0, 10.0), (1e-4, 1e-2, 1.0)
X = Float[np.ndarray, "N F"]
Y = Int[np.ndarray, "N"]
HeldOut, Truth = Float[np.ndarray, "M F"], Int[np.ndarray, "M"]


def baselines(
    x: X, known: Y, labels: Y, held_out: HeldOut, truth: Truth, seed: int = 0, scale: bool = True
) -> dict[str, float]:
    """The share of held-out points that each names right.

    Args:
        known: labels that may be seen, −1 for none.
        labels: all of them, for the ceiling.
        scale: standardise each feature, as far as the labelled points go.
    """
    few, rng = known >= 0, np.random.default_rng(seed)
    some = rng.permutation(len(x))[:SPREAD]
    some = np.concatenate([np.flatnonzero(few), some[~few[some]]])[: max(SPREAD, few.sum())]
    all_of = rng.permutation(np.flatnonzero(labels >= 0))[:CEILING]
    spreading = LabelSpreading("knn", n_neighbors=NEIGHBOURS, max_iter=100)
    fits = {
        "labels only": (logistic(known[few], seed, scale), few, known),
        "labels, network": (network(known[few], seed, scale), few, known),
        "nearest neighbour": (KNeighborsClassifier(1), few, known),
        "label spreading": (spreading, some, known),
        "all labels": (MLPClassifier((128,), early_stopping=True, random_state=seed), all_of, labels),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of searches that stop at their last step, and of names that change
        return {
            name: float(np.mean(model.fit(x[rows], y[rows]).predict(held_out) == truth))
            for name, (model, rows, y) in fits.items()
        }


def of_features(x: X, known: Y, held_out: HeldOut, truth: Truth, seed: int = 0) -> float:
    """The same of logistic regression on features that some other model has found."""
    few = known >= 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = logistic(known[few], seed, True).fit(x[few], known[few])
    return float(np.mean(model.predict(held_out) == truth))


def _folds(y: Y, seed: int) -> StratifiedKFold:
    return StratifiedKFold(max(2, min(FOLDS, np.bincount(y).min())), shuffle=True, random_state=seed)


def logistic(y: Y, seed: int, scale: bool):
    model = LogisticRegressionCV(Cs=PENALTIES, cv=_folds(y, seed), max_iter=500)
    return make_pipeline(StandardScaler(), model) if scale else model


def network(y: Y, seed: int, scale: bool):
    model = MLPClassifier((128,), solver="lbfgs", max_iter=200, random_state=seed)
    model = GridSearchCV(model, {"alpha": DECAYS}, cv=_folds(y, seed))
    return make_pipeline(StandardScaler(), model) if scale else model
