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

        log q(y | x) = −‖y − x + ε ∇E(x)‖² / 4ε + constant

    Reference: Exponential convergence of Langevin distributions and their discrete approximations
    (Roberts & Tweedie, 1996), https://doi.org/10.2307/3318418.
    """

    def step(
        self, energy: Energy, state: State, step_size: StepSize, rng: torch.Generator | None = None
    ) -> tuple[State, Info]:
        ε = per_chain(step_size, state.x)
        x = state.x - ε * state.gradient + (2 * ε) ** 0.5 * normal_like(state.x, rng)
        proposal = init(energy, x)
        log_ratio = (
            state.energy
            - proposal.energy
            + self.log_proposal(proposal, state.x, step_size)
            - self.log_proposal(state, proposal.x, step_size)
        )
        return accept(state, proposal, log_ratio, rng)

    @staticmethod
    def log_proposal(start: State, end: Points, step_size: StepSize) -> Energies:
        """log q(end | start), but for a constant."""
        residual = end - start.x + per_chain(step_size, end) * start.gradient
        return -residual.flatten(1).square().sum(1) / (4 * step_size)
