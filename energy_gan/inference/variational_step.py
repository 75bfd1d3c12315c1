"""The step size of a short run, by the variational bound that belongs to the law of its ends.

Of K moves F(z) = z − ε ∇U(z) without noise from z₀ ~ N(0, I), on U(z) = −log p(x, z), the law q_ε of the ends
is known:

    log q_ε(z_K) = log N(z₀; 0, I) − Σₖ log |det(I − ε ∇²U(zₖ))|

    B(ε) = E[log q_ε(z_K) + U(z_K)] = KL(q_ε ‖ p(z | x)) − log p(x) ≥ −log p(x)

so that the ε of the least B is that of the least divergence from the posterior. Chains with noise end in a
law that is not known, and use the same ε. Of more than 64 latents the determinants are estimated, in 16
products with ∇²U each, with the same random signs for every ε.

Reference: Learning Multi-layer Latent Variable Model via Variational Optimization of Short Run MCMC for
Approximate Inference (Nijkamp et al., 2019), https://arxiv.org/abs/1912.01909, section 3.2.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from energy_gan.numerics.derivatives import derivatives
from energy_gan.numerics.log_determinant import log_abs_det
from energy_gan.randomness import random_generator
from energy_gan.samplers.base import Energy, normal_like
from energy_gan.shapes import Energies, Latents

EXACT, PRODUCTS = 64, 16


class Choice(NamedTuple):
    """The best step size, and the bound there, in nats."""

    step_size: float
    bound: float


def bound(energy: Energy, start: Latents, n_steps: int, step_size: float) -> Energies:
    """log q_ε(z_K) + U(z_K) of each chain; its mean over z₀ ~ N(0, I) is B(ε)."""
    z, rng = start.detach(), random_generator(0)
    log_q = -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))
    for _ in range(n_steps):
        gradient, log_det = (_exact if z.shape[1] <= EXACT else _estimated)(energy, z, step_size, rng)
        log_q = log_q - log_det
        z = z - step_size * gradient
    with torch.no_grad():
        return log_q + energy(z)


def _exact(energy: Energy, z: Latents, step_size: float, _: torch.Generator) -> tuple[Latents, Energies]:
    """∇U and log |det(I − ε ∇²U)|."""
    gradient, hessian = derivatives(energy, z)
    eye = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    return gradient, torch.linalg.slogdet(eye - step_size * hessian).logabsdet


def _estimated(
    energy: Energy, z: Latents, step_size: float, rng: torch.Generator
) -> tuple[Latents, Energies]:
    """The same by products with ∇²U."""
    with torch.inference_mode(False), torch.enable_grad():
        x = z.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(energy(x).sum(), x, create_graph=True)

        def product(v: Latents) -> Latents:
            return v - step_size * torch.autograd.grad(gradient, x, v, retain_graph=True)[0]

        log_det = log_abs_det(product, normal_like(z, rng).sign(), PRODUCTS)
    return gradient.detach(), log_det


def choose(energy: Energy, start: Latents, n_steps: int, grid: Sequence[float]) -> Choice:
    """The ε of the least mean bound: the grid's best, then the vertex of the parabola through its neighbours.

    All step sizes have the same z₀. Those from which a chain runs away do not count; nan where all do.

    Args:
        grid: rising, equal in their ratios.
    """
    means = torch.stack([bound(energy, start, n_steps, step_size).mean() for step_size in grid]).double()
    means = means.nan_to_num(nan=math.inf, neginf=math.inf)
    best = int(means.argmin())
    if not means[best].isfinite():
        return Choice(math.nan, math.nan)
    if not 0 < best < len(grid) - 1 or not means[best + 1].isfinite():
        return Choice(grid[best], float(means[best]))
    left, middle, right = means[best - 1 : best + 2].tolist()
    slope, bend = (right - left) / 2, right + left - 2 * middle
    shift = -slope / bend if bend > 0 else 0.0  # in cells, within half of one
    log_ratio = math.log(grid[best + 1] / grid[best])
    return Choice(grid[best] * math.exp(shift * log_ratio), middle + shift * slope / 2)
