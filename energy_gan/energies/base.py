"""The contract of an energy model, and the sign rule of the whole package.

    p(x) = exp(−E(x)) / Z,    Z = ∫ exp(−E(x)) dx                                   (Eq. 1)

LOW ENERGY IS LIKELY. Training lowers E at the data (positive phase) and raises it at the negative
samples (negative phase). Losses are minimised.

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, equation 1.
"""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import nn

from energy_gan.samplers.base import Proposal
from energy_gan.samplers.transport import Transport
from energy_gan.shapes import Energies, Points


class Energy(nn.Module, ABC):
    """E(x), one number a point. A subclass gives `forward`."""

    @property
    def integrable(self) -> bool:
        """True where Z is finite by construction, whatever the weights."""
        return False

    @property
    def normalised(self) -> bool:
        """True where Z is 1, whatever the weights."""
        return False

    @property
    def base(self) -> "Base | None":
        """The density that the energy tilts, where it is made of one: E(x) = −log p₀(x) + bounded."""
        return None

    def over_base(self, x: Points) -> Energies:
        """f(x) = E(x) + log p₀(x), of an energy with a base."""
        return self(x) - self.base(x)

    @property
    def classes(self) -> nn.Module | None:
        """x -> the logits of its classes, where it is made of them: p(y | x) = softmax(logits)."""
        return None

    @property
    def levels(self) -> "Energy | None":
        """Itself, where it is one of every noise level: E(y, σ) by `at(y, log σ)`, see `noise_levels`."""
        return None

    @abstractmethod
    def forward(self, x: Points) -> Energies:
        """E(x)."""

    def log_prob_unnormalized(self, x: Points) -> Energies:
        """−E(x) = log p(x) + log Z."""
        return -self(x)

    def score(self, x: Points) -> Points:
        """−∇E(x) = ∇ log p(x)."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return -torch.autograd.grad(self(x).sum(), x)[0]


class Base(Energy):
    """−log p₀(x): Z is 1, and samples are exact and independent."""

    integrable = normalised = True

    @property
    def transport(self) -> Transport | None:
        """The map from N(0, I) that makes its samples, where it is made of one."""
        return None

    @property
    def proposal(self) -> Proposal | None:
        """A reversible move that keeps p₀, where it has one of its own."""
        return None

    @abstractmethod
    def sample(self, n: int, rng: torch.Generator | None = None) -> Points:
        """n samples of p₀."""


def stated(
    energy: nn.Module | None,
    what: Literal["integrable", "normalised", "base", "classes", "features", "levels", "flow", "guess"],
) -> Any:
    """What an energy says of itself; a module of one's own, which is no `Energy`, says nothing.

    Of those above; or its `features`, x -> f(x), or its `flow`, a generator, where it is made of such; or
    its `guess` of coordinates given others, with the guess's log-density.
    """
    return getattr(energy, what, False if what in ("integrable", "normalised") else None)
