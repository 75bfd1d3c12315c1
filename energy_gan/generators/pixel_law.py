"""The law of images of one pixel: where walks from coarse to fine begin."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.special import ndtr, ndtri

from energy_gan.nn import Fitted
from energy_gan.shapes import Points

KNOTS = 1_024


class PixelLaw(Fitted):
    """x₀ = q(Φ(L z)), z ~ N(0, I): the channels' own quantiles q, tied by their ranks' correlations L Lᵀ.

    With one channel it is the histogram of the mean pixels of the training images; with several each has its
    own, and together they are a Gaussian copula. Before `fit` it is N(0, I), without its tails.

    Args:
        channels: of the images.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("knots", ndtri(torch.linspace(0.001, 0.999, KNOTS)).repeat(channels, 1))
        self.register_buffer("factor", torch.eye(channels))

    @torch.no_grad()
    def fit(self, x: Points, seed: int = 0) -> None:
        """To images of any size."""
        pixels = x.flatten(2).mean(2).double()
        ranks = pixels.argsort(0).argsort(0)
        scores = ndtri((ranks + 0.5) / len(pixels))
        correlations = scores.T.corrcoef().view_as(self.factor)
        tied = 0.999 * correlations + 0.001 * torch.eye(len(correlations)).to(correlations)
        self.factor.copy_(torch.linalg.cholesky(tied))
        shares = torch.linspace(0, 1, KNOTS).to(pixels)
        self.knots.copy_(torch.stack([column.quantile(shares) for column in pixels.T]))
        self.fitted.fill_(True)

    def forward(self, z: Float[Tensor, "B C"]) -> Float[Tensor, "B C 1 1"]:
        place = ndtr(z @ self.factor.T) * (KNOTS - 1)
        low = place.detach().floor().long().clamp(max=KNOTS - 2)
        first, last = self.knots.T.gather(0, low), self.knots.T.gather(0, low + 1)
        return torch.lerp(first, last, place - low)[:, :, None, None]
