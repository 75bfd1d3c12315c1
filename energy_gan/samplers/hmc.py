"""Hamiltonian Monte Carlo: several leapfrog steps, then one decision."""

import torch

from energy_gan.samplers.base import (
    Energy,
    Info,
    Kernel,
    State,
    StepSize,
    accept,
    init,
    normal_like,
    per_chain,
)
from energy_gan.shapes import Energies, Points


class HMC(Kernel):
    """Leapfrog of H(x, v) = E(x) + ½‖v‖² from a fresh v ~ N(0, I), accepted with min(1, exp(−ΔH)).

    The leapfrog step is h = √(2ε), so that a single one is MALA's move with step size ε.

    Reference: MCMC using Hamiltonian dynamics (Neal, 2011), https://arxiv.org/abs/1206.1901, section 3.

    Args:
        n_leapfrog: steps to a decision, at least 1.
    """

    def __init__(self, n_leapfrog: int = 5):
        if n_leapfrog < 1:
            raise ValueError(f"n_leapfrog must be at least 1, got {n_leapfrog}")
        self.n_leapfrog = n_leapfrog

    def step(
        self, energy: Energy, state: State, step_size: StepSize, rng: torch.Generator | None = None
    ) -> tuple[State, Info]:
        velocity = normal_like(state.x, rng)
        proposal, end = self.leapfrog(energy, state, velocity, step_size)
        log_ratio = state.energy + _kinetic(velocity) - proposal.energy - _kinetic(end)
        return accept(state, proposal, log_ratio, rng)

    def leapfrog(
        self, energy: Energy, state: State, velocity: Points, step_size: StepSize
    ) -> tuple[State, Points]:
        """Where the chains and their velocities are after n_leapfrog steps. Reversible, keeps volume."""
        h = per_chain((2 * step_size) ** 0.5, state.x)
        for _ in range(self.n_leapfrog):
            velocity = velocity - h / 2 * state.gradient
            state = init(energy, state.x + h * velocity)
            velocity = velocity - h / 2 * state.gradient
        return state, velocity


def _kinetic(velocity: Points) -> Energies:
    return 0.5 * velocity.flatten(1).square().sum(1)
