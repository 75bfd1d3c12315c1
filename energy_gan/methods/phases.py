"""The two phases of an energy: data down, negatives up, in one pass of the network."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from energy_gan.energies.base import stated
from energy_gan.methods.players import Terms
from energy_gan.negatives.base import Negatives
from energy_gan.objectives import cross_entropy
from energy_gan.samplers.base import Energy
from energy_gan.shapes import Energies, Labels, Points, Scalar

Objective = Callable[[Energies, Negatives], Terms]
Penalty = Callable[[Points, Energies], Scalar]


class Phases(NamedTuple):
    """What an energy's move comes to."""

    terms: Terms
    positive: Energies  # E(x⁺)
    negatives: Negatives  # with E(x⁻), without a graph

    @property
    def means(self) -> Terms:
        """For the log."""
        positive, negative = self.positive.mean(), self.negatives.mean_energy
        return {
            "energy_positive": positive,
            "energy_negative": negative,
            "energy_gap": negative - positive,
        }


def phases(
    energy: Energy, x: Points, negatives: Negatives, objective: Objective, penalty: Penalty | None
) -> Phases:
    """objective(E(x⁺), E(x⁻)) + penalty(x⁺, E(x⁺)) (Eq. 7, 8)."""
    x = x.detach().requires_grad_(penalty is not None)
    energies = energy(torch.cat([x, negatives.samples]))
    positive, negative = energies.tensor_split([len(x)])
    terms = objective(positive, negatives.seen(x, negative))
    if penalty is not None:
        terms = {**terms, "penalty": penalty(x, positive)}
    return Phases(terms, positive, negatives._replace(energies=negative.detach()))


def class_terms(energy: nn.Module, x: Points, labels: Labels | None, weight: float) -> Terms:
    """The weighted cross-entropy of labelled points, where it has a weight and the batch labels."""
    if not weight or labels is None:
        return {}
    return {"cross_entropy": weight * cross_entropy(stated(energy, "classes")(x), labels)}
