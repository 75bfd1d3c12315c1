"""Many networks for one task: how good each is and several together, and how much they differ.

Together they say p(y | x) = 1/M Σₘ p(y | x, wₘ). All that is needed is log p(y | x, wₘ), however they came
to be.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.metrics.calibration import of_classes
from energy_gan.randomness import random_generator

DRAWS = 20  # ensembles of a size
SIZES = (5, 20)

LogP = Float[Tensor, "M N K"]
Labels = Int[Tensor, "N"]
Weights = Float[Tensor, "M P"]


def accuracies(log_p: LogP, labels: Labels) -> Float[Tensor, "M"]:
    """The share of points that each network names rightly."""
    return (log_p.argmax(2) == labels).float().mean(1)


def together(log_p: LogP, labels: Labels, size: int, seed: int = 0) -> dict[str, float]:
    """`of_classes` of ensembles of a size, the mean over 20 draws of them; over all networks for 1."""
    order = [torch.randperm(len(log_p), generator=random_generator(seed, k))[:size] for k in range(DRAWS)]
    chosen = torch.arange(len(log_p))[:, None] if size == 1 else order
    found = [of_classes(log_p[some].exp().mean(0), labels) for some in chosen]
    return {name: sum(row[name] for row in found) / len(found) for name in found[0]}


def agreement(log_p: LogP) -> float:
    """The share of points that two networks name alike, over all pairs."""
    named = torch.nn.functional.one_hot(log_p.argmax(2), log_p.shape[2]).sum(0).double()
    pairs = len(log_p) * (len(log_p) - 1)
    return float((named * (named - 1)).sum(1).mean() / pairs)


def distances(weights: Weights) -> dict[str, float]:
    """The mean distance of two networks, and of one to its nearest."""
    apart = torch.cdist(weights, weights, compute_mode="donot_use_mm_for_euclid_dist")
    others = ~torch.eye(len(weights), dtype=torch.bool)
    nearest = apart.masked_fill(~others, torch.inf).amin(1)
    return {"network_distance": float(apart[others].mean()), "network_nearest": float(nearest.mean())}


def measured(log_p: LogP, labels: Labels, weights: Weights, seed: int = 0) -> dict[str, float]:
    """All of these by their names among the numbers of a run; of one network, what is of one."""
    numbers = {"single_accuracy_worst": float(accuracies(log_p, labels).min())}
    sizes = {"single": 1} | {f"ensemble_{n}": n for n in SIZES if n <= len(log_p)}
    for name, size in sizes.items():
        found = together(log_p, labels, size, seed)
        numbers |= {f"{name}_{what}": found[what] for what in ("accuracy", "calibration_error")}
    if len(log_p) == 1:
        return numbers
    return numbers | {"network_agreement": agreement(log_p)} | distances(weights)
