"""What chains remember from step to step: nothing, or where they are and how much they count."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from energy_gan.errors import InputError
from energy_gan.negatives.base import ess, systematic
from energy_gan.negatives.starts import Started
from energy_gan.samplers.base import Energy, State, init
from energy_gan.shapes import Energies, Points

Begin = Callable[[int], Started]


class Taken(NamedTuple):
    """The chains that a training step moves."""

    state: State
    log_weights: Energies | None = None  # A, so that E[exp(A) f(x)] = Z E_P[f]; None where nobody knows it
    chosen: Int[Tensor, "M"] | None = None  # which of those in memory they are


class Memory(nn.Module, ABC):
    """What there is of chains between two training steps. A subclass gives `take` and `keep`."""

    @abstractmethod
    def take(self, energy: Energy, begin: Begin) -> Taken:
        """The chains to move, some of which may have to begin."""

    def keep(self, taken: Taken, state: State) -> None:
        """Remember where these chains have come to."""

    def some(self, n: int) -> Points:
        """The places of at most n chains that have been moved."""
        return torch.empty(0)


class NoMemory(Memory):
    """n chains that begin anew in every step.

    Args:
        n: at least 1.
    """

    def __init__(self, n: int):
        super().__init__()
        if n < 1:
            raise ValueError(f"moved must be at least 1, got {n}")
        self.n = n

    def take(self, energy: Energy, begin: Begin) -> Taken:
        return Taken(init(energy, begin(self.n).samples))


class PersistentChains(Memory):
    """Many chains, of which each training step moves some.

    When the energy changes under a chain, from E to E', its weight takes what the chain could not follow,

        A ← A + E(x) − E'(x)

    A chain whose place or energy is no longer finite begins anew, at the weight that belongs to it.

    Reference: Efficient Training of Energy-Based Models Using Jarzynski Equality (Carbone et al., 2023),
    https://arxiv.org/abs/2305.19414, algorithm 1.

    Args:
        shape: of one point.
        chains: how many there are, and `moved` how many of them move in a step.
        weighted: start them at weights that count, and draw the moved ones again where these are uneven.
        least_ess: the effective share of the moved chains, 0 to 1, below which that is done.
    """

    def __init__(self, shape: Sequence[int], chains: int, moved: int, weighted: bool, least_ess: float):
        super().__init__()
        if not 1 <= moved <= chains:
            raise ValueError(f"moved must be 1 to chains={chains}, got {moved}")
        if not 0 <= least_ess <= 1:
            raise ValueError(f"least_ess must be a share from 0 to 1, got {least_ess}")
        self.moved, self.weighted, self.least_ess = moved, weighted, least_ess
        self.register_buffer("places", torch.full((chains, *shape), torch.nan))  # not started: nan
        self.register_buffer("energies", torch.zeros(chains))  # of each chain when it moved last
        self.register_buffer("log_weights", torch.zeros(chains))

    def take(self, energy: Energy, begin: Begin) -> Taken:
        lost = ~(self.places.flatten(1).isfinite().all(1) & self.energies.isfinite())
        if lost.any():
            self._start(energy, begin, lost)
        chosen = torch.randperm(len(self.places), device=self.places.device)[: self.moved]
        state = init(energy, self.places[chosen])
        log_weights = self.log_weights[chosen] + self.energies[chosen] - state.energy
        if self.weighted and ess(log_weights) < self.least_ess * len(chosen):
            kept = systematic(log_weights.softmax(0), len(chosen))
            state = State(*(part[kept] for part in state))
            log_weights = log_weights.logsumexp(0).expand_as(log_weights) - math.log(len(chosen))
        return Taken(state, log_weights, chosen)

    def keep(self, taken: Taken, state: State) -> None:
        self.places[taken.chosen], self.energies[taken.chosen] = state.x, state.energy
        self.log_weights[taken.chosen] = taken.log_weights

    def some(self, n: int) -> Points:
        started = self.places[self.places.flatten(1).isfinite().all(1)][:n]
        return started if self.energies.any() else started[:0]

    def _start(self, energy: Energy, begin: Begin, which: Bool[Tensor, "C"]) -> None:
        """Some chains anew, weighted by exp(−E) over the density of the law that they start from."""
        x, log_density = begin(int(which.sum()))
        self.places[which], self.energies[which] = x, energy(x)
        if not self.weighted:
            return
        if log_density is None:
            raise InputError(
                "chains that start at points of an unknown density have no weights: give "
                "method.negatives.weighted=false"
            )
        self.log_weights[which] = -self.energies[which] - log_density(x)
