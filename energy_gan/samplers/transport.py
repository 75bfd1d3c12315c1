"""Chains elsewhere than among the points: in the latents of a map g that makes the points of normal numbers.

An energy that tilts a law q, E(x) = f(x) − log q(x), where q is that of x = g(z), z ~ N(0, I), is in z

    p(z) = p(g(z)) |det ∂g/∂z| = exp(−f(g(z))) q(g(z)) |det ∂g/∂z| / Z = exp(−f(g(z))) N(z; 0, I) / Z

since q(g(z)) |det ∂g/∂z| = N(z; 0, I): no determinant is left to compute. Where q is close to p this is close
to N(0, I), whose modes are one, so that chains mix that never leave a mode of p in x.

Reference: MCMC Should Mix: Learning Energy-Based Model with Neural Transport Latent Space MCMC
(Nijkamp et al., 2020), https://arxiv.org/abs/2006.06897; NeuTra-lizing Bad Geometry in Hamiltonian Monte
Carlo Using Neural Transport (Hoffman et al., 2019), https://arxiv.org/abs/1903.03704.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from energy_gan.samplers.base import Energy
from energy_gan.shapes import Points


class Transport(NamedTuple):
    """A map from N(0, I), z in the shape of a point, and its inverse."""

    push: Callable[[Points], Points]  # x = g(z)
    pull: Callable[[Points], Points]  # z = g⁻¹(x)


def _itself(x: Points) -> Points:
    return x


class Space(NamedTuple):
    """Where chains walk: the energy of the law that they keep there, the ways to the points and back."""

    energy: Energy
    push: Callable[[Points], Points] = _itself
    pull: Callable[[Points], Points] = _itself


def pulled_back(tilt: Energy, transport: Transport) -> Space:
    """U(z) = f(g(z)) + ½‖z‖² + ½ D log 2π, so that ∫ exp(−U(z)) dz is Z = ∫ exp(−E(x)) dx.

    Args:
        tilt: f.
    """

    def energy(z: Points):
        normal = 0.5 * (z.flatten(1).square().sum(1) + z[0].numel() * math.log(2 * math.pi))
        return tilt(transport.push(z)) + normal

    return Space(energy, *transport)
