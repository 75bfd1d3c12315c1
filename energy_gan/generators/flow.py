"""A normalising flow as the generator: its density is known exactly, in one pass."""

import math
from collections.abc import Sequence

import torch
import zuko
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from zuko.flows import MaskedAutoregressiveTransform
from zuko.utils import unpack

from energy_gan.generators.base import Generator
from energy_gan.generators.output_noise import Scale
from energy_gan.generators.priors import NormalPrior
from energy_gan.nn import sizes
from energy_gan.shapes import Energies, Latents, Points


class FlowGenerator(Generator):
    """x = f⁻¹(z), z ~ N(0, I), with log q(x) = log N(f(x); 0, I) + log |det ∂f/∂x|.

    f is an autoregressive neural spline flow of the zuko library.

    Reference: Neural Spline Flows (Durkan et al., 2019), https://arxiv.org/abs/1906.04032.

    Args:
        shape: of one point.
        transforms: how many are composed, at least 1.
        bins: of each spline, at least 2; the splines lie on [−5, 5] in standardised units.
        hidden: widths of the networks that give the splines.
    """

    knows_density = True

    def __init__(
        self,
        shape: Sequence[int],
        transforms: int = 2,
        bins: int = 16,
        hidden: Sequence[int] = (64, 64),
    ):
        if transforms < 1 or bins < 2:
            raise ValueError(f"transforms must be at least 1 and bins at least 2, got {transforms}, {bins}")
        dimension = math.prod(shape)
        flow = zuko.flows.NSF(
            dimension, transforms=transforms, bins=bins, hidden_features=sizes("hidden", hidden)
        )
        super().__init__(flow, NormalPrior(dimension))
        self.shape = tuple(shape)

    def moments(self, latent: Latents) -> tuple[Points, Scale | None]:
        x = latent
        if latent.shape[1] == 1:  # nothing is given the numbers before it
            x = self.network().transform.inv(x)
        else:
            for transform in reversed(self.network.transform.transforms):
                x = inverted(transform, x)
        return x.unflatten(1, self.shape), None

    def latent_of(self, x: Points) -> Latents:
        return self.network().transform(x.flatten(1))

    def log_prob(self, x: Points) -> Energies:
        return self.network().log_prob(x.flatten(1))


def inverted(transform: MaskedAutoregressiveTransform, y: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """x of which y is the image: number after number, each by the spline that those before give.

    The library's own inverse makes all D splines D times.
    """
    *layers, last = transform.hyper
    weights = (last.mask * last.weight).unflatten(0, (y.shape[1], -1))
    biases, x = last.bias.unflatten(0, (y.shape[1], -1)), torch.zeros_like(y)
    for place in range(transform.passes):
        these = (transform.order == place).nonzero()[:, 0]
        h = x
        for layer in layers:
            h = layer(h)
        parameters = F.linear(h, weights[these].flatten(0, 1), biases[these].flatten())
        parameters = unpack(parameters.unflatten(1, (len(these), -1)), transform.shapes)
        x = x.index_copy(1, these, transform.univariate(*parameters).inv(y[:, these]))
    return x
