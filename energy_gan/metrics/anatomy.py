"""Is an energy that learns by its own chains becoming a density? From what every training step leaves.

    d_t = E[E(x⁺)] − E[E(x⁻)]     the gap of the mean energies, in nats: > 0 where samples lie below the data
    r_t = E‖∇E(x⁻)‖               how steep the energy is where the chains are

For chains of the energy's own law d varies about 0 by far less than the energy does over the data, without a
memory of its sign, and r stays what it is. A d that stays positive or negative says that chains lag or never
get there; one whose sign alternates, that they overshoot.

Reference: On the Anatomy of MCMC-Based Maximum Likelihood Learning of Energy-Based Models
(Nijkamp et al., 2020), https://arxiv.org/abs/1903.12370, section 3.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

LAGS = 15
RECENT = 1_000  # steps over which r is not to move
OSCILLATES, GAP, MOVES = 0.5, 0.05, 2.0  # |ACF₁ of d|, |mean d| in sd of E over the data, max / min of r
APART, KL = 0.5, 0.05  # of long chains: means in sd of E over the data; nats to the energy's law


def correlation(x: Float[Tensor, "T"], y: Float[Tensor, "T"], lag: int) -> float:
    """Σ_t x_t y_{t+lag} over √(Σ x² Σ y²); nan where nothing varies or there are too few."""
    if lag < 0:
        return correlation(y, x, -lag)
    product = (x[: len(x) - lag] * y[lag:]).sum() if lag < len(x) else torch.tensor(math.nan)
    return float(product / (x.square().sum() * y.square().sum()).sqrt())


class Anatomy(NamedTuple):
    """The last steps of a training, oldest first."""

    gaps: Float[Tensor, "T"]  # d
    gradients: Float[Tensor, "T"]  # r

    @classmethod
    def of(cls, trace: Float[Tensor, "T 2"], most: int = 2_000) -> "Anatomy":
        """Of a training shorter than `most` steps the second half: the first is no stationary series."""
        late = trace if len(trace) >= most else trace[len(trace) // 2 :]
        return cls(*late.double().unbind(1))

    def numbers(self) -> dict[str, float]:
        """What they come to. d is not centred, as in the published code: a gap that stays counts."""
        recent, smoothed = self.gradients[-RECENT:], 25
        means = recent.unfold(0, smoothed, smoothed).mean(1) if len(recent) >= smoothed else recent
        return {
            "anatomy_gap": float(self.gaps.mean()),
            "anatomy_gap_correlation": correlation(self.gaps, self.gaps, 1),
            "anatomy_gradient": float(self.gradients.mean()),
            "anatomy_gradient_range": float(means.max() / means.min()),
        }

    def correlations(self) -> dict[str, list[float]]:
        """Of d and of r with themselves, of d with the r of `lag` steps later, at lags −15 to 15."""
        d, r, lags = self.gaps, self.gradients - self.gradients.mean(), range(-LAGS, LAGS + 1)
        pairs = {"d": (d, d), "r": (r, r), "d, then r": (d - d.mean(), r)}
        return {name: [correlation(x, y, lag) for lag in lags] for name, (x, y) in pairs.items()}


def failed(numbers: dict[str, float], spread: float) -> list[str]:
    """Which tests an energy fails that is to be a density, in words.

    Args:
        numbers: those of `Anatomy.numbers`, with "long_chains_data", "long_chains_noise" and, in the plane,
            "long_chains_kl".
        spread: the standard deviation of the energy over the data.
    """
    gap, memory = numbers["anatomy_gap"] / spread, numbers["anatomy_gap_correlation"]
    moves = numbers["anatomy_gradient_range"]
    fails = []
    if not abs(gap) <= GAP:
        fails.append(
            f"in training its samples lie {abs(gap):.2g} sd {'below' if gap > 0 else 'above'} the data"
        )
    if not abs(memory) <= OSCILLATES:
        kind = "oscillates" if memory < 0 else "drifts"
        fails.append(f"the gap of the phases {kind}, correlation {memory:.2f} from step to step")
    if not moves <= MOVES:
        fails.append(f"the gradient strength moves by a factor of {moves:.1f}")
    for start in ("data", "noise"):
        apart = numbers.get(f"long_chains_{start}", math.nan)
        if not abs(apart) <= APART:
            where = "below" if apart < 0 else "above"
            fails.append(f"long chains from {start} end {abs(apart):.2g} sd {where} the data")
    if not numbers.get("long_chains_kl", 0.0) <= KL:
        fails.append(f"long chains are {numbers['long_chains_kl']:.2g} nats from the energy's law")
    return fails
