"""Some coordinates of a law given the others: v ~ p(v | g) ∝ exp(−E(v, g)), from samples (v, h) of all of p.

    p_τ(v, h) ∝ exp(−E(v, h) − τ ‖h − g‖² / 2)

τ grows from 0, each time by as much as leaves half of the samples effective; they are weighted, resampled and
moved by MALA. At the end h is set to g, for the weight exp(E(v, h) − E(v, g)), and chains move v alone. A
start at the g-nearest of p finds the modes that chains at a held g would not reach from one another, and
the weights give them their shares. Where an energy has a guess q(v | g) near p(v | g), as a stack has by its
mixtures of Gaussians, weighted guesses take the place of all this.

log Z(g) = log ∫ exp(−E(v, g)) dv, which makes E(v, g) a conditional density, is by the midpoint rule for one
coordinate, by annealed importance sampling for more.

Reference: Sequential Monte Carlo samplers (Del Moral, Doucet & Jasra, 2006),
https://doi.org/10.1111/j.1467-9868.2006.00553.x.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.numerics.weights import ess, systematic
from energy_gan.samplers.annealed_importance import anneal
from energy_gan.samplers.base import Energy
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Energies, Points

WIDTH = 0.1  # of the normal around g, 1 / √τ, from which h is set to g
MOVES = 5  # of MALA at each τ
REACH, CELLS = 12.0, 1_000  # of the midpoint rule, in the networks' units
LEAST = 100  # effective guesses
AT_ONCE = 8_192
N_CHAINS, N_TEMPERATURES = 32, 100


Guess = Callable[[Tensor, Tensor, torch.Generator | None], tuple[Tensor, Tensor]]  # of g: x and log q(v | g)


class Conditional(NamedTuple):
    """Samples with the given coordinates as given."""

    x: Points
    ancestors: int  # different samples of p that they come from: few tell that g is rare


def conditional(
    energy: Energy,
    samples: Float[Tensor, "N D"],
    held: Int[Tensor, "K"],
    given: Float[Tensor, "N K"],
    n_steps: int = 100,
    log_weights: Energies | None = None,
    rng: torch.Generator | None = None,
) -> Conditional:
    """As many samples, weighted, moved and resampled.

    Args:
        samples: of p, or near it.
        held: the coordinates that are given.
        given: their values, which may differ from sample to sample, as they do for a level's noise.
        n_steps: of MALA at the end.
        log_weights: of the given values, where they are a sample of a law themselves.
    """
    free = _others(held, samples.shape[1], samples.device)
    v, h, g = samples[:, free], samples[:, held], given
    came_from, τ, step_size = torch.arange(len(samples), device=samples.device), 0.0, 0.1

    def joined(v: Tensor, h: Tensor) -> Tensor:
        return samples.new_empty(len(v), samples.shape[1]).index_copy(1, free, v).index_copy(1, held, h)

    while τ < WIDTH**-2:
        away = (h - g).square().sum(1) / 2
        τ, before = _next(τ, away), τ
        kept = resampled(-(τ - before) * away, rng)
        v, h, g, came_from = v[kept], h[kept], g[kept], came_from[kept]
        # in (h − g) / width it is a normal beside v, of one step size
        width = min(1.0, τ**-0.5)

        def widened(y: Tensor, g=g, τ=τ, width=width) -> Tensor:
            v, η = y[:, : len(free)], y[:, len(free) :]
            return energy(joined(v, g + width * η)) + τ * width**2 * η.square().sum(1) / 2

        walk = Chains(MALA(), MOVES, step_size, target=0.7).run(
            widened, torch.cat([v, (h - g) / width], 1), rng
        )
        step_size, y = walk.step_size, walk.state.x
        v, h = y[:, : len(free)], g + width * y[:, len(free) :]
    with torch.no_grad():
        log_w = energy(joined(v, h)) - energy(joined(v, g))
    kept = resampled(log_w if log_weights is None else log_w + log_weights[came_from], rng)
    v, g, came_from = v[kept], g[kept], came_from[kept]

    def at_g(v: Tensor) -> Tensor:
        return energy(joined(v, g))

    found = Chains(MALA(), n_steps // 2 + 1, step_size, target=0.7).run(at_g, v, rng)
    v = Chains(MALA(), n_steps // 2 + 1, found.step_size).run(at_g, found.state, rng).state.x
    return Conditional(joined(v, g), len(came_from.unique()))


def from_guess(
    energy: Energy,
    guess: Guess,
    held: Int[Tensor, "K"],
    given: Float[Tensor, "N K"],
    n: int,
    n_steps: int = 40,
    log_weights: Energies | None = None,
    rng: torch.Generator | None = None,
) -> Conditional | None:
    """n samples that are chosen by weight from N guesses, v ~ q(v | g), and moved; None if few have weight.

    Args:
        given, log_weights: as in `conditional`.
    """
    with torch.no_grad():
        guesses = [guess(held, some, rng) for some in given.split(AT_ONCE)]
        log_w = torch.cat([-energy(x).double() - log_q for x, log_q in guesses])
    log_w = log_w if log_weights is None else log_w + log_weights
    if not ess(log_w) >= LEAST:
        return None
    shares = log_w.softmax(0)
    chosen = systematic(shares, n, rng)[torch.randperm(n, generator=rng, device=shares.device)]
    x = torch.cat([x for x, _ in guesses])[chosen]
    free, moved = _others(held, x.shape[1], x.device), []
    for start in x.split(AT_ONCE):

        def at_g(v: Tensor, start=start) -> Tensor:
            return energy(start.index_copy(1, free, v))

        walk = Chains(MALA(), n_steps, 0.1, target=0.7).run(at_g, start[:, free], rng)
        moved.append(start.index_copy(1, free, walk.state.x))
    return Conditional(torch.cat(moved), len(chosen.unique()))


def log_normalizer(
    energy: Energy, x: Points, held: Int[Tensor, "K"], rng: torch.Generator | None = None
) -> Energies:
    """log ∫ exp(−E(v, g)) dv for the g of each row of x."""
    free = _others(held, x.shape[1], x.device)
    if len(free) == 1:
        cells = REACH * ((torch.arange(CELLS, device=x.device) + 0.5) * 2 / CELLS - 1)
        with torch.no_grad():
            rows = [energy(row.repeat(CELLS, 1).index_copy(1, free, cells[:, None].to(row))) for row in x]
        return (-torch.stack(rows)).logsumexp(1) + math.log(2 * REACH / CELLS)
    each = x.repeat_interleave(N_CHAINS, 0)
    start = each[:, free]
    found = anneal(lambda v: energy(each.index_copy(1, free, v)), start, N_TEMPERATURES, rng=rng)
    return found.log_weights.view(len(x), N_CHAINS).logsumexp(1) - math.log(N_CHAINS)


def _others(held: Int[Tensor, "K"], n: int, device: torch.device) -> Int[Tensor, "F"]:
    return torch.tensor([i for i in range(n) if i not in held.tolist()], device=device)


def _next(τ: float, away: Energies) -> float:
    """The greatest τ' that leaves half of the samples effective, at most the last."""
    last = WIDTH**-2

    def effective(τ_next: float) -> float:
        return float(ess(-(τ_next - τ) * away.double())) / len(away)

    if effective(last) >= 0.5:
        return last
    low, high = τ, last
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(middle) >= 0.5 else (low, middle)
    return max(high, τ + 1e-6 * last)


def resampled(log_weights: Energies, rng: torch.Generator | None) -> Int[Tensor, "N"]:
    """As many places, each as often as its weight has it; what is not finite has none."""
    shares = log_weights.double().nan_to_num(-math.inf, posinf=-math.inf).softmax(0)
    return systematic(shares, len(shares), rng)
