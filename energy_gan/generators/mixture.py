"""A batch of the generator as a law whose density is known: the mixture of its output noises.

    q̂(x) = Σⱼ wⱼ N(x; G(zⱼ), L(zⱼ) L(zⱼ)ᵀ),   zⱼ ~ p(z), wⱼ = 1/B

Averaged over batches this is P_generator's density. B² normals are evaluated: a device for a few
dimensions, where a batch covers the law.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.errors import InputError
from energy_gan.generators.base import Draw


def log_mixture(x: Float[Tensor, "N *S"], draw: Draw) -> Float[Tensor, "N"]:
    """log q̂(x), differentiable in x and in everything that the draw was made from.

    Raises:
        InputError: the generator adds no noise at its output, so the batch has no density.
    """
    if draw.scale is None:
        raise InputError(
            "this part needs the density of the generator's batch, and a generator without output noise "
            "has none: give method.generator.noise, as in METHOD=aligned"
        )
    x, centres = x.flatten(1), draw.clean.flatten(1)
    squares, log_volumes = (_by_deviations if draw.scale.ndim == 2 else _by_factors)(x, centres, draw.scale)
    constant = -0.5 * x.shape[1] * math.log(2 * math.pi)
    return (draw.log_weights - log_volumes - 0.5 * squares).logsumexp(1) + constant


def _by_deviations(
    x: Float[Tensor, "N D"], centres: Float[Tensor, "B D"], scale: Float[Tensor, "B K"]
) -> tuple[Float[Tensor, "N B"], Float[Tensor, "B"]]:
    """‖(x − c) / s‖² of every pair, and log Π s; s holds one number a centre, or one a dimension."""
    scale = scale.expand_as(centres)
    precision = scale**-2
    squares = x.square() @ precision.T - 2 * x @ (centres * precision).T
    return squares + (centres.square() * precision).sum(1), scale.log().sum(1)


def _by_factors(
    x: Float[Tensor, "N D"], centres: Float[Tensor, "B D"], factor: Float[Tensor, "B D D"]
) -> tuple[Float[Tensor, "N B"], Float[Tensor, "B"]]:
    """‖L⁻¹ (x − c)‖² of every pair, and log det L."""
    n_centres, dimension = centres.shape
    identity = torch.eye(dimension, dtype=x.dtype, device=x.device).expand_as(factor)
    inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
    offsets = torch.einsum("bij,bj->bi", inverse, centres)
    whitened = x @ inverse.reshape(-1, dimension).T - offsets.reshape(-1)
    squares = whitened.view(len(x), n_centres, dimension).square().sum(2)
    return squares, factor.diagonal(dim1=1, dim2=2).log().sum(1)
