"""log p(x) of a model with latents, from below and from above, by annealing over z.

    log p(x) = log ∫ exp(−U(z)) dz,    U(z) = −log p(x, z)

The annealing goes from the normal law that is fitted to the posterior at a mode, N(μ, H⁻¹) with H = ∇²U(μ),
in coordinates in which that law is N(0, I). Forward, log mean w is below log p(x) on average. In reverse it
is above where it starts at a latent of the posterior: x that the model has made come with one, so that there
both bounds hold; for other x it starts at ends of the forward chains, chosen by their weights.

Reference: On the Quantitative Analysis of Decoder-Based Generative Models (Wu et al., 2016),
https://arxiv.org/abs/1611.04273; Accurate approximations for posterior moments and marginal densities
(Tierney & Kadane, 1986), https://doi.org/10.1080/01621459.1986.10478240.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.numerics.derivatives import derivatives
from energy_gan.samplers.annealed_importance import NormalBase, anneal
from energy_gan.samplers.base import Energy
from energy_gan.shapes import Energies, Latents, Points

MOVES = 8  # to a mode
SHARES = (1.0, 0.5, 0.2, 0.05, 0.0)  # of a move
LEAST = 0.5  # of H's eigenvalues: N(0, I) alone has 1
Posterior = Callable[[Points], Energy]  # x -> z ↦ −log p(x, z), a row of z for each of x


class Bounds(NamedTuple):
    """Of log p(x) of each point."""

    below: Energies
    above: Energies


class Fitted(NamedTuple):
    """z = μ + L u, u ~ N(0, I), near the posterior of each point."""

    mean: Latents
    factor: Float[Tensor, "B L L"]

    def latent(self, u: Latents) -> Latents:
        return self.mean + (self.factor @ u[..., None])[..., 0]

    def standard(self, latent: Latents) -> Latents:
        return torch.linalg.solve(self.factor, (latent - self.mean)[..., None])[..., 0]

    def repeated(self, times: int) -> "Fitted":
        return Fitted(*(part.repeat_interleave(times, 0) for part in self))

    def energy(self, posterior: Energy) -> Energy:
        """u ↦ U(μ + L u) − log |det L|."""
        log_det = torch.linalg.slogdet(self.factor).logabsdet
        return lambda u: posterior(self.latent(u)) - log_det


def log_marginal(
    posterior: Posterior,
    x: Points,
    start: Float[Tensor, "K B L"],
    exact: Latents | None = None,
    n_chains: int = 4,
    n_temperatures: int = 100,
    rng: torch.Generator | None = None,
) -> Bounds:
    """Both bounds of each point.

    Args:
        start: where the search for a mode begins, K latents for each point: a bound is loose by nearly what
            the best of the modes that it finds is worse than the best there is.
        exact: latents of the posterior, if they are known.
        n_chains: of each point.
    """
    fitted = fit(posterior, x, start).repeated(n_chains)
    energy = fitted.energy(posterior(x.repeat_interleave(n_chains, 0)))
    base = NormalBase(fitted.mean, 1.0)
    forward = anneal(energy, fitted.mean, n_temperatures, base=base, rng=rng)
    weights = forward.log_weights.unflatten(0, (-1, n_chains))
    if exact is None:
        chosen = torch.multinomial(weights.softmax(1).to("cpu"), n_chains, replacement=True, generator=rng)
        first = n_chains * torch.arange(len(x))[:, None]
        ends = forward.x[(first + chosen).flatten().to(forward.x.device)]
    else:
        ends = fitted.standard(exact.repeat_interleave(n_chains, 0))
    reverse = anneal(energy, ends, n_temperatures, reverse=True, base=base, rng=rng)
    back = reverse.log_weights.unflatten(0, (-1, n_chains))
    log_n = math.log(n_chains)
    return Bounds(weights.logsumexp(1) - log_n, log_n - back.logsumexp(1))


def fit(posterior: Posterior, x: Points, start: Float[Tensor, "K B L"]) -> Fitted:
    """At the best of the modes that Newton's moves lead to, each as long as it lowers the energy."""
    z, energy = start.flatten(0, 1), posterior(x.repeat(len(start), *[1] * (x.ndim - 1)))
    for _ in range(MOVES):
        gradient, factor = bent(energy, z)
        move = -(factor @ (factor.mT @ gradient[..., None]))[..., 0]
        with torch.no_grad():
            tried = torch.stack([z + share * move for share in SHARES])
            energies = torch.stack([energy(row) for row in tried]).nan_to_num(nan=math.inf)
        z = tried[energies.argmin(0), torch.arange(len(z), device=z.device)]
    best = energies.amin(0).view(len(start), -1).argmin(0)
    z = z.view_as(start)[best, torch.arange(len(x), device=z.device)]
    return Fitted(z, bent(posterior(x), z)[1])


def bent(energy: Energy, z: Latents) -> tuple[Latents, Float[Tensor, "B L L"]]:
    """∇U and L with L Lᵀ = (∇²U)⁻¹, where U bends less than LEAST as if it did that much."""
    gradient, hessian = derivatives(energy, z)
    curvature, axes = torch.linalg.eigh(hessian.double().nan_to_num())
    scales = curvature.clamp(min=LEAST).rsqrt()
    return gradient, (axes * scales[:, None]).to(z)
