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
from energy_gan.nn import full_precision


@full_precision
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
    logits = draw.log_weights - log_volumes - 0.5 * squares
    # What is e⁶⁰ times less likely adds nothing, and its exponential, a number near the least that a float
    # can hold, takes a hundred times as long as others do.
    logits = torch.maximum(logits, logits.detach().amax(1, keepdim=True) - 60)
    return logits.logsumexp(1) + constant


def _by_deviations(
    x: Float[Tensor, "N D"], centres: Float[Tensor, "B D"], scale: Float[Tensor, "B K"]
) -> tuple[Float[Tensor, "N B"], Float[Tensor, "B"]]:
    """‖(x − c) / s‖² of every pair, and log Π s; s holds one number a centre, or one a dimension.

    Multiplied out, which is fast and in float32 right to some 1e-7 ‖x / s‖².
    """
    scale = scale.expand_as(centres)
    precision = scale**-2
    squares = x.square() @ precision.T - 2 * x @ (centres * precision).T
    return squares + (centres.square() * precision).sum(1), scale.log().sum(1)


def _by_factors(
    x: Float[Tensor, "N D"], centres: Float[Tensor, "B D"], factor: Float[Tensor, "B D D"]
) -> tuple[Float[Tensor, "N B"], Float[Tensor, "B"]]:
    """‖L⁻¹ (x − c)‖² of every pair, and log det L."""
    dimension = centres.shape[1]
    identity = torch.eye(dimension, dtype=x.dtype, device=x.device).expand_as(factor)
    inverse = torch.linalg.solve_triangular(factor, identity, upper=False).permute(1, 2, 0)  # (D, D, B)
    offsets = torch.einsum("ijb,bj->ib", inverse, centres)
    whitened = torch.baddbmm(offsets[:, None], x.expand(dimension, *x.shape), inverse, beta=-1)
    return whitened.square().sum(0), factor.diagonal(dim1=1, dim2=2).log().sum(1)
