"""Unadjusted Langevin dynamics: fast, and wrong by a bias that grows with the step."""

import torch

from energy_gan.samplers.base import Energy, Info, Kernel, State, StepSize, init, normal_like, per_chain


class Langevin(Kernel):
    """x ← x − ε ∇E(x) + √(2ε) ξ, always accepted.

    On N(0, σ²) its stationary variance is σ² / (1 − ε / 2σ²), too wide by that factor.

    Reference: Bayesian Learning via Stochastic Gradient Langevin Dynamics (Welling & Teh, 2011),
    https://www.stats.ox.ac.uk/~teh/research/compstats/WelTeh2011a.pdf, equation 3 (ε there is 2ε here).
    """

    def step(
        self, energy: Energy, state: State, step_size: StepSize, rng: torch.Generator | None = None
    ) -> tuple[State, Info]:
        ε = per_chain(step_size, state.x)
        x = state.x - ε * state.gradient + (2 * ε) ** 0.5 * normal_like(state.x, rng)
        certain = torch.ones_like(state.energy)
        return init(energy, x), Info(certain, certain.bool())
