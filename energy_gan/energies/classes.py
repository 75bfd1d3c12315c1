"""The logits of a classifier as an energy.

    E(x) = −log Σ_y exp(f_y(x)),    p(x, y) ∝ exp(f_y(x)),    p(y | x) = softmax(f(x))_y       (Eq. 5 to 7)

A constant that is added to all logits leaves p(y | x) as it is and moves E: what a classifier does not use of
its logits says how likely x is.

Reference: Your Classifier is Secretly an Energy Based Model and You Should Treat it Like One (Grathwohl et
al., 2020), https://arxiv.org/abs/1912.03263.
"""

from torch import nn

from energy_gan.energies.base import Energy
from energy_gan.nn import widened
from energy_gan.shapes import Energies, Points


class Logits(nn.Sequential):
    """w_y·f(x) + b_y for each class y.

    Args:
        features: f, a module from (B, *shape) to (B, features.out_features).
        n_classes: at least 2.
    """

    def __init__(self, features: nn.Module, n_classes: int):
        if n_classes < 2:
            raise ValueError(f"n_classes must be at least 2, got {n_classes}")
        super().__init__(features, nn.Linear(features.out_features, n_classes))


class OneClass(Energy):
    """−f_y(x) = E(x) − log p(y | x): the law of the points of one class, p(x | y) ∝ exp(f_y(x)).

    Args:
        classes: f.
        number: y, from 0.
    """

    def __init__(self, classes: nn.Module, number: int):
        super().__init__()
        self.logits, self.number = classes, number

    def forward(self, x: Points) -> Energies:
        return -widened(self.logits(x))[:, self.number]


class ClassEnergies(Energy):
    """E(x) = −log Σ_y exp(f_y(x)).

    Args:
        classes: f, a module from (B, *shape) to logits (B, K).
    """

    def __init__(self, classes: nn.Module):
        super().__init__()
        self.logits = classes

    @property
    def classes(self) -> nn.Module:
        return self.logits

    def forward(self, x: Points) -> Energies:
        return -widened(self.logits(x)).logsumexp(1)
