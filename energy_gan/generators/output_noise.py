"""Noise at the generator's output, which gives its law a density.

    x = G(z) + L(z) ε,   ε ~ N(0, I),   so that   p(x | z) = N(x; G(z), L(z) L(z)ᵀ)

and P_generator is a mixture of these normals over z. The noise is bounded by a limit that shrinks
during training: while it is large all parts of the generator overlap, so that each finds its place
and its share; what is left at the end is only as wide as the generator wants.

Reference: Semi-Implicit Variational Inference (Yin & Zhou, 2018), https://arxiv.org/abs/1805.11183;
Deterministic annealing for clustering, compression, classification, regression, and related
optimization problems (Rose, 1998), https://doi.org/10.1109/5.726788, for the shrinking.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.nn import Scheduled, full_precision
from energy_gan.shapes import Energies, Points

Scale = Float[Tensor, "B K"] | Float[Tensor, "B D D"]  # standard deviations (K = 1 or D), or L itself


class OutputNoise(Scheduled, ABC):
    """N(G(z), L(z) L(z)ᵀ) from what the network returns. A subclass gives `size` and `forward`.

    Args:
        start, end: the limit at first and at last, positive, in standardised units.
        until: the share of the training steps after which the limit has come to its end.

    Attributes:
        in_samples: whether samples have it; if not they are the means G(z).
    """

    limit: Float[Tensor, ""]
    in_samples = True

    def __init__(self, start: float, end: float, until: float):
        super().__init__()
        if not start > 0 or not end > 0:
            raise ValueError(f"start and end of the noise must be positive, got {start} and {end}")
        if not 0 < until <= 1:
            raise ValueError(f"until must be a share of the training steps, above 0 up to 1, got {until}")
        self.start, self.end, self.until = start, end, until
        self.register_buffer("limit", torch.tensor(float(start)))

    def at(self, progress: float) -> None:
        """The limit falls geometrically from start to end."""
        done = min(1.0, progress / self.until)
        self.limit.fill_(self.start ** (1 - done) * self.end**done)

    @property
    @abstractmethod
    def size(self) -> int:
        """How many numbers a sample it wants from the network, beside G(z)."""

    @abstractmethod
    def forward(self, output: Tensor) -> tuple[Points, Scale]:
        """G(z) and the scale of the noise, from what the network returned."""


class FixedNoise(OutputNoise):
    """The same isotropic noise everywhere: L(z) = limit · I."""

    def __init__(self, start: float = 0.3, end: float = 0.05, until: float = 0.5):
        super().__init__(start, end, until)

    @property
    def size(self) -> int:
        return 0

    def forward(self, output: Tensor) -> tuple[Points, Scale]:
        return output, self.limit.expand(len(output), 1)


class GaussianLikelihood(FixedNoise):
    """p(x | z) = N(x; G(z), scale² I), of one scale throughout training.

    Of images one looks at the means G(z), as the field does, and not at samples of p(x | z).

    Args:
        scale: σ, positive, in standardised units.
        in_samples: whether samples have the noise; if not, their law is that of G(z).
    """

    def __init__(self, scale: float = 0.3, in_samples: bool = False):
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be a positive number, got {scale}")
        super().__init__(scale, scale, 1.0)
        self.in_samples = in_samples


class LearnedNoise(OutputNoise):
    """Noise whose scale the network gives with each sample, bounded by the limit.

    Args:
        shape: of one point.
        covariance: "isotropic", "diagonal", or "full": a lower triangular L(z), D (D + 1) / 2 numbers;
            "auto" is full up to four dimensions, where it pays, and diagonal beyond, where it is slow.
        least: the least standard deviation, positive, in standardised units; of a full L the least entry
            on the diagonal.
        start, end, until: as in `OutputNoise`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        covariance: Literal["auto", "isotropic", "diagonal", "full"] = "auto",
        least: float = 0.01,
        start: float = 1.0,
        end: float = 0.3,
        until: float = 0.5,
    ):
        super().__init__(start, end, until)
        if covariance not in ("auto", "isotropic", "diagonal", "full"):
            raise ValueError(
                f"covariance must be 'auto', 'isotropic', 'diagonal' or 'full', got {covariance!r}"
            )
        if not 0 < least < min(start, end):
            raise ValueError(f"least must be positive and below start and end, got {least}")
        self.shape, self.dimension, self.least = tuple(shape), math.prod(shape), least
        if covariance == "auto":
            covariance = "full" if self.dimension <= 4 else "diagonal"
        self.covariance = covariance
        self.n_scales = 1 if covariance == "isotropic" else self.dimension
        self.register_buffer(
            "below", torch.tril_indices(self.dimension, self.dimension, -1), persistent=False
        )

    @property
    def size(self) -> int:
        return self.n_scales + (self.below.shape[1] if self.covariance == "full" else 0)

    def forward(self, output: Tensor) -> tuple[Points, Scale]:
        clean, raw, rest = output.tensor_split([self.dimension, self.dimension + self.n_scales], 1)
        clean = clean.unflatten(1, self.shape)
        scales = self.least + (self.limit - self.least) * torch.sigmoid(raw + 1)  # starts at 0.7 limit
        if self.covariance != "full":
            return clean, scales
        factor = torch.diag_embed(scales)
        row, column = self.below
        factor[:, row, column] = self.limit * torch.tanh(rest)
        return clean, factor


def add_noise(
    clean: Points, scale: Scale, rng: torch.Generator | None = None, noise: Float[Tensor, "B D"] | None = None
) -> Points:
    """G(z) + L(z) ε, the noise ε drawn where it is not given."""
    flat = clean.flatten(1)
    if noise is None:
        noise = torch.randn(flat.shape, generator=rng, device=rng.device if rng else flat.device)
    noise = noise.to(flat)
    noise = scale * noise if scale.ndim == 2 else torch.einsum("bij,bj->bi", scale, noise)
    return (flat + noise).view_as(clean)


@full_precision
def noise_log_prob(x: Points, clean: Points, scale: Scale) -> Energies:
    """log p(x | z) = log N(x; G(z), L Lᵀ), pair by pair."""
    deviation = (x - clean).flatten(1)
    constant = -0.5 * deviation.shape[1] * math.log(2 * math.pi)
    if scale.ndim == 2:
        scale = scale.expand_as(deviation)
        return constant - scale.log().sum(1) - 0.5 * (deviation / scale).square().sum(1)
    whitened = torch.linalg.solve_triangular(scale, deviation[..., None], upper=False)
    return constant - scale.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * whitened.square().sum((1, 2))
