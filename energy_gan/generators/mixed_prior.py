"""A prior over z that is partly discrete, so that a generator can be in many pieces.

A continuous G of a continuous z has a connected image: between two modes it must leave a bridge.
Bits cut z into 2^bits pieces with no points between them.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from energy_gan.generators.priors import Prior
from energy_gan.shapes import Energies, Latents


class MixedPrior(Prior):
    """z = (bits, uniforms): b ∈ {−1, 1}^bits with probability π_b, u ~ U(−1, 1)^uniforms.

    The shares π = softmax(logits) are learned with the generator, if asked for: how often a piece is
    drawn then need not be decided by how the network lays the pieces out.

    Args:
        bits: 1 to 32, at most 16 if the shares are learned.
        uniforms: at least 0.
        learned_shares: learn π; otherwise all pieces are equally likely.
    """

    def __init__(self, bits: int = 8, uniforms: int = 2, learned_shares: bool = True):
        if bits < 1 or uniforms < 0:
            raise ValueError(f"bits must be at least 1 and uniforms at least 0, got {bits} and {uniforms}")
        if bits > (16 if learned_shares else 32):
            raise ValueError(f"bits must be at most 32, at most 16 where shares are learned, got {bits}")
        super().__init__(bits + uniforms)
        self.bits, self.uniforms = bits, uniforms
        self.logits = nn.Parameter(torch.zeros(2**bits)) if learned_shares else None
        self.register_buffer("places", 2 ** torch.arange(bits), persistent=False)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Latents:
        u = torch.rand(n, self.n_uniform, generator=rng, device=rng.device if rng else device)
        return self.from_uniform(u.to(self.places.device)).to(device)

    @property
    def n_uniform(self) -> int:
        return 1 + self.uniforms

    @torch.no_grad()
    def from_uniform(self, u: Float[Tensor, "B K"]) -> Latents:
        """The first number chooses the piece, the others are a place in it."""
        if self.logits is None:
            piece = (u[:, 0] * 2**self.bits).long()
        else:
            total = self.logits.softmax(0).cumsum(0)
            piece = torch.searchsorted(total, u[:, 0].contiguous() * total[-1]).clamp(max=len(total) - 1)
        return torch.cat([self.bits_of(piece), 2 * u[:, 1:] - 1], 1)

    def bits_of(self, piece: Int[Tensor, "B"]) -> Float[Tensor, "B bits"]:
        """The bits, −1 or 1, that name a piece."""
        return 2.0 * (piece[:, None] // self.places % 2) - 1

    def piece_of(self, latent: Latents) -> Int[Tensor, "B"]:
        """The number of the piece that a latent is in."""
        return ((latent[:, : self.bits] > 0) * self.places).sum(1)

    def log_prob(self, latent: Latents) -> Energies:
        """log p(z) = log π − uniforms · log 2."""
        share = self.log_share(latent)
        log_piece = -self.bits * math.log(2) if share is None else share
        return log_piece - self.uniforms * math.log(2) + latent.new_zeros(len(latent))

    def log_share(self, latent: Latents) -> Energies | None:
        if self.logits is None:
            return None
        return self.logits.log_softmax(0)[self.piece_of(latent)]
