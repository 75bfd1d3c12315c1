"""Scores that tell anomalies from what was trained on, and how well they do it.

A score is high where a row is unusual. Of a trained energy two are in use: E(x) itself, which is −log p(x) up
to a constant, and ‖∇E(x)‖², small where the data are modes of the density. Beside them the detectors that
scikit-learn keeps.

Labels are 1 for an anomaly and 0 for an inlier. The base rate is the share of anomalies: a score that knows
nothing has it as its precision.

Reference: Maximum Entropy Generators for Energy-Based Models (Kumar et al., 2019),
https://arxiv.org/abs/1901.08508, section 5.4; Isolation Forest (Liu et al., 2008),
https://doi.org/10.1109/ICDM.2008.17; LOF: Identifying Density-Based Local Outliers (Breunig et al., 2000),
https://doi.org/10.1145/342009.335388; Estimating the Support of a High-Dimensional Distribution (Schölkopf et
al., 2001), https://doi.org/10.1162/089976601750264965.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Integer, Real
from sklearn.ensemble import IsolationForest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.svm import OneClassSVM
from threadpoolctl import threadpool_limits
from torch import Tensor

from energy_gan.errors import InputError
from energy_gan.numerics.ppca import PPCAMixture, evenly

DETECTORS = (
    "isolation forest",
    "one-class SVM",
    "one-class SVM, Nyström",
    "local outlier factor",
    "nearest neighbour",
)
DETERMINISTIC = ("nearest neighbour",)  # the same for every seed
MIXTURE = "mixture of PPCA"
OF_IMAGES = (*DETECTORS, MIXTURE)
BATCH = 4_096  # points at a time
ELEMENTS = 2**21  # numbers in a batch of points whose gradients are taken


class Flagged(NamedTuple):
    """What comes of calling the highest scores anomalies."""

    precision: float  # the share of anomalies among those flagged
    recall: float  # the share of anomalies that were flagged
    f1: float  # their harmonic mean


def precision_recall_f1(
    scores: Real[np.ndarray, "N"], labels: Integer[np.ndarray, "N"], ratio: float
) -> Flagged:
    """As published: flagged is what scores at least the (1 − ratio) quantile of all scores of the test."""
    scores, labels = _checked(scores, labels)
    if not 0 < ratio < 1:
        raise ValueError(f"ratio must be a share between 0 and 1, both excluded, got {ratio}")
    flagged = scores >= np.percentile(scores, 100 * (1 - ratio))
    hits = int((flagged & (labels == 1)).sum())
    precision, recall = hits / int(flagged.sum()), hits / int(labels.sum())
    return Flagged(precision, recall, 2 * precision * recall / (precision + recall) if hits else 0.0)


def measure(
    scores: Real[np.ndarray, "N"], labels: Integer[np.ndarray, "N"], ratio: float
) -> dict[str, float]:
    """All numbers of one score.

    precision, recall, f1   at the known ratio, see `precision_recall_f1`
    average_precision       AUPRC as a sum: Σ (Rₙ − Rₙ₋₁) Pₙ
    auprc_trapezoid         AUPRC by the trapezoidal rule over the same curve, a little optimistic; in MEG
    auroc                   the chance that an anomaly scores higher than an inlier
    base_rate               the share of anomalies
    """
    numbers = precision_recall_f1(scores, labels, ratio)._asdict()
    scores, labels = _checked(scores, labels)
    precision, recall, _ = precision_recall_curve(labels, scores)
    return numbers | {
        "average_precision": float(average_precision_score(labels, scores)),
        "auprc_trapezoid": float(auc(recall, precision)),
        "auroc": float(roc_auc_score(labels, scores)),
        "base_rate": float(labels.mean()),
    }


def auroc(inside: Real[np.ndarray, "N"], outside: Real[np.ndarray, "M"]) -> float:
    """The chance that a score of what is outside is higher than one of what is inside; a tie counts half."""
    scores, labels = np.concatenate([inside, outside]), np.repeat([0, 1], [len(inside), len(outside)])
    return float(roc_auc_score(*_checked(scores, labels)[::-1]))


def threshold_at_rate(scores: Real[np.ndarray, "N"], rate: float) -> float:
    """A threshold that a new normal row exceeds with a chance of at most `rate`, from scores of normal rows.

    It is the k-th highest of the n scores, k = ⌊rate (n + 1)⌋: a new one is above it with chance k/(n + 1),
    whatever the law, if it comes from the same one and scores do not tie.

    Reference: Testing for Outliers with Conformal p-values (Bates et al., 2023),
    https://arxiv.org/abs/2104.08279.

    Raises:
        ValueError: the rate is no share, or too small for so few scores.
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate must be between 0 and 1, both excluded, got {rate}")
    scores = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} of {len(scores)} scores are not finite")
    k = int(rate * (len(scores) + 1) + 1e-9)  # 0.07 · 100 is less than 7 in floating point
    if k < 1:
        raise ValueError(
            f"a rate of {rate:g} needs {least_for(rate)} scores of normal rows, got {len(scores)}"
        )
    return float(np.sort(scores)[-k])


def least_for(rate: float) -> int:
    """How many scores of normal rows a rate takes: fewer never saw anything so rare."""
    return max(1, int(np.ceil(1 / rate - 1e-9)) - 1)


def squared_gradient_norm(
    energy: Callable[[Tensor], Tensor], x: Float[Tensor, "N *S"], unit: Float[Tensor, "*S"] | None = None
) -> Float[Tensor, "N"]:
    """‖∇E(x)‖², in the units of x.

    Args:
        energy: differentiable, of a batch, such as `Model.energy`.
        unit: of each number of a point, 1 if None. A gradient depends on it: with the scale of
            the standardisation it is that of what the networks see, ∂E/∂u = scale · ∂E/∂x.
    """
    parts = []
    for part in x.split(min(BATCH, max(1, ELEMENTS // x[0].numel()))):
        part = part.detach().float().requires_grad_()
        gradient = torch.autograd.grad(energy(part).sum(), part)[0]
        parts.append((gradient * (1 if unit is None else unit)).flatten(1).square().sum(1))
    return torch.cat(parts)


def detectors(
    train: Real[np.ndarray, "N D"],
    test: Real[np.ndarray, "M D"],
    seed: int,
    names: Sequence[str] = DETECTORS,
    most: int = 5_000,
    rescale: bool = True,
) -> dict[str, Float[np.ndarray, "M"]]:
    """Scores of the test rows by detectors of scikit-learn that saw the training rows.

        isolation forest         100 trees, each of 256 random rows
        one-class SVM            Gaussian kernel, ν = 0.05, on `most` random rows (its time is quadratic)
        one-class SVM, Nyström   the same on all rows, by 200 features instead of the kernel
        local outlier factor     20 neighbours, among `most` random distinct rows
        nearest neighbour        distance to the nearest of all distinct rows
        mixture of PPCA          for images, and not of scikit-learn: −log p under the density of `ppca.py`,
                                 50 components of 40 axes fitted to 4 · `most` random rows; fewer where
                                 there are not 100 rows for each or 80 columns

    Args:
        names: which of them; the first five if not given.
        most: rows that the two detectors see whose time grows fastest.
        rescale: each column to [0, 1] over the training rows. Not for pixels, which have one unit: it
            would blow up those that are almost always black.
    """
    if unknown := set(names) - set(OF_IMAGES):
        raise ValueError(f"detectors must be of {', '.join(OF_IMAGES)}, got {', '.join(sorted(unknown))}")
    if len(train) < 2:
        raise ValueError(f"there must be at least 2 rows to train on, got {len(train)}")
    if rescale:
        low, high = train.min(0).astype(np.float64), train.max(0).astype(np.float64)
        scale = np.where(high > low, high - low, 1.0)
        train, test = (((x - low) / scale) for x in (train, test))
    train, test = (np.asarray(x, dtype=np.float32) for x in (train, test))
    test, which = _distinct(test)  # equal rows score alike: each is scored once
    rng = np.random.default_rng(seed)
    some = train[rng.permutation(len(train))[:most]]
    distinct, _ = _distinct(train)
    few = distinct[rng.permutation(len(distinct))[:most]]
    gamma = 1 / (train.shape[1] * max(float(train.var()), 1e-12))  # scikit-learn's "scale"
    many = train[rng.permutation(len(train))[: 4 * most]]
    approximate = make_pipeline(
        Nystroem(gamma=gamma, n_components=min(200, len(train)), random_state=seed),
        SGDOneClassSVM(nu=0.05, random_state=seed),
    )
    scorers = {
        "isolation forest": lambda: IsolationForest(random_state=seed).fit(train).score_samples(test),
        "one-class SVM": lambda: OneClassSVM(nu=0.05, gamma=gamma).fit(some).score_samples(test),
        "one-class SVM, Nyström": lambda: approximate.fit(train).decision_function(test),
        "local outlier factor": lambda: (
            LocalOutlierFactor(n_neighbors=min(20, len(few) - 1), novelty=True).fit(few).score_samples(test)
        ),
        "nearest neighbour": lambda: -NearestNeighbors(n_neighbors=1).fit(distinct).kneighbors(test)[0][:, 0],
        MIXTURE: lambda: _mixture(many, seed).log_prob(torch.from_numpy(test)).numpy(),
    }
    with threadpool_limits(limits=1):
        return {name: -scorers[name]()[which] for name in names}


def gaussian_energy(
    train: Float[Tensor, "N D"], test: Float[Tensor, "M D"], noise: float = 0.0, rank: int = 100
) -> Float[Tensor, "M"]:
    """E₀ = −log N(test; μ, C), of a Gaussian of so many axes, of the points trained on with noise.

    Simple points have a low energy whether they are like the others or not: less ink, fewer surprises. E₀
    knows this much and no more, and E − ½ E₀ less of it.

    Reference: Likelihood Ratios for Out-of-Distribution Detection (Ren et al., 2019),
    https://arxiv.org/abs/1906.02845, for E − E₀.
    """
    return -PPCAMixture.fit(evenly(train), 1, min(rank, train.shape[1] - 1)).noised(noise**2).log_prob(test)


def excess_and_slope(
    excess: Float[np.ndarray, "N"], slope: Float[np.ndarray, "N"], n_normal: int
) -> Float[np.ndarray, "N"]:
    """The excess E − ½ E₀ and half of the logarithm of the slope ‖∇E‖², each in standard deviations.

    The means and the standard deviations are those of the first n_normal points, which must be normal. What
    lies beside the modes of a density has a steep energy, even where that is low.

    Reference: Density of States Estimation for Out-of-Distribution Detection (Morningstar et al., 2021),
    https://arxiv.org/abs/2006.09273, for several statistics of one model.
    """
    standard = [(x - x[:n_normal].mean()) / x[:n_normal].std() for x in (excess, np.log(slope))]
    return standard[0] + standard[1] / 2


def surprises(scores: Sequence[Float[np.ndarray, "N"]], n_normal: int) -> Float[np.ndarray, "N"]:
    """Σ max(0, (s − m)/d) over several scores, m and d the mean and deviation of the first n_normal points.

    What is less surprising than usual by one score, as a simple image by its error, excuses nothing.
    """
    return np.sum([np.maximum(0, (s - s[:n_normal].mean()) / s[:n_normal].std()) for s in scores], 0)


def _mixture(x: Float[np.ndarray, "N D"], seed: int) -> PPCAMixture:
    components, rank = max(1, min(50, len(x) // 100)), max(1, min(40, x.shape[1] // 2))
    return PPCAMixture.fit(torch.from_numpy(x), components, rank, seed=seed)


def _distinct(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows in the order of their first appearance, and which of them each row is."""
    rows = np.ascontiguousarray(x).view(np.dtype((np.void, x.dtype.itemsize * x.shape[1])))[:, 0]
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return x[first[order]], place[which]


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if scores.shape != labels.shape or scores.ndim != 1:
        raise ValueError(
            f"there must be a label for each score, got shapes {scores.shape} and {labels.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} of {len(scores)} scores are not finite")
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise ValueError(f"labels must be 0 and 1, both present, got {np.unique(labels)[:5].tolist()}")
    return scores, labels


def scores_of(run: Path, model, x) -> dict[str, Any]:
    """The scores of a run, an array each: of an energy E(x), and ‖∇E(x)‖² as the networks see x; of a model
    with latents what it ranks by.

    Raises:
        InputError: one is not finite.
    """
    scores = {name: values.numpy() for name, values in model.rankings(x).items()}
    if "energy" in model.offers:
        unit = model.method.scale.cpu()
        slopes = [squared_gradient_norm(model.energy, part, unit) for part in x.split(BATCH)]
        scores["‖∇E‖²"] = np.concatenate([part.numpy() for part in slopes])
    for name, values in scores.items():
        if not np.isfinite(values).all():
            raise InputError(
                f"{run}: {name} of a row of the test is not finite, training failed: remove the run"
            )
    return scores
