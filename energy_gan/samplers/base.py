"""The contract of a sampler: a kernel that moves points and leaves p(x) ∝ exp(−E(x)) as it is.

A kernel knows no training and no logging, and takes any callable energy. One convention of the step
size ε for all:

    x ← x − ε ∇E(x) + √(2ε) ξ,   ξ ~ N(0, I)

Reference for the shape of a kernel: BlackJAX: Composable Bayesian inference in JAX
(Cabezas et al., 2024), https://arxiv.org/abs/2402.10797.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from energy_gan.shapes import Energies, Points

Energy = Callable[[Points], Energies]
Proposal = Callable[[Points, float, torch.Generator | None], Points]  # from x, of a size from 0 to 1
StepSize = float | Float[Tensor, ""] | Float[Tensor, "B"]  # one for all chains, or one for each


class State(NamedTuple):
    """Where the chains are, with what a kernel would otherwise have to compute again."""

    x: Points
    energy: Energies
    gradient: Points  # ∇E(x)


class Info(NamedTuple):
    """How a move went."""

    acceptance: Energies  # the probability of being accepted; 1 for a kernel that accepts all
    accepted: Bool[Tensor, "B"]


def init(energy: Energy, x: Points) -> State:
    """The state of chains at x. The energy's weights are left alone and no graph is kept."""
    if torch.is_inference_mode_enabled() or x.is_inference():  # of which autograd knows nothing
        with torch.inference_mode(False):
            return init(energy, x.clone())
    with torch.enable_grad():
        here = x.detach().requires_grad_()
        energies = energy(here)
        (gradient,) = torch.autograd.grad(energies.sum(), here)
    return State(here.detach(), energies.detach(), gradient)


def gradient(energy: Energy, x: Points) -> Points:
    """∇E(x), with a graph to x where one is wanted."""
    if torch.is_grad_enabled() and x.requires_grad:
        return torch.autograd.grad(energy(x).sum(), x, create_graph=True)[0]
    return init(energy, x).gradient


class Kernel(ABC):
    """A move of chains that are independent of each other. A subclass gives `step`.

    `target_acceptance` is what a step size is found for. In many dimensions and at rest 0.57 is best for MALA
    and 0.65 for HMC. But an energy is steeper in some places than in others, and a step that is refused
    nearly always in steep ones leaves the chains that start there where they are, which no mean shows.

    Reference: Optimal scaling of discrete approximations to Langevin diffusions (Roberts & Rosenthal, 1998),
    https://doi.org/10.1111/1467-9868.00123; Optimal tuning of the hybrid Monte Carlo algorithm (Beskos et
    al., 2013), https://arxiv.org/abs/1001.4460.
    """

    target_acceptance = 0.7
    accepts_all = False  # then a move is its `drift`, and noise

    def drift(self, x: Points, gradient: Points, step_size: StepSize, noise: Points | None = None) -> Points:
        """A move with these random numbers for ξ, or with none, of a kernel that accepts all."""
        raise NotImplementedError

    @property
    def tuned_by(self) -> "Kernel":
        """The kernel whose acceptance tells this one's step size: itself where it refuses moves."""
        return self

    @abstractmethod
    def step(
        self, energy: Energy, state: State, step_size: StepSize, rng: torch.Generator | None = None
    ) -> tuple[State, Info]:
        """One move of every chain; `rng` draws its random numbers."""


@lru_cache(maxsize=8)
def certain(n: int, device: torch.device) -> Info:
    """Of n moves that are accepted whatever they lead to."""
    accepted = torch.ones(n, dtype=torch.bool, device=device)
    return Info(accepted.float(), accepted)


def normal_like(x: Points, rng: torch.Generator | None) -> Points:
    """ξ ~ N(0, I) of the shape of x, drawn where `rng` is."""
    if rng is None:
        return torch.randn_like(x)
    return torch.randn(x.shape, generator=rng, device=rng.device, dtype=x.dtype).to(x.device)


def accept(
    state: State, proposal: State, log_ratio: Energies, rng: torch.Generator | None
) -> tuple[State, Info]:
    """Metropolis and Hastings' choice, each chain for itself. What is not finite is refused.

    Args:
        log_ratio: not finite where the proposal's gradient is not, as where it holds log q(x | y).
    """
    acceptance = log_ratio.clamp(max=0).exp().where(proposal.energy.isfinite(), 0.0).nan_to_num(nan=0.0)
    device = rng.device if rng else acceptance.device
    uniform = torch.rand(acceptance.shape, generator=rng, device=device, dtype=acceptance.dtype)
    accepted = uniform.to(acceptance.device) < acceptance
    chosen = (
        torch.where(per_chain(accepted, new), new, old) for old, new in zip(state, proposal, strict=True)
    )
    return State(*chosen), Info(acceptance, accepted)


def per_chain(value: float | Tensor, like: Tensor) -> float | Tensor:
    """One number for each chain, shaped so that it multiplies its chain's point."""
    if isinstance(value, Tensor) and value.ndim:
        return value.view(-1, *[1] * (like.ndim - 1))
    return value
