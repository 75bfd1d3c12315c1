"""The Metropolis-adjusted Langevin algorithm: Langevin's move, accepted so that p is exactly kept."""

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


class MALA(Kernel):
    """y = x − ε ∇E(x) + √(2ε) ξ, accepted with probability min(1, p(y) q(x | y) / p(x) q(y | x)).

        log q(y | x) = −‖y − x + ε ∇E(x)‖² / 4ε + constant = −‖ξ‖² / 2 + constant

    Reference: Exponential convergence of Langevin distributions and their discrete approximations
    (Roberts & Tweedie, 1996), https://doi.org/10.2307/3318418.
    """

    def step(
        self, energy: Energy, state: State, step_size: StepSize, rng: torch.Generator | None = None
    ) -> tuple[State, Info]:
        return accept(state, *self.propose(energy, state, normal_like(state.x, rng), step_size), rng)

    @staticmethod
    def propose(energy: Energy, state: State, noise: Points, step_size: StepSize) -> tuple[State, Energies]:
        """y for this ξ, and the logarithm of the ratio that decides."""
        ε = per_chain(step_size, state.x)
        log_there = -noise.flatten(1).square().sum(1) / 2
        move = noise.mul((2 * ε) ** 0.5).sub_(ε * state.gradient)
        proposal = init(energy, state.x + move)
        log_back = -(ε * proposal.gradient).sub_(move).flatten(1).square().sum(1) / (4 * step_size)
        return proposal, state.energy - proposal.energy + log_back - log_there
