"""A mixture of Gaussians with noise of any size added exactly: the base of an energy over noise levels.

    p₀(y, σ) = Σₖ πₖ N(y; μₖ, Uₖ Λₖ Uₖᵀ + (σₖ² + σ²) I)

It is fitted once, to points without noise. Its law at any σ, log Z = 0, and the derivatives in y and in log σ
are then exact, and it obeys the heat equation: ∂p₀/∂σ² = ½ Δp₀.

Reference: Mixtures of Probabilistic Principal Component Analyzers (Tipping & Bishop, 1999),
https://doi.org/10.1162/089976699300016728.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.energies.base import Base
from energy_gan.errors import InputError
from energy_gan.nn import Fitted, full_precision
from energy_gan.numerics.ppca import PPCAMixture
from energy_gan.samplers.base import Proposal, normal_like
from energy_gan.shapes import Energies, Points


class NoisedMixture(Fitted):
    """−log p₀(y, σ). Before `fit` it is N(0, (1 + σ²) I), so that networks can be built and checked.

    Args:
        shape: of one point, D numbers.
        components: K, at least 1.
        rank: columns of each Uₖ, at least 1; no more than D − 1 is used.
        n_iterations: of EM.
    """

    def __init__(self, shape: Sequence[int], components: int = 20, rank: int = 80, n_iterations: int = 2):
        super().__init__()
        dim = math.prod(shape)
        if components < 1 or rank < 1 or dim < 2 or n_iterations < 0:
            raise ValueError(
                "components and rank must be at least 1, n_iterations at least 0 and points of 2 numbers, "
                f"got {components}, {rank}, {n_iterations} and {dim}"
            )
        rank = min(rank, dim - 1)
        self.shape, self.n_iterations = tuple(shape), n_iterations
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("log_weights", torch.full((components,), -math.log(components)))
        self.register_buffer("means", torch.zeros(components, dim))
        self.register_buffer("axes", torch.zeros(components, rank, dim))
        self.register_buffer("spreads", torch.zeros(components, rank))  # Λ
        self.register_buffer("variances", torch.ones(components))

    @torch.no_grad()
    def fit(self, x: Points, seed: int = 0) -> None:
        """Fit to points without noise.

        Raises:
            InputError: there are fewer than components, or none of their numbers vary.
        """
        flat = x.flatten(1)
        components, rank, _ = self.axes.shape
        if len(flat) < components:
            raise InputError(
                f"components must be at most the {len(flat)} points, got {components}: give "
                "method.energy.mixture.components"
            )
        if not (flat != flat[:1]).any():
            raise InputError(
                f"all {len(flat)} points are the same, and a density of them is none: give data that vary"
            )
        found = PPCAMixture.fit(flat, components, rank, self.n_iterations, seed)
        axes, values, _ = torch.linalg.svd(found.factors, full_matrices=False)
        self.log_weights.copy_(found.weights.clamp(min=1e-12).log())
        self.means.copy_(found.means)
        self.axes.copy_(axes.mT)
        self.spreads.copy_(values.square())
        self.variances.copy_(found.noise)
        self.fitted.fill_(True)

    def forward(self, y: Points, log_sigma: Energies) -> Energies:
        """−log p₀(yᵢ, σᵢ), each point at a level of its own."""
        return -self.joint(y, log_sigma).logsumexp(1)

    def joint(self, y: Points, log_sigma: Energies) -> Float[Tensor, "B K"]:
        """log πₖ N(yᵢ; μₖ, …) at σᵢ, of each component."""
        parts = (self.log_weights, self.means, self.axes, self.spreads, self.variances)
        return _log_joint(y.flatten(1), log_sigma, *parts)

    @torch.no_grad()
    def sample(self, n: int, sigma: float = 0.0, rng: torch.Generator | None = None) -> Points:
        """n exact samples of p₀(·, σ)."""
        factors = self.axes.mT * self.spreads.sqrt()[:, None]
        noise = self.variances + sigma**2
        return (
            PPCAMixture(self.log_weights.exp(), self.means, factors, noise)
            .sample(n, rng)
            .view(n, *self.shape)
        )

    @torch.no_grad()
    def moved(
        self, y: Points, component: Int[Tensor, "B"], sigma: float, size: float, rng: torch.Generator | None
    ) -> Points:
        """Each point along the normal law of a component, y′ = μ + √(1 − s²) (y − μ) + s ξ, ξ ~ N(0, Σ).

        With s = 1 a sample of it, whatever y is.

        Reference: MCMC methods for functions (Cotter et al., 2013), https://doi.org/10.1214/13-STS421.
        """
        like = normal_like(self.means[component], rng)
        within = normal_like(self.spreads[component], rng)
        across = like * (self.variances + sigma**2).sqrt()[component, None]
        along = within * self.spreads.sqrt()[component]
        for k in component.unique():
            across[component == k] += along[component == k] @ self.axes[k]
        means = self.means[component]
        found = means + math.sqrt(1 - size**2) * (y.flatten(1) - means) + size * across
        return found.view_as(y)

    @property
    def mean(self) -> Points:
        """Of p₀ at any level, one point."""
        return (self.log_weights.exp() @ self.means).view(1, *self.shape)

    def at(self, sigma: float) -> "OneLevel":
        """The law at one level, as a base."""
        return OneLevel(self, sigma)


class OneLevel(Base):
    """−log p₀(y, σ) at one σ."""

    def __init__(self, mixture: NoisedMixture, sigma: float):
        super().__init__()
        self.mixture, self.sigma = mixture, sigma

    def joint(self, x: Points) -> Float[Tensor, "B K"]:
        """log πₖ N(xᵢ; μₖ, …), of each component."""
        return self.mixture.joint(x, x.new_full((len(x),), math.log(self.sigma)))

    def forward(self, x: Points) -> Energies:
        return -self.joint(x).logsumexp(1)

    def sample(self, n: int, rng: torch.Generator | None = None) -> Points:
        return self.mixture.sample(n, self.sigma, rng)

    @property
    def proposal(self) -> Proposal:
        """Along the normal law of one of the components that a point may be of."""
        return self._move

    def _move(self, y: Points, size: float, rng: torch.Generator | None) -> Points:
        shares = self.joint(y).softmax(1).to(rng.device if rng else y.device)
        component = torch.multinomial(shares, 1, generator=rng)[:, 0].to(y.device)
        return self.mixture.moved(y, component, self.sigma, size, rng)


@full_precision
def _log_joint(
    y: Float[Tensor, "B D"],
    log_sigma: Float[Tensor, "B"],
    log_weights: Float[Tensor, "K"],
    means: Float[Tensor, "K D"],
    axes: Float[Tensor, "K R D"],
    spreads: Float[Tensor, "K R"],
    variances: Float[Tensor, "K"],
) -> Float[Tensor, "B K"]:
    _, rank, dim = axes.shape
    across = variances + (2 * log_sigma).exp()[:, None]  # B K: the variance outside the axes
    along = spreads + across[:, :, None]
    origins = (axes @ means[:, :, None])[:, :, 0]
    squares = ((y @ axes.flatten(0, 1).T).view(len(y), *origins.shape) - origins).square()
    distances = y.square().sum(1, keepdim=True) - 2 * y @ means.T + means.square().sum(1)
    mahalanobis = (squares / along).sum(2) + (distances - squares.sum(2)) / across
    log_det = along.log().sum(2) + (dim - rank) * across.log()
    constant = dim * math.log(2 * math.pi)
    return log_weights - (mahalanobis + log_det + constant) / 2
