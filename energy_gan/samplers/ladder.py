"""Walks along noise levels σ, and what they say of a law's density, from E(y, σ) alone.

    down    y ← a y + (1 − a) D + σ' √(1 − a) ξ,    a = σ'²/σ²,    D = y − σ² ∂E/∂y

steps of the reverse diffusion, exact where E[x | y] does not change along a step; D is followed in a straight
line from the step before (a second-order multistep). Where E is right at all levels, samples of E(·, high)
end as samples of E(·, low).

    bound   log p(y₀) ≥ log p₀(y₀) + ∫ (‖σ ∂E₀/∂y − ε‖² − ‖σ ∂E/∂y − ε‖²) d log σ      in the mean over data

of the law of the whole walk, with the base E₀ at the upper end. For E = E₀ it is the base's number itself.

    flow    log p(y) = log p_high(y_high) + ∫ div(σ² ∂E/∂y) d log σ    along    dy = σ² ∂E/∂y d log σ

Reference: Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021),
https://arxiv.org/abs/2011.13456, equations 6, 13 and 39; Maximum Likelihood Training of Score-Based Diffusion
Models (Song et al., 2021), https://arxiv.org/abs/2101.09258, theorem 3; DPM-Solver++ (Lu et al., 2022),
https://arxiv.org/abs/2211.01095, for the multistep.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.errors import InputError
from energy_gan.samplers.base import Energy, init, normal_like, per_chain
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Energies, Points

Ladder = Callable[[Points, Energies], Energies]  # E(yᵢ, σᵢ) of (y, log σ)
FIRST = 0.1  # of σ², the first step size of moves at a level


def rungs(low: float, high: float, n: int) -> Float[Tensor, "N"]:
    """n + 1 levels from high to low, in equal ratios.

    Raises:
        InputError: they do not fall, or there is no step.
    """
    if not 0 < low < high < math.inf or n < 1:
        raise InputError(f"a ladder goes from high to low in at least 1 step, got {high} to {low} in {n}")
    return torch.linspace(math.log(high), math.log(low), n + 1).exp()


def gradient(ladder: Ladder, y: Points, log_sigma: Energies) -> Points:
    """∂E/∂y."""
    return init(lambda y: ladder(y, log_sigma), y).gradient


def denoised(ladder: Ladder, y: Points, sigma: float) -> Points:
    """D(y, σ) = y − σ² ∂E/∂y, what E takes y for without its noise."""
    return y - sigma**2 * gradient(ladder, y, y.new_full((len(y),), math.log(sigma)))


def down(
    ladder: Ladder,
    y: Points,
    levels: Float[Tensor, "N"],
    rng: torch.Generator | None = None,
    correct: bool = False,
) -> Points:
    """Samples at the last of the levels, from samples y at the first.

    Args:
        correct: make a move of MALA at each level, which mends what the step has wrong; twice the price.
    """
    before, step, size = None, None, FIRST
    state = init(_at(ladder, y, float(levels[0])), y)
    for sigma, after in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
        found, length = state.x - sigma**2 * state.gradient, math.log(sigma / after)
        ahead = found if before is None else found + (found - before) * length / step / 2
        keep = (after / sigma) ** 2
        y = keep * state.x + (1 - keep) * ahead + after * math.sqrt(1 - keep) * normal_like(state.x, rng)
        energy = _at(ladder, y, after)
        state = init(energy, y)
        if correct:
            walk = Chains(MALA(), 1, size * after**2, target=0.6, rate=0.2).run(energy, state, rng)
            state, size = walk.state, walk.step_size / after**2
        else:
            before, step = found, length
    return state.x


def _at(ladder: Ladder, y: Points, sigma: float) -> Energy:
    log_sigma = y.new_full((len(y),), math.log(sigma))
    return lambda y: ladder(y, log_sigma)


@torch.no_grad()
def gain(
    ladder: Ladder, base: Ladder, x: Points, low: float, high: float, rng: torch.Generator | None = None
) -> Energies:
    """The integral of `bound` for each point without noise, at one level of each; their mean estimates it."""
    n, length = len(x), math.log(high / low)
    places = (torch.randperm(n, generator=rng) + torch.rand(n, generator=rng)) / n
    log_sigma, noise = math.log(low) + length * places.to(x), normal_like(x, rng)
    sigma = per_chain(log_sigma.exp(), x)
    y, errors = x + sigma * noise, []
    for energy in (base, ladder):
        off = sigma * gradient(energy, y, log_sigma) - noise
        errors.append(off.flatten(1).square().sum(1))
    return length * (errors[0] - errors[1])


def flow_log_prob(
    ladder: Ladder, base: Ladder, y: Points, levels: Float[Tensor, "N"], rng: torch.Generator | None = None
) -> Energies:
    """log p of points at the last of the levels, by Heun's steps up to the first, where p is the base.

    The divergence is estimated with one direction of signs for each point, the same all the way (Hutchinson).
    """
    signs = normal_like(y, rng).sign()

    def rates(y: Points, sigma: float) -> tuple[Points, Energies]:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            energies = ladder(y, y.new_full((len(y),), math.log(sigma)))
            (slope,) = torch.autograd.grad(energies.sum(), y, create_graph=True)
            (along,) = torch.autograd.grad((slope * signs).sum(), y)
        return sigma**2 * slope.detach(), sigma**2 * (along * signs).flatten(1).sum(1)

    volume, up = y.new_zeros(len(y)), levels.flip(0).tolist()
    for sigma, after in pairwise(up):
        length = math.log(after / sigma)
        velocity, spread = rates(y, sigma)
        ahead, widening = rates(y + length * velocity, after)
        y = y + length * (velocity + ahead) / 2
        volume = volume + length * (spread + widening) / 2
    with torch.no_grad():
        return volume - base(y, y.new_full((len(y),), math.log(levels[0])))
