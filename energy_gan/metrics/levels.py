"""Ways to the likelihood of an energy over noise levels, in nats a point with noise σ₀.

    …_learned   −E(y, σ₀): the ladder's own normaliser, log Z(σ₀) = 0 if E is right at all levels
    …_bound     of the walk down the ladder, from below, see `samplers.ladder.gain`
    …_flow      of the flow along the ladder

All three are of one law where E is exact. Where they differ E(·, σ₀) is not what the walk draws from; log Z
by annealing (`metrics/likelihood.py`) is E(·, σ₀)'s own.
"""

import math

import torch

from energy_gan.samplers.base import normal_like
from energy_gan.samplers.ladder import Ladder, flow_log_prob, gain, rungs
from energy_gan.shapes import Points

ROWS = 500  # points at a time
N_FLOW = 64  # points, whose differences from E are averaged
STEPS = 40  # of the flow


def level_likelihood(
    ladder: Ladder, base: Ladder, x: Points, noise: float, high: float, rng: torch.Generator | None = None
) -> dict[str, float]:
    """The three numbers, the means over points without noise.

    The flow is followed from a few of the points: its number is the mean of −E over all of them, and the mean
    difference of these few, which varies less than either.

    Args:
        base: E₀, right at `high`.
        noise: σ₀, at which the density is meant.
    """
    y = x + noise * normal_like(x, rng)
    of_base, own = (
        torch.cat([-_at(energy, part, noise) for part in y.split(ROWS)]) for energy in (base, ladder)
    )
    better = torch.cat([gain(ladder, base, part, noise, high, rng) for part in x.split(ROWS)])
    levels = rungs(noise, high, STEPS)
    along = torch.cat([flow_log_prob(ladder, base, part, levels, rng) for part in y[:N_FLOW].split(ROWS)])
    differs = float((along - own[:N_FLOW]).mean())
    return {
        "log_likelihood_learned": float(own.mean()),
        "log_likelihood_bound": float(of_base.mean() + better.mean()),
        "log_likelihood_flow": float(own.mean()) + differs,
    }


@torch.no_grad()
def _at(energy: Ladder, y: Points, sigma: float) -> torch.Tensor:
    return energy(y, y.new_full((len(y),), math.log(sigma)))
