"""The generator's entropy from the distances between its samples: no network, for few dimensions."""

import math

import torch

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.numerics.neighbours import log_distances
from energy_gan.shapes import Negatives, Scalar


class NearestNeighbourEntropy(GeneratorTerm):
    """H ≈ ψ(N) − ψ(k) + log V_d + d/N Σᵢ log ρᵢ, ρᵢ from xᵢ to its k-th nearest of the other N − 1 samples.

    V_d = π^(d/2) / Γ(d/2 + 1) is the volume of the unit ball and ψ the digamma function. A ball of k
    neighbours holds k/N of the mass, which gives the density at its centre. That takes it to be constant
    in the ball: in many dimensions, or where samples lie on a sheet thinner than ρ, the estimate is off.
    Larger k: less variance, coarser. Gradients flow through the distances.

    Reference: Sample estimate of the entropy of a random vector (Kozachenko & Leonenko, 1987), Problems
    of Information Transmission 23; with k neighbours: Estimating mutual information (Kraskov et al.,
    2004), https://arxiv.org/abs/cond-mat/0305641, equation 20.

    Args:
        neighbours: k, at least 1; a batch of no more than k samples uses all there are.
        least: distances below this, in standardised units, count as this: neither the estimate nor
            the force between two samples becomes infinite. Positive.
        of_latent: samples lie on a sheet of the latent's dimension d, and H is that on it, not in all of
            their space: so where they have many more numbers than z.
        weight: as in `GeneratorTerm`.
    """

    def __init__(
        self, neighbours: int = 3, least: float = 1e-6, of_latent: bool = False, weight: float = 1.0
    ):
        super().__init__(weight)
        if neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, got {neighbours}")
        if not 0 < least < math.inf:
            raise ValueError(f"least must be a positive number, got {least}")
        self.neighbours, self.least, self.of_latent = neighbours, least, of_latent

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        x = draw.samples.flatten(1)
        n, dimension = len(x), (draw.latent if self.of_latent else x).shape[1]
        k = min(self.neighbours, n - 1)
        log_ball = dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1)
        psi = torch.digamma(torch.tensor([n, k], dtype=torch.float64)).tolist()
        return psi[0] - psi[1] + log_ball + dimension * draw.mean(log_distances(x, k, self.least))
