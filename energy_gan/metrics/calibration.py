"""Whether the probabilities of classes can be trusted: what is believed with 0.8 should be right in 8 of 10.

    ECE = Σ_b n_b / N · |accuracy_b − confidence_b|

over bins b of equal width of the confidence, the probability of the class that is believed.

Reference: On Calibration of Modern Neural Networks (Guo et al., 2017), https://arxiv.org/abs/1706.04599,
equation 3.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

BINS = 15

Probabilities = Float[Tensor, "N K"]
Labels = Int[Tensor, "N"]


def of_classes(probabilities: Probabilities, labels: Labels) -> dict[str, float]:
    """Accuracy, calibration error, and the mean cross-entropy in nats."""
    right = probabilities.argmax(1) == labels
    error = multiclass_calibration_error(probabilities, labels, probabilities.shape[1], BINS, "l1")
    entropy = F.nll_loss(probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log(), labels)
    return {
        "accuracy": float(right.float().mean()),
        "calibration_error": float(error),
        "cross_entropy": float(entropy),
    }


def confusion(probabilities: Probabilities, labels: Labels) -> Int[Tensor, "K K"]:
    """How many of a class, a row, are believed to be of which, a column."""
    return multiclass_confusion_matrix(probabilities, labels, probabilities.shape[1])


class Reliability(NamedTuple):
    """What is in the bins that have something, by confidence."""

    confidence: Float[Tensor, "b"]
    accuracy: Float[Tensor, "b"]
    share: Float[Tensor, "b"]


def reliability(probabilities: Probabilities, labels: Labels) -> Reliability:
    """The mean confidence and the accuracy in each bin."""
    confidence, believed = probabilities.double().max(1)
    right = (believed == labels).double()
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    counts, sure, good = (bins.bincount(weights, BINS) for weights in (None, confidence, right))
    there = counts > 0
    n = counts[there].double()
    return Reliability(sure[there] / n, good[there] / n, n / n.sum())
