"""Unadjusted Langevin dynamics: fast, and wrong by a bias that grows with the step."""

import math
from collections.abc import Sequence

import torch

from energy_gan.samplers.base import (
    Energy,
    Info,
    Kernel,
    State,
    StepSize,
    certain,
    init,
    normal_like,
    per_chain,
)
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Points


class Langevin(Kernel):
    """x ← x − ε ∇E(x) + √(2 ε T) ξ, always accepted: chains of exp(−E(x) / T), gradient descent at T = 0.

    On N(0, σ²) its stationary variance is T σ² / (1 − ε / 2σ²), too wide by that factor.

    Reference: Bayesian Learning via Stochastic Gradient Langevin Dynamics (Welling & Teh, 2011),
    https://www.stats.ox.ac.uk/~teh/research/compstats/WelTeh2011a.pdf, equation 3 (ε there is 2ε here).

    Args:
        temperature: T, at least 0.
        bounds: [low, high]; each number of x is brought back to the nearer one where it has left them.
    """

    accepts_all = True
    target_acceptance = 0.9  # MALA's at that step: the bias is small there

    def __init__(self, temperature: float = 1.0, bounds: Sequence[float] | None = None):
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature must be a finite number of at least 0, got {temperature}")
        if bounds is not None and not (len(bounds) == 2 and bounds[0] < bounds[1]):
            raise ValueError(f"bounds must be two numbers, the lower one first, got {list(bounds)}")
        self.temperature, self.bounds = temperature, bounds

    @property
    def tuned_by(self) -> Kernel:
        """MALA, the same move at temperature 1 with a choice."""
        return MALA()

    def drift(self, x: Points, gradient: Points, step_size: StepSize, noise: Points | None = None) -> Points:
        """x − ε ∇E(x) + √(2 ε T) ξ for this ξ, or 0, brought back into the bounds."""
        ε = per_chain(step_size, x)
        x = x - ε * gradient
        if noise is not None:
            x = x + (2 * ε * self.temperature) ** 0.5 * noise
        return x if self.bounds is None else x.clamp(*self.bounds)

    def step(
        self, energy: Energy, state: State, step_size: StepSize, rng: torch.Generator | None = None
    ) -> tuple[State, Info]:
        ε = per_chain(step_size, state.x)
        noise = normal_like(state.x, rng).mul_((2 * ε * self.temperature) ** 0.5)
        x = noise.add_(state.x).sub_(ε * state.gradient)
        if self.bounds is not None:
            x = x.clamp_(*self.bounds)
        return init(energy, x), certain(len(x), x.device)
