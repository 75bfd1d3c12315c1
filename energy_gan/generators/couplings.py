"""Couplings of images: half of the channels are scaled and shifted as the other half says."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.nn import widened
from energy_gan.shapes import Energies

MOST = 3.0  # of |log scale|
PARTITIONS = (3, 1, 6, 7, 2, 5)  # bits of a channel's number whose parity says in which half it is

Maps = Float[Tensor, "B C H W"]
Half = Float[Tensor, "B _ _ _"]


def halves(n_channels: int, number: int) -> tuple[list[int], list[int]]:
    """The channels in two halves, one of several ways; of four pixels in one, first those of a diagonal."""
    bits = PARTITIONS[number % len(PARTITIONS)]
    parity = [(channel & bits).bit_count() % 2 for channel in range(n_channels)]
    return tuple([c for c, of in enumerate(parity) if of == half] for half in (0, 1))


class AffineCoupling(nn.Module):
    """z_b = x_b exp(s(x_a)) + t(x_a), z_a = x_a, and back, x_b = (z_b − t(z_a)) exp(−s(z_a)): one pass each.

    s and t are of one network, 0 at the start. It has a weight of its own for each place, so that the middle
    of an image need not be as its edge.

    Reference: Density estimation using Real NVP (Dinh et al., 2016), https://arxiv.org/abs/1605.08803,
    equations 7 and 8.

    Args:
        shape: of the maps, [C, H, W].
        kept, moved: the channels a and b.
        width: channels of the network.
    """

    def __init__(self, shape: Sequence[int], kept: Sequence[int], moved: Sequence[int], width: int):
        super().__init__()
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        self.register_buffer("moved", torch.tensor(moved), persistent=False)
        self.register_buffer("back", torch.tensor([*kept, *moved]).argsort(), persistent=False)
        self.place = nn.Parameter(torch.zeros(width, *shape[1:]))
        self.first = nn.Conv2d(len(kept), width, 3, padding=1)
        self.rest = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * len(moved), 3, padding=1),
        )
        nn.init.zeros_(self.rest[-1].weight)
        nn.init.zeros_(self.rest[-1].bias)

    def forward(self, x: Maps) -> tuple[Maps, Energies]:
        """z of x, and log |det ∂z/∂x|."""
        kept = x[:, self.kept]
        log_scale, shift = self._chosen(kept)
        return self._joined(kept, x[:, self.moved] * log_scale.exp() + shift), log_scale.flatten(1).sum(1)

    def inverse(self, z: Maps) -> tuple[Maps, Energies]:
        """x of z, and log |det ∂x/∂z|."""
        kept = z[:, self.kept]
        log_scale, shift = self._chosen(kept)
        moved = (z[:, self.moved] - shift) * (-log_scale).exp()
        return self._joined(kept, moved), -log_scale.flatten(1).sum(1)

    def _joined(self, kept: Half, moved: Half) -> Maps:
        return torch.cat([kept, moved], 1)[:, self.back]

    def _chosen(self, kept: Half) -> tuple[Half, Half]:
        log_scale, shift = widened(self.rest(self.first(kept) + self.place)).chunk(2, 1)
        return MOST * torch.tanh(log_scale / MOST), shift
