"""A network that guesses the latents that a point came from: r(z | x), for a mixed prior.

With it the generator's density can be bounded from both sides without a sum over a batch, in any
dimension:   E_{z ~ r}[log p(x, z) − log r(z | x)] ≤ log q(x) ≤ E_{z ~ p(z | x)}[the same].

Reference: The Helmholtz Machine (Dayan et al., 1995), https://doi.org/10.1162/neco.1995.7.5.889.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from energy_gan.generators.base import Generator
from energy_gan.generators.mixed_prior import MixedPrior
from energy_gan.inference.base import Inference, Inferred
from energy_gan.nn import Activation, mlp, sizes
from energy_gan.shapes import Energies, Latents, Points

EDGE = 1e-4  # places closer than this to the edge of (−1, 1) count as this far


class Recognition(Inference):
    """r(z | x): a softmax over the pieces, and a normal behind tanh for the place in the piece.

    Args:
        shape: of one point.
        bits, uniforms: of the `MixedPrior` that the generator has.
        hidden: widths of both networks' hidden layers.
    """

    def __init__(
        self,
        shape: Sequence[int],
        bits: int,
        uniforms: int,
        hidden: Sequence[int] = (128, 128),
        activation: Activation = "silu",
    ):
        super().__init__()
        if bits > 16:
            raise ValueError(f"bits must be at most 16 where pieces are recognised, got {bits}")
        dimension = math.prod(shape)
        self.codec = MixedPrior(bits, uniforms, learned_shares=False)
        self.piece = mlp([dimension, *sizes("hidden", hidden), 2**bits], activation)
        self.place = mlp([dimension + bits, *sizes("hidden", hidden), 2 * uniforms], activation)

    def forward(self, generator: Generator, x: Points, start: Latents | None = None) -> Inferred:
        """z ~ r(z | x) without a gradient, log r(z | x) with one."""
        latent = self.sample(x)
        return Inferred(latent, self.log_prob(latent, x))

    def sample(self, x: Points) -> Latents:
        """One z ~ r(z | x) for each point, without a gradient."""
        with torch.no_grad():
            x = x.flatten(1)
            bits = self.codec.bits_of(torch.distributions.Categorical(logits=self.piece(x)).sample())
            mean, log_std = self._place(x, bits)
            return torch.cat([bits, torch.tanh(mean + log_std.exp() * torch.randn_like(mean))], 1)

    def log_prob(self, latent: Latents, x: Points) -> Energies:
        """log r(z | x)."""
        x = x.flatten(1)
        bits, place = latent.tensor_split([self.codec.bits], 1)
        log_piece = self.piece(x).log_softmax(1).gather(1, self.codec.piece_of(latent)[:, None])[:, 0]
        mean, log_std = self._place(x, bits)
        before = torch.atanh(place.clamp(-1 + EDGE, 1 - EDGE))
        log_normal = -0.5 * ((before - mean) / log_std.exp()).square() - log_std - 0.5 * math.log(2 * math.pi)
        log_slope = 2 * (math.log(2) - before - F.softplus(-2 * before))  # of tanh
        return log_piece + (log_normal - log_slope).sum(1)

    def _place(self, x: Points, bits: Float[Tensor, "B bits"]) -> tuple[Latents, Latents]:
        mean, raw = self.place(torch.cat([x, bits], 1)).chunk(2, 1)
        return mean, 3 * torch.tanh(raw / 3) - 0.5  # a standard deviation from 0.03 to 12
