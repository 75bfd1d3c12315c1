"""Couplings of images: half of the channels are bent by splines that the other half chooses."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from zuko.transforms import MonotonicRQSTransform

from energy_gan.nn import widened
from energy_gan.shapes import Energies

BOUND = 6.0  # of the splines, standard deviations; beyond, they leave z as it is
PARTITIONS = (3, 1, 6, 7, 2, 5)  # bits of a channel's number whose parity says in which half it is

Maps = Float[Tensor, "B C H W"]
Half = Float[Tensor, "B _ _ _"]


def halves(n_channels: int, number: int) -> tuple[list[int], list[int]]:
    """The channels in two halves, one of several ways; of four pixels in one, first those of a diagonal."""
    bits = PARTITIONS[number % len(PARTITIONS)]
    parity = [(channel & bits).bit_count() % 2 for channel in range(n_channels)]
    return tuple([c for c, of in enumerate(parity) if of == half] for half in (0, 1))


class SplineCoupling(nn.Module):
    """z_b = s(x_b; N(x_a)), z_a = x_a: the inverse, s⁻¹(z_b; N(z_a)), is one pass as well.

    s is a monotone rational-quadratic spline of the zuko library, the identity at the start. N has a weight
    of its own for each place, so that the middle of an image need not be as its edge.

    Reference: Neural Spline Flows (Durkan et al., 2019), https://arxiv.org/abs/1906.04032.

    Args:
        shape: of the maps, [C, H, W].
        kept, bent: the channels a and b.
        width: channels of N.
        bins: of each spline.
    """

    def __init__(self, shape: Sequence[int], kept: Sequence[int], bent: Sequence[int], width: int, bins: int):
        super().__init__()
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        self.register_buffer("bent", torch.tensor(bent), persistent=False)
        self.register_buffer("back", torch.tensor([*kept, *bent]).argsort(), persistent=False)
        self.bins, of_each = bins, 3 * bins - 1
        self.place = nn.Parameter(torch.zeros(width, *shape[1:]))
        self.first = nn.Conv2d(len(kept), width, 3, padding=1)
        self.rest = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, len(bent) * of_each, 1),
        )
        nn.init.zeros_(self.rest[-1].weight)
        nn.init.zeros_(self.rest[-1].bias)

    def forward(self, x: Maps) -> tuple[Maps, Energies]:
        """z of x, and log |det ∂z/∂x|."""
        kept = x[:, self.kept]
        bent, log_slopes = self._spline(kept).call_and_ladj(x[:, self.bent])
        return self._joined(kept, bent), log_slopes.flatten(1).sum(1)

    def inverse(self, z: Maps) -> tuple[Maps, Energies]:
        """x of z, and log |det ∂x/∂z|."""
        kept = z[:, self.kept]
        spline = self._spline(kept)
        bent = spline.inv(z[:, self.bent])
        log_slopes = spline.log_abs_det_jacobian(bent, None)
        return self._joined(kept, bent), -log_slopes.flatten(1).sum(1)

    def _joined(self, kept: Half, bent: Half) -> Maps:
        return torch.cat([kept, bent], 1)[:, self.back]

    def _spline(self, kept: Half) -> MonotonicRQSTransform:
        chosen = widened(self.rest(self.first(kept) + self.place))
        chosen = chosen.unflatten(1, (len(self.bent), -1)).movedim(2, -1)
        widths, heights, slopes = chosen.split([self.bins, self.bins, self.bins - 1], -1)
        return MonotonicRQSTransform(widths, heights, slopes, bound=BOUND)
