"""The contract of a sampler: a kernel that moves points and leaves p(x) ∝ exp(−E(x)) as it is.

A kernel knows no training and no logging, and takes any callable energy. One convention of the step
size ε for all:

    x ← x − ε ∇E(x) + √(2ε) ξ,   ξ ~ N(0, I)

Reference for the shape of a kernel: BlackJAX: Composable Bayesian inference in JAX
(Cabezas et al., 2024), https://arxiv.org/abs/2402.10797.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from energy_gan.shapes import Energies, Points

Energy = Callable[[Points], Energies]
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
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        energies = energy(x)
        (gradient,) = torch.autograd.grad(energies.sum(), x)
    return State(x.detach(), energies.detach(), gradient)


class Kernel(ABC):
    """A move of chains that are independent of each other. A subclass gives `step`."""

    @abstractmethod
    def step(
        self, energy: Energy, state: State, step_size: StepSize, rng: torch.Generator | None = None
    ) -> tuple[State, Info]:
        """One move of every chain; `rng` draws its random numbers."""


def adapt(step_size: float, acceptance: float, target: float = 0.7, rate: float = 0.5) -> float:
    """log ε ← log ε + rate · (acceptance − target): larger steps where too many are accepted."""
    return step_size if math.isnan(acceptance) else step_size * math.exp(rate * (acceptance - target))


def acceptance_rate(state: State, info: Info) -> float:
    """The mean over the chains where E is finite: others accept no step, however small. nan if none is."""
    finite = state.energy.isfinite()
    return float((info.acceptance if finite.all() else info.acceptance[finite]).mean())


def tune(
    kernel: Kernel,
    energy: Energy,
    x: Points,
    target: float = 0.7,
    step_size: float = 1e-3,
    n_steps: int = 50,
    rng: torch.Generator | None = None,
) -> float:
    """The step size that a kernel accepts with probability `target` near x.

    The moves that found it are thrown away: chains that use it have one fixed step, and leave the
    energy's law as it is.
    """
    state = init(energy, x)
    for _ in range(n_steps):
        state, info = kernel.step(energy, state, step_size, rng)
        step_size = adapt(step_size, acceptance_rate(state, info), target, rate=1.0)
    return step_size


def run(
    kernel: Kernel,
    energy: Energy,
    state: State,
    step_size: StepSize,
    n_steps: int,
    rng: torch.Generator | None = None,
) -> tuple[State, float]:
    """n steps with one step size: where the chains end, and the mean acceptance probability."""
    acceptance = 0.0
    for _ in range(n_steps):
        state, info = kernel.step(energy, state, step_size, rng)
        acceptance += float(info.acceptance.mean()) / n_steps
    return state, acceptance


def energies_along(
    kernel: Kernel, energy: Energy, x: Points, n_steps: int, rng: torch.Generator | None = None
) -> Float[Tensor, "B T"]:
    """The energies of chains from x, before the first step and after each, with a step size tuned at x."""
    step_size, state = tune(kernel, energy, x, rng=rng), init(energy, x)
    along = [state.energy]
    for _ in range(n_steps):
        state, _ = kernel.step(energy, state, step_size, rng)
        along.append(state.energy)
    return torch.stack(along, 1)


def normal_like(x: Points, rng: torch.Generator | None) -> Points:
    """ξ ~ N(0, I) of the shape of x, drawn where `rng` is."""
    device = rng.device if rng else x.device
    return torch.randn(x.shape, generator=rng, device=device, dtype=x.dtype).to(x.device)


def accept(
    state: State, proposal: State, log_ratio: Energies, rng: torch.Generator | None
) -> tuple[State, Info]:
    """Metropolis and Hastings' choice, each chain for itself. What is not finite is refused."""
    fine = proposal.energy.isfinite() & proposal.gradient.flatten(1).isfinite().all(1)
    log_ratio = torch.where(fine, log_ratio, -torch.inf).nan_to_num(nan=-torch.inf, posinf=0.0)
    acceptance = log_ratio.clamp(max=0).exp()
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
