"""The first layer of a flow of images: each pixel by its own marginal law to a normal one."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.nn import Fitted
from energy_gan.shapes import Energies, Points

PSEUDO = 1.0  # images of the pooled law among those that a pixel's law is counted from
OUTSIDE = 1.0  # nats by which log q falls for each shade beyond the range, where there is no density
LEAST = 8  # of F and of 1 − F, in steps of the number format


class PixelMarginals(Fitted):
    """z = Φ⁻¹(F(y)), F the distribution function of a pixel: shares of its shades, uniform within each.

    A grey image of s shades has u = 2 k / (s − 1) − 1, k = 0 … s − 1, and the noise that makes it continuous
    fills [u, u + 2 / (s − 1)). With F alone, the pixels are independent and each has the law that it has in
    the data. Before `fit` all shades are alike.

    Reference: Gaussianization (Chen & Gopinath, 2000), one marginal step of it,
    https://papers.nips.cc/paper/2000/hash/3c947bc2f7ff007b86a9428b74654de5-Abstract.html.

    Args:
        shape: of one image.
        shades: s, at least 2.
    """

    def __init__(self, shape: Sequence[int], shades: int):
        super().__init__()
        self.shape, self.shades = tuple(shape), shades
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("shares", torch.full((*shape, shades), 1 / shades))
        self.register_buffer("above", self.shares.cumsum(-1))  # F at the upper end of each shade

    @torch.no_grad()
    def fit(self, x: Points, seed: int = 0) -> None:
        """Count the shades of images without noise."""
        k = ((x + 1) * (self.shades - 1) / 2).round().long().clamp(0, self.shades - 1)
        place = torch.arange(math.prod(self.shape), device=x.device) * self.shades
        counts = (k.flatten(1) + place).flatten().bincount(minlength=self.shares.numel())
        counts = counts.view_as(self.shares).double()
        pooled = counts.flatten(0, -2).sum(0) + 1
        shares = counts + PSEUDO * pooled / pooled.sum()
        shares = shares / shares.sum(-1, keepdim=True)
        self.shares.copy_(shares)
        self.above.copy_(shares.cumsum(-1))
        self.fitted.fill_(True)

    def forward(self, x: Points) -> tuple[Points, Energies]:
        """z of x, and log |det ∂z/∂x|."""
        y = (x + 1) * (self.shades - 1) / 2
        inside = y.clamp(0, self.shades)
        k = inside.detach().long().clamp(max=self.shades - 1)
        share, above = self._of(k)
        least = LEAST * torch.finfo(x.dtype).eps
        z = torch.special.ndtri((above - share * (k + 1 - inside)).clamp(least, 1 - least))
        log_slopes = self._log_slopes(share, z) - OUTSIDE * (y - inside).abs()
        return z, log_slopes.flatten(1).sum(1)

    def inverse(self, z: Points) -> tuple[Points, Energies]:
        """x of z, and log |det ∂x/∂z|."""
        shares = torch.special.ndtr(z)
        of_pixels = shares.detach().movedim(0, -1).contiguous()
        k = torch.searchsorted(self.above, of_pixels).movedim(-1, 0).clamp(max=self.shades - 1)
        share, above = self._of(k)
        within = (1 - (above - shares) / share).clamp(0, 1)  # rounding
        x = (k + within) * 2 / (self.shades - 1) - 1
        return x, -self._log_slopes(share, z).flatten(1).sum(1)

    def _of(self, k: Int[Tensor, "B *S"]) -> tuple[Points, Points]:
        index = k.flatten(1) + torch.arange(math.prod(self.shape), device=k.device) * self.shades
        return tuple(table.flatten()[index].view_as(k) for table in (self.shares, self.above))

    def _log_slopes(self, share: Points, z: Points) -> Float[Tensor, "B *S"]:
        log_normal = -0.5 * (z.square() + math.log(2 * math.pi))
        return share.log() + math.log((self.shades - 1) / 2) - log_normal
