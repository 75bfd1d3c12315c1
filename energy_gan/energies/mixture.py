"""A mixture of Gaussians as the base of an energy: a normaliser that is known, samples that are exact.

    E(x) = −log p₀(x) + Σᵢ Ẽᵢ(f(x)),    p₀(x) = Σₖ πₖ N(x; μₖ, Wₖ Wₖᵀ + (σₖ² + σ²) I)

The quadratic term of Eq. 11 is the case of one component with a diagonal covariance. Bounded experts tilt p₀,
and Z = E_{p₀}[exp(−Σᵢ Ẽᵢ)] is finite. p₀ is fitted to the data before the first step and then stays: by EM
without noise, to which the noise σ of the training data is added exactly.

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation (Kim & Bengio, 2016),
https://arxiv.org/abs/1606.03439, equation 11; Mixtures of Probabilistic Principal Component Analyzers
(Tipping & Bishop, 1999), https://doi.org/10.1162/089976699300016728.
"""

import math
from collections.abc import Sequence

import torch

from energy_gan.energies.base import Base
from energy_gan.errors import InputError
from energy_gan.nn import Fitted
from energy_gan.numerics.ppca import PPCAMixture, log_joint
from energy_gan.shapes import Energies, Points


class MixtureBase(Base, Fitted):
    """−log p₀(x), normalised. Before `fit` it is N(0, I), so that networks can be built and checked.

    Args:
        shape: of one point, D numbers.
        components: K, at least 1.
        rank: of each Wₖ, at least 1; no more than D − 1 is used.
        noise: σ, the standard deviation of the noise that the method adds to the data; at least 0.
        n_iterations: of EM.
    """

    def __init__(
        self,
        shape: Sequence[int],
        components: int = 50,
        rank: int = 60,
        noise: float = 0.0,
        n_iterations: int = 10,
    ):
        super().__init__()
        dim = math.prod(shape)
        if components < 1 or dim < 2:
            raise ValueError(
                f"components must be at least 1 and points of 2 numbers, got {components}, {dim}"
            )
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        rank = min(rank, dim - 1)
        if not 0 <= noise < math.inf or n_iterations < 0:
            raise ValueError(f"noise and n_iterations must not be negative, got {noise} and {n_iterations}")
        self.shape, self.variance, self.n_iterations = tuple(shape), noise**2, n_iterations
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, dim))
        self.register_buffer("factors", torch.zeros(components, dim, rank))
        self.register_buffer("variances", torch.ones(components))
        # what every pass needs of them, seconds to compute
        self.register_buffer("axes", torch.zeros(components, rank, dim))
        self.register_buffer("origins", torch.zeros(components, rank))
        self.register_buffer("constants", torch.zeros(components))
        self._take(self._mixture())

    @torch.no_grad()
    def fit(self, x: Points, seed: int = 0) -> None:
        """Fit p₀ to points without noise.

        Raises:
            InputError: there are fewer than components.
        """
        flat = x.flatten(1)
        components, _, rank = self.factors.shape
        if len(flat) < components:
            raise InputError(
                f"components must be at most the {len(flat)} points, got {components}: give "
                "method.energy.quadratic.components"
            )
        self._take(PPCAMixture.fit(flat, components, rank, self.n_iterations, seed).noised(self.variance))
        self.fitted.fill_(True)

    def forward(self, x: Points) -> Energies:
        parts = (self.means, self.variances, self.axes, self.origins, self.constants)
        return -log_joint(x.flatten(1), *parts).logsumexp(1)

    def sample(self, n: int, rng: torch.Generator | None = None) -> Points:
        """n exact samples of p₀."""
        return self._mixture().sample(n, rng).view(n, *self.shape)

    def _mixture(self) -> PPCAMixture:
        return PPCAMixture(self.weights, self.means, self.factors, self.variances)

    def _take(self, mixture: PPCAMixture) -> None:
        prepared = mixture.prepared()
        found = (mixture.weights, mixture.means, mixture.factors, mixture.noise, *prepared)
        own = (self.weights, self.means, self.factors, self.variances)
        own += (self.axes, self.origins, self.constants)
        for buffer, value in zip(own, found, strict=True):
            buffer.copy_(value)
