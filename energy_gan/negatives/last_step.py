"""What chains do to a likelihood's gradient: the sampler's own divergence, through the last step of its walk.

Contrastive divergence descends E[E(x⁺)] − E[E(x_K)] as if x_K did not depend on the weights θ, which it does:
KL(law of x_K ‖ P_energy) has a gradient too. With E₀ the energy whose weights are held,

    L_opt = E[E₀(x_K(θ))],   L_ent = −w E[log min_j ‖x_K(θ) − b_j‖]

where b are chains of earlier steps: −H of the law of x_K, by its nearest neighbours, but for constants. Of
the walk only the last step counts: x_K(θ) = x_{K−1} − ε ∇E_θ(x_{K−1}) + √(2ε) ξ.

Reference: Improved Contrastive Divergence Training of Energy Based Models (Du et al., 2021),
https://arxiv.org/abs/2012.01316.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from energy_gan.negatives.base import NegativeSampler
from energy_gan.numerics.neighbours import log_distances
from energy_gan.shapes import Negatives, Points, Scalar

TINY = 1e-30  # a distance that only a point has from itself


@dataclass(frozen=True)
class ThroughLastStep:
    """L_opt and L_ent of Langevin's last step, divided by T like an energy F / T: the weights are those of F.

    Args:
        weight: of both, not negative; 1 in the reference.
        entropy_weight: w, not negative; 0.3 in the reference's code, 0 leaves it out.
        neighbours: how many earlier chains b are looked at.
        temperature: T, of an energy F / T.
        bounds: those of the kernel: what is held by them does not move with θ.
        least: distances below this, in standardised units, count as this.
    """

    weight: float = 1.0
    entropy_weight: float = 0.3
    neighbours: int = 100
    temperature: float = 1.0
    bounds: Sequence[float] | None = None
    least: float = 1e-6

    def __post_init__(self):
        if not (self.weight >= 0 and self.entropy_weight >= 0 and self.neighbours >= 1):
            raise ValueError(
                "weight and entropy_weight must not be negative and neighbours at least 1, "
                f"got {self.weight}, {self.entropy_weight} and {self.neighbours}"
            )
        if not (self.temperature > 0 and self.least > 0):
            raise ValueError(
                f"temperature and least must be positive, got {self.temperature} and {self.least}"
            )

    def check(self, negatives: Negatives, source: NegativeSampler) -> None:
        """ValueError where there is no walk, or no chain that is remembered."""
        if negatives.before is None:
            raise ValueError("through_last_step needs negatives that chains have moved: a ChainNegatives")
        if self.entropy_weight and not source.remembers:
            raise ValueError(
                "through_last_step.entropy_weight needs chains that a memory keeps, to compare with: give "
                "negatives.memory, a Buffer for example, or entropy_weight=0"
            )

    def terms(self, energy: nn.Module, negatives: Negatives, source: NegativeSampler) -> dict[str, Scalar]:
        """The two terms, at the weights that the chains were moved with."""
        end, x = negatives.samples, self.end(energy, negatives)
        along = ((x - end) * negatives.gradient).flatten(1).sum(1)  # E₀(x_K(θ)) − E₀(x_K), to first order
        terms = {"last_step": self.weight * (negatives.energies + along).mean()}
        if self.entropy_weight:
            others = source.remembered(self.neighbours).flatten(1)
            others = others[log_distances(others, 1, TINY, end.flatten(1)) > math.log(TINY)]  # not themselves
            if len(others):
                distances = log_distances(x.flatten(1), 1, self.least, others)
                weight = self.weight * self.entropy_weight / self.temperature
                terms["last_step_entropy"] = -weight * distances.mean()
        return terms

    def end(self, energy: nn.Module, negatives: Negatives) -> Points:
        """x_K as a function of the weights: its value is that of the walk."""
        before = negatives.before.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(energy(before).sum(), before, create_graph=True)
        moved = negatives.samples != negatives.before  # what a kernel has refused has not
        if self.bounds is not None:
            low, high = self.bounds
            moved = moved & (negatives.samples > low) & (negatives.samples < high)
        return negatives.samples - negatives.step_size * moved * (gradient - gradient.detach())
