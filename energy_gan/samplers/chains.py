"""The one loop that runs kernels: n steps of one size, or of one that follows the acceptance."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.samplers.base import Energy, Info, Kernel, State, StepSize, init
from energy_gan.shapes import Energies, Points


class Step(NamedTuple):
    """One step of all chains."""

    state: State
    info: Info
    step_size: StepSize  # of the next


class Walk(NamedTuple):
    """Where chains end, and how they went."""

    state: State
    acceptance: Energies  # each chain's probability of being accepted, the mean over the steps
    energies: Float[Tensor, "B T"] | None  # before the first step and after each, if asked for
    step_size: StepSize  # that a next step would have
    previous: State  # before the last step


@dataclass(frozen=True)
class Chains:
    """A kernel at work, n steps of many chains.

    With a target the step size ε follows the mean acceptance a of the chains, after each step k:

        log ε ← log ε + rateₖ · (a − target),   rateₖ = rate / (1 + k / settling)

    Chains that adapt do not leave the energy's law quite as it is; those with a fixed step do.

    Reference: A tutorial on adaptive MCMC (Andrieu & Thoms, 2008), https://doi.org/10.1007/s11222-008-9110-y.

    Args:
        n_steps: at least 1.
        step_size: of all steps, or of the first where there is a target.
        target: the acceptance to reach, 0 to 1; None keeps the step size.
        rate: of the first adaptation.
        settling: steps after which the rate is half of the first; it stays the same if infinite.
    """

    kernel: Kernel
    n_steps: int
    step_size: StepSize
    target: float | None = None
    rate: float = 0.5
    settling: float = math.inf

    def __post_init__(self):
        if self.n_steps < 1:
            raise ValueError(f"n_steps must be at least 1, got {self.n_steps}")
        if isinstance(self.step_size, float) and not self.step_size >= 0:  # one that shrinks may end at 0
            raise ValueError(f"step_size must not be negative, got {self.step_size}")
        if self.target is not None and not 0 < self.target < 1:
            raise ValueError(f"target must be an acceptance between 0 and 1, got {self.target}")

    def walk(self, energy: Energy, x: Points | State, rng: torch.Generator | None = None) -> Iterator[Step]:
        """Step after step, from points or from their state, if it is known."""
        state, step_size = x if isinstance(x, State) else init(energy, x), self.step_size
        for k in range(self.n_steps):
            state, info = self.kernel.step(energy, state, step_size, rng)
            if self.target is not None:
                rate = self.rate / (1 + k / self.settling)
                step_size = adapt(step_size, acceptance_rate(state, info), self.target, rate)
            yield Step(state, info, step_size)

    def run(
        self, energy: Energy, x: Points | State, rng: torch.Generator | None = None, along: bool = False
    ) -> Walk:
        """All steps.

        Args:
            x: where the chains start, or their state there, if it is known.
            along: keep the energies of all chains after each step.
        """
        state = x if isinstance(x, State) else init(energy, x)
        acceptance, energies = torch.zeros_like(state.energy), [state.energy]
        for step in self.walk(energy, state, rng):
            previous, state = state, step.state
            acceptance += step.info.acceptance
            if along:
                energies.append(step.state.energy)
        kept = torch.stack(energies, 1) if along else None
        return Walk(state, acceptance / self.n_steps, kept, step.step_size, previous)


def adapt(step_size: float, acceptance: float, target: float = 0.7, rate: float = 0.5) -> float:
    """log ε ← log ε + rate · (acceptance − target): larger steps where too many are accepted."""
    return step_size if math.isnan(acceptance) else step_size * math.exp(rate * (acceptance - target))


def acceptance_rate(state: State, info: Info) -> float:
    """The mean over the chains where E is finite: others accept no step, however small. nan if none is."""
    finite = state.energy.isfinite()
    return float((info.acceptance if finite.all() else info.acceptance[finite]).mean())


def tune(kernel: Kernel, energy: Energy, x: Points, rng: torch.Generator | None = None) -> float:
    """The step size of which a kernel that can refuse moves accepts 7 in 10 near x.

    The 50 moves that found it are thrown away: chains that use it have one fixed step, and leave the
    energy's law as it is.
    """
    return Chains(kernel, 50, 1e-3, target=0.7, rate=1.0).run(energy, x, rng).step_size
