"""Annealed importance sampling: log Z of any energy, from a base whose normaliser is known.

    E_β(x) = E_0(x) + β f(x),   f = E − E_0,   β = (t / T)^power,   t = 0 … T,   E_0 = −log p_0(x)

A chain that moves at each β and collects log w = Σ_t E_{t−1}(x_t) − E_t(x_t) has E[w] = Z. Forward from the
base, log mean w is below log Z on average; in reverse, from samples of the energy, −log mean w is above it.

Reference: Annealed importance sampling (Neal, 2001), https://arxiv.org/abs/physics/9803008; Sandwiching the
marginal likelihood using bidirectional Monte Carlo (Grosse et al., 2015), https://arxiv.org/abs/1511.02543.
"""

import math
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm import tqdm

from energy_gan.numerics.weights import ess
from energy_gan.samplers.base import Energy, Proposal, State, accept, init, normal_like, per_chain
from energy_gan.samplers.chains import Chains, acceptance_rate, adapt
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Energies, Points

DRIFTS = 2.0  # standard deviations of the energy by which held-out points must not sink


class Annealed(NamedTuple):
    """One pass of many chains."""

    log_normalizer: float
    log_weights: Float[Tensor, "N"]
    x: Points  # where the chains end
    acceptance: float

    @property
    def ess(self) -> float:
        """Effective share of the chains, (Σ w)² / (N Σ w²)."""
        return float(ess(self.log_weights)) / len(self.log_weights)


@runtime_checkable
class Base(Protocol):
    """A law that can be sampled and whose normalised energy is known."""

    def __call__(self, x: Points) -> Energies:
        """−log p_0(x)."""

    def sample(self, n: int, rng: torch.Generator | None = None) -> Points:
        """n exact samples."""

    @property
    def proposal(self) -> Proposal | None:
        """A reversible move that keeps p_0, where it has one of its own."""


class NormalBase:
    """N(0, std² I) over points of a shape."""

    proposal = None

    def __init__(self, like: Points, std: float = 1.5):
        self.like, self.std = like, std
        self.constant = 0.5 * math.prod(like.shape[1:]) * math.log(2 * math.pi * std**2)

    def __call__(self, x: Points) -> Energies:
        return x.flatten(1).square().sum(1) / (2 * self.std**2) + self.constant

    def sample(self, n: int, rng: torch.Generator | None = None) -> Points:
        return self.std * normal_like(self.like[:1].expand(n, *self.like.shape[1:]), rng)


def anneal(
    energy: Energy,
    start: Points,
    n_temperatures: int,
    reverse: bool = False,
    base: Base | None = None,
    power: float = 1.5,
    rng: torch.Generator | None = None,
) -> Annealed:
    """One move at each temperature, of a size that follows the acceptance of the chains before it.

    The move is the base's own where it has one, accepted with min(1, e^{−β Δ(E − E_0)}): it goes far where
    the base is wide, needs no gradient, and only what E differs in refuses it. Else it is MALA.

    Args:
        start: forward only its shape and number count; in reverse, samples of the energy to start from.
        n_temperatures: T, at least 1.
        base: p_0; N(0, 1.5² I) if None, in the energy's units.
    """
    base = base or NormalBase(start)
    betas = [(t / n_temperatures) ** power for t in range(n_temperatures + 1)]
    order = betas[::-1] if reverse else betas
    path = _Path(base, energy, rng)
    kept = path.at(start if reverse else base.sample(len(start), rng))
    log_weights, acceptance = torch.zeros_like(kept.base.energy), 0.0
    for before, after in tqdm(
        pairwise(order), "annealing", n_temperatures, leave=False, delay=5, disable=None
    ):
        log_weights += (before - after) * kept.over.energy
        kept, rate = path.move(kept, after)
        acceptance += rate / n_temperatures
    log_mean = float(log_weights.logsumexp(0)) - math.log(len(log_weights))
    return Annealed(-log_mean if reverse else log_mean, log_weights, kept.base.x, acceptance)


def settled(
    energy: Energy, x: Points, base: Base, n_steps: int, rng: torch.Generator | None = None
) -> Points:
    """Where chains of the energy are after moves as `anneal` makes them."""
    path = _Path(base, energy, rng)
    kept = path.at(x)
    for _ in range(n_steps):
        kept, _ = path.move(kept, 1.0)
    return kept.base.x


class _Path:
    """From a base to an energy, and the moves on the way."""

    def __init__(self, base: Base, energy: Energy, rng: torch.Generator | None):
        self.base, self.energy, self.rng = base, energy, rng
        self.by_base = base.proposal is not None
        self.step_size, self.target = (0.3, 0.4) if self.by_base else (0.05, 0.7)
        # of an energy that tilts this very base f is known: the base, the dearer part, is asked once
        self.over = energy.over_base if getattr(energy, "base", None) is base else None

    def at(self, x: Points) -> "_Both":
        found = _valued if self.by_base else init
        base = found(self.base, x)
        if self.over is not None:
            return _Both(base, found(self.over, x))
        state = found(self.energy, x)
        return _Both(base, State(base.x, state.energy - base.energy, state.gradient - base.gradient))

    def move(self, kept: "_Both", beta: float) -> tuple["_Both", float]:
        """One at β; the chains' acceptance."""
        here = kept.mixed(beta)
        new, log_ratio = (self._proposed if self.by_base else self._langevin)(kept, here, beta)
        state, info = accept(here, new.mixed(beta), log_ratio, self.rng)
        self.step_size = adapt(self.step_size, acceptance_rate(state, info), self.target, 0.3)
        if self.by_base:
            self.step_size = min(self.step_size, 1.0)
        return kept.replaced(new, info.accepted), float(info.acceptance.mean())

    def _proposed(self, kept: "_Both", here: State, beta: float) -> tuple["_Both", Energies]:
        new = self.at(self.base.proposal(here.x, self.step_size, self.rng))
        return new, beta * (kept.over.energy - new.over.energy)

    def _langevin(self, kept: "_Both", here: State, beta: float) -> tuple["_Both", Energies]:
        there = _Mixture(self, beta)
        _, log_ratio = MALA.propose(there, here, normal_like(here.x, self.rng), self.step_size)
        return there.found, log_ratio


class _Mixture:
    """E₀ + β f, which remembers both at the points that it was asked about last."""

    def __init__(self, path: _Path, beta: float):
        self.path, self.beta = path, beta

    def __call__(self, x: Points) -> Energies:
        self.found = self.path.at(x)
        mixed = self.found.mixed(self.beta)
        return mixed.energy + ((x - mixed.x) * mixed.gradient).flatten(1).sum(1)  # 0, with its gradient


@torch.no_grad()
def _valued(energy: Energy, x: Points) -> State:
    """Without the gradient, which takes twice the time of the value."""
    return State(x, energy(x), torch.zeros_like(x))


class _Both(NamedTuple):
    """What is known of points: under E₀ + β f nothing is then new, whatever β."""

    base: State
    over: State  # of f

    def mixed(self, beta: float) -> State:
        """Under E₀ + β f."""
        ends = zip(self.base[1:], self.over[1:], strict=True)
        return State(self.base.x, *(first + beta * last for first, last in ends))

    def replaced(self, by: "_Both", where: Bool[Tensor, "N"]) -> "_Both":
        return type(self)(
            *(
                State(*(torch.where(per_chain(where, new), new, old) for new, old in zip(*pair, strict=True)))
                for pair in zip(by, self, strict=True)
            )
        )


class Fall(NamedTuple):
    """By how much the mean energy of points has fallen."""

    nats: float
    deviations: float  # the same in standard deviations of the energy where they started

    @classmethod
    def between(cls, start: Energies, end: Energies) -> "Fall":
        spread = start.std(correction=0)  # one point has none
        spread = spread.clamp(min=1e-6 * float(start.abs().max()) + 1e-12)
        fall = (start - end).mean()
        return cls(float(fall), float(fall / spread))

    def __str__(self) -> str:
        return f"by {abs(self.nats):.1f} nats, {abs(self.deviations):.1f} of its standard deviations"


class Normalizer(NamedTuple):
    """log Z, or why there is none."""

    log_normalizer: float | None
    low: float  # the smaller and the greater of the two longer passes
    high: float
    ess: float  # of the longer forward pass
    reasons: tuple[str, ...]  # empty where there is an estimate
    drift: Fall = Fall(0.0, 0.0)  # of the held-out points, see `drift`


def bracket(
    energy: Energy,
    samples: Points,
    held_out: Float[Tensor, "M *S"],
    n_temperatures: int = 100,
    tolerance: float = 0.2,
    base: Base | None = None,
    rng: torch.Generator | None = None,
) -> Normalizer:
    """log Z forward and in reverse, with T and 4T temperatures, and the guards that a lie must pass.

    Forward annealing alone can be wrong by any amount with no variance: a deep basin that no chain finds
    does not show. So the estimate stands only if

    - forward and reverse agree within the tolerance: reverse chains start where such a basin would be;
    - T and 4T agree within it: the passes are long enough;
    - the weights are not carried by a few chains;
    - the weights vary at all where the energy differs from the base: experts that are off do not count;
    - the held-out points stay: 20 moves do not lower their energy by more than 2 of its standard
      deviations, as they would if the energy were deep where no data are.

    Args:
        samples: of the energy, as far as one has them: refined samples of the generator.
        held_out: points that the energy was not trained on.
        tolerance: in nats, of every comparison.
        base: of the annealing, as in `anneal`.
    """
    lengths = (n_temperatures, 4 * n_temperatures)
    forward = [anneal(energy, samples, n, base=base, rng=rng) for n in lengths]
    backward = [anneal(energy, samples, n, reverse=True, base=base, rng=rng) for n in lengths]
    (short, long), (_, back) = forward, backward
    fall = drift(energy, held_out, rng)
    reasons = []
    if not all(math.isfinite(a.log_normalizer) for a in (*forward, *backward)):
        reasons.append("an estimate is not finite")
    if abs(long.log_normalizer - back.log_normalizer) > tolerance:
        reasons.append(f"forward says {long.log_normalizer:.2f} and reverse {back.log_normalizer:.2f}")
    if abs(long.log_normalizer - short.log_normalizer) > tolerance:
        reasons.append(
            f"{n_temperatures} temperatures say {short.log_normalizer:.2f} and four times as many "
            f"{long.log_normalizer:.2f}"
        )
    if long.ess < 0.02:
        reasons.append(f"{100 * long.ess:.1f} % of the chains carry the weight")
    with torch.no_grad():
        tilt = energy(samples) - (base or NormalBase(samples))(samples)
        differs = float(tilt.std()) > 1e-3
    if differs and float(long.log_weights.std()) < 1e-6:
        reasons.append("the weights do not vary though the energies do")
    if fall.deviations > DRIFTS:
        reasons.append(drifts(fall))
    estimates = [a.log_normalizer for a in (long, back)]  # a shorter pass says the same, less sharply
    middle = (long.log_normalizer + back.log_normalizer) / 2
    found = None if reasons else middle
    return Normalizer(found, min(estimates), max(estimates), long.ess, tuple(reasons), fall)


def drifts(fall: Fall) -> str:
    """The sentence for held-out points that do not stay."""
    return f"20 moves lower the held-out points' energy {fall}"


def drift(energy: Energy, x: Points, rng: torch.Generator | None = None, n_steps: int = 20) -> Fall:
    """By how much moves of MALA lower the mean energy of x.

    0 on average if x are samples of the energy; large if the energy is deep where no x are.
    """
    start = init(energy, x)
    end = Chains(MALA(), n_steps, step_size=0.01, target=0.7).run(energy, start, rng).state
    return Fall.between(start.energy, end.energy)
