"""A point of a curve plus independent noise: the density as an integral along the curve.

With curves c_1 … c_A, drawn alike, a mass coordinate u uniform on [0, 1] and noise of density K,

    p(x) = 1/A Σ_a ∫₀¹ K(x − c_a(u)) du.

The integrand varies over the width of the noise, so Gauss and Legendre's rule on short panels of
the curve is exact to some ten digits. The substitution u = s² makes spirals that start as √u smooth.
"""

import math
from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.data.density import Density
from energy_gan.data.exact import in_float64

NODES = 8  # in a panel
PANEL = 4.0  # length of a panel in standard deviations of the noise
REACH = 5.0  # standard deviations from the curve to the box
LANDMARKS = 32  # points of the curve that stand for a segment


class NoisyCurve(Density):
    """x = c_a(u) + σ ε, with a uniform on 1 … A, u on [0, 1] and ε standard normal in the plane.

    A mode is one of `segments` pieces of equal mass of one curve, ordered by curve and then by u;
    a point belongs to the nearest piece. The shares are as exact as the ends of neighbouring pieces
    exchange equally many points: four million samples agree with them to 3e-4.

    Args:
        std: σ, in the data's own units.
        segments: pieces of each curve.
        margin: what else than σ ε may be added to the curve, at most, in each coordinate.
    """

    def __init__(self, std: float, segments: int, margin: float = 0.0):
        self.smallest_std = std
        self.nodes, self.log_weights = self._quadrature()
        middles = (torch.arange(segments * LANDMARKS).double() + 0.5) / (segments * LANDMARKS)
        curves = self.curves(middles)
        self.landmarks = curves.flatten(0, 1)
        self.mode_shares = torch.full((len(curves) * segments,), 1 / (len(curves) * segments))
        self.low = (self.nodes.amin(0) - REACH * std - margin).float()
        self.high = (self.nodes.amax(0) + REACH * std + margin).float()

    @abstractmethod
    def curves(self, u: Float[Tensor, "N"]) -> Float[Tensor, "A N 2"]:
        """c_1(u) … c_A(u)."""

    def log_noise(self, difference: Float[Tensor, "B N 2"]) -> Float[Tensor, "B N"]:
        """log K(x − c)."""
        variance = self.smallest_std**2
        return difference.square().sum(2) / (-2 * variance) - math.log(2 * math.pi * variance)

    def sample_noise(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        return self.smallest_std * torch.randn(n, 2, generator=rng, dtype=torch.float64)

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        curves = self.curves(torch.rand(n, generator=rng, dtype=torch.float64))
        chosen = torch.randint(len(curves), (n,), generator=rng)
        return (curves[chosen, torch.arange(n)] + self.sample_noise(n, rng)).float()

    def log_prob(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        return in_float64(self._log_prob, x, len(self.nodes)).to(x.dtype)

    def modes(self, x: Float[Tensor, "B 2"]) -> Int[Tensor, "B"]:
        nearest = in_float64(lambda x: torch.cdist(x, self.landmarks).argmin(1), x, len(self.landmarks))
        return nearest // LANDMARKS

    def _log_prob(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        return (self.log_noise(x[:, None] - self.nodes) + self.log_weights).logsumexp(1)

    def _quadrature(self) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N"]]:
        """Points of all curves and the logarithms of their weights, in panels of equal length."""
        s = torch.linspace(0, 1, 2001).double()
        steps = self.curves(s**2)[0].diff(dim=0).norm(dim=1)
        length = torch.cat([torch.zeros(1), steps.cumsum(0)]).numpy()
        panels = math.ceil(length[-1] / (PANEL * self.smallest_std))
        edges = torch.from_numpy(np.interp(np.linspace(0, length[-1], panels + 1), length, s.numpy()))
        roots, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(NODES))
        half = edges.diff()[:, None] / 2
        s = (edges[:-1, None] + half * (1 + roots)).flatten()
        curves = self.curves(s**2)
        log_weights = (2 * s * (half * weights).flatten() / len(curves)).log()
        return curves.flatten(0, 1), log_weights.repeat(len(curves))
