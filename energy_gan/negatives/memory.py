"""What chains remember from step to step: nothing, or where they are and how much they count."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from energy_gan.errors import InputError
from energy_gan.negatives.starts import Started
from energy_gan.numerics.weights import ess, systematic
from energy_gan.samplers.base import Energy, State, init, per_chain
from energy_gan.shapes import Energies, Points

Begin = Callable[[int], Started]
NOWHERE = 65_504.0  # the place of a chain that has not begun: finite in every precision, as checkpoints need


class Taken(NamedTuple):
    """The chains that a training step moves."""

    state: State
    log_weights: Energies | None = None  # A, so that E[exp(A) f(x)] = Z E_P[f]; None where nobody knows it
    chosen: Int[Tensor, "M"] | None = None  # which of those in memory they are


class Memory(nn.Module, ABC):
    """What there is of chains between two training steps. A subclass gives `take` and `keep`."""

    remembers = False  # whether anything is left of the chains of earlier steps

    @abstractmethod
    def take(self, energy: Energy, begin: Begin) -> Taken:
        """The chains to move, some of which may have to begin."""

    def keep(self, taken: Taken, state: State) -> None:
        """Remember where these chains have come to."""

    def some(self, n: int) -> Points:
        """The places of at most n chains that have been moved."""
        return torch.empty(0)

    def drawn(self, n: int) -> Points:
        """The places of at most n chains, at random."""
        return torch.empty(0)


class NoMemory(Memory):
    """n chains that begin anew in every step.

    Args:
        n: at least 1.
    """

    def __init__(self, n: int):
        super().__init__()
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        self.n = n

    def take(self, energy: Energy, begin: Begin) -> Taken:
        return Taken(init(energy, begin(self.n).samples))


class Kept(Memory):
    """Places that stay from step to step. Those that are lost, as all are at first, begin anew.

    Args:
        shape: of one point.
        size: how many there are.
        n: how many of them a step takes, 1 to `size`.
    """

    remembers = True

    def __init__(self, shape: Sequence[int], size: int, n: int):
        super().__init__()
        if not 1 <= n <= size:
            raise ValueError(f"a step takes at least 1 chain and at most all that there are, {size}, got {n}")
        self.n = n
        self.register_buffer("places", torch.full((size, *shape), NOWHERE))
        self.register_buffer("energies", torch.zeros(size))  # of each chain when it moved last

    @property
    def begun(self) -> Bool[Tensor, "C"]:
        return (self.places.flatten(1).abs() < NOWHERE).all(1)

    def start_lost(self, energy: Energy, begin: Begin) -> None:
        """Let those begin that have not, or whose place or energy was not finite."""
        lost = ~(self.begun & self.energies.isfinite())
        if lost.any():
            self.start(lost, energy, begin(int(lost.sum())))

    def start(self, which: Bool[Tensor, "C"], energy: Energy, started: Started) -> None:
        """Put chains where they start."""
        self.places[which], self.energies[which] = started.samples, energy(started.samples)

    def keep(self, taken: Taken, state: State) -> None:
        finite = _finite(state)
        self.places[taken.chosen] = state.x.where(per_chain(finite, state.x), NOWHERE)
        self.energies[taken.chosen] = state.energy.where(finite, 0.0)

    def drawn(self, n: int) -> Points:
        return self.places[torch.randperm(len(self.places), device=self.places.device)[:n]]

    def some(self, n: int) -> Points:
        started = self.places[self.begun][:n]
        return started if self.energies.any() else started[:0]


class PersistentChains(Kept):
    """Many chains, of which each training step moves some, each at most once; none begins anew.

    Reference: Training restricted Boltzmann machines using approximations to the likelihood gradient
    (Tieleman, 2008), https://doi.org/10.1145/1390156.1390290.

    Args:
        shape: of one point.
        chains: how many there are, and `moved` how many of them move in a step.
    """

    def __init__(self, shape: Sequence[int], chains: int = 2048, moved: int = 512):
        super().__init__(shape, chains, moved)

    def take(self, energy: Energy, begin: Begin) -> Taken:
        self.start_lost(energy, begin)
        chosen = torch.randperm(len(self.places), device=self.places.device)[: self.n]
        return Taken(init(energy, self.places[chosen]), chosen=chosen)


class WeightedChains(PersistentChains):
    """Persistent chains with weights A. When the energy changes under a chain from E to E', it takes what the
    chain could not follow,

        A ← A + E(x) − E'(x),   so that   E[exp(A) f(x)] = Z' E_{P'}[f]

    for the present energy at all times, however slowly the chains mix and however fast the energy learns:
    without weights an energy digs where no chain is, and runs away.

    Reference: Efficient Training of Energy-Based Models Using Jarzynski Equality (Carbone et al., 2023),
    https://arxiv.org/abs/2305.19414, algorithm 1.

    Args:
        shape, chains, moved: see `PersistentChains`.
        least_ess: the effective share of the moved chains, 0 to 1, below which they are drawn again.
    """

    def __init__(self, shape: Sequence[int], chains: int = 2048, moved: int = 512, least_ess: float = 0.5):
        super().__init__(shape, chains, moved)
        if not 0 <= least_ess <= 1:
            raise ValueError(f"least_ess must be a share from 0 to 1, got {least_ess}")
        self.least_ess = least_ess
        self.register_buffer("log_weights", torch.zeros(chains))

    def take(self, energy: Energy, begin: Begin) -> Taken:
        state, _, chosen = super().take(energy, begin)
        log_weights = self.log_weights[chosen] + self.energies[chosen] - state.energy
        if ess(log_weights) < self.least_ess * len(chosen):
            kept = systematic(log_weights.softmax(0), len(chosen))
            state = State(*(part[kept] for part in state))
            log_weights = log_weights.logsumexp(0).expand_as(log_weights) - math.log(len(chosen))
        return Taken(state, log_weights, chosen)

    def keep(self, taken: Taken, state: State) -> None:
        super().keep(taken, state)
        self.log_weights[taken.chosen] = taken.log_weights.where(_finite(state), 0.0)

    def start(self, which: Bool[Tensor, "C"], energy: Energy, started: Started) -> None:
        """Also at the weights that belong to them: exp(−E) over the density of the start's law."""
        super().start(which, energy, started)
        if started.log_density is None:
            raise InputError(
                "chains that start at points of an unknown density have no weights: start them from noise or "
                "the generator, or keep them without, method.negatives.memory a PersistentChains"
            )
        self.log_weights[which] = -self.energies[which] - started.log_density(started.samples)


class Buffer(Kept):
    """Samples of earlier steps, from which the next chains go on; a share of these begins anew.

    Reference: Implicit Generation and Modeling with Energy-Based Models (Du & Mordatch, 2019),
    https://arxiv.org/abs/1903.08689, section 3.2.

    Args:
        shape: of one point.
        size: of the buffer, at least n. It is filled from the start's law in the first step.
        n: chains in a step, all different entries of the buffer.
        fresh: the probability, 0 to 1, with which each of these begins anew.
        overwrite: what a step's samples replace: the entries that they come from ("in_place"), or the oldest
            ("first_in_first_out"), so that an entry may be taken up several times.
        transform: of the entries that are taken up, such as the augmentation of images.
        restarts: "always", or "accepted": as an independent Metropolis proposal x' from the start's law q,

            with probability min(1, exp(E(x) − E(x')) q(x) / q(x')),

            which leaves exp(−E) as it is. Those of "always" carry the start's shares of far modes.
    """

    def __init__(
        self,
        shape: Sequence[int],
        size: int = 10_000,
        n: int = 64,
        fresh: float = 0.05,
        overwrite: Literal["in_place", "first_in_first_out"] = "in_place",
        transform: nn.Module | None = None,
        restarts: Literal["always", "accepted"] = "always",
    ):
        super().__init__(shape, size, n)
        if not 0 <= fresh <= 1:
            raise ValueError(f"fresh must be a share from 0 to 1, got {fresh}")
        if overwrite not in ("in_place", "first_in_first_out"):
            raise ValueError(f"overwrite must be in_place or first_in_first_out, got {overwrite!r}")
        if restarts not in ("always", "accepted"):
            raise ValueError(f"restarts must be always or accepted, got {restarts!r}")
        self.fresh, self.overwrite, self.transform, self.restarts = fresh, overwrite, transform, restarts
        self.register_buffer("oldest", torch.zeros((), dtype=torch.long))

    def take(self, energy: Energy, begin: Begin) -> Taken:
        self.start_lost(energy, begin)
        chosen = torch.randperm(len(self.places), device=self.places.device)[: self.n]
        x = self.places[chosen]
        if self.transform is not None:
            x = self.transform(x)
        anew = torch.rand(len(x), device=x.device) < self.fresh
        if anew.any():
            started = begin(int(anew.sum()))
            if self.restarts == "accepted":
                taken = _accepted(energy, x[anew], started)
                started, anew[anew.clone()] = started._replace(samples=started.samples[taken]), taken
            x[anew] = started.samples
        return Taken(init(energy, x), chosen=chosen)

    def keep(self, taken: Taken, state: State) -> None:
        if self.overwrite == "first_in_first_out":
            places = (self.oldest + torch.arange(self.n, device=self.oldest.device)) % len(self.places)
            taken = taken._replace(chosen=places)
            self.oldest.copy_((self.oldest + self.n) % len(self.places))
        super().keep(taken, state)


def _finite(state: State) -> Bool[Tensor, "M"]:
    """Which of the chains are not lost."""
    return state.x.flatten(1).isfinite().all(1) & state.energy.isfinite()


def _accepted(energy: Energy, x: Points, started: Started) -> Bool[Tensor, "M"]:
    """Which points of the start's law take the place of x as independent Metropolis proposals."""
    if started.log_density is None:
        raise InputError(
            "restarts=accepted needs the density of the start's law, and that of these points is unknown: "
            "start chains at noise or the generator, or restart them always"
        )
    gained = energy(x) - energy(started.samples)
    gained = gained + started.log_density(x) - started.log_density(started.samples)
    return torch.rand_like(gained).log() < gained
