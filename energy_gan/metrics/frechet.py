"""Fréchet distance between images in the features of a network, from streamed moments in float64.

For Gaussians with the means μ and covariances Σ of two sets of features

    d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½.

The root is taken of a symmetric matrix, by its eigenvalues, so it is real and never fails, however
few the images. d² (not d) is what is published as FID. It grows as the images get fewer, about like
1 / N: compare numbers of the same N.

Reference: GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium
(Heusel et al., 2017), https://arxiv.org/abs/1706.08500, Eq. 6; The Fréchet distance between
multivariate normal distributions (Dowson & Landau, 1982), https://doi.org/10.1016/0047-259X(82)90077-X.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torchmetrics import Metric

from energy_gan.metrics.features import FOLDER, FeatureNetwork, Images, RawImages, checksum, features_of
from energy_gan.system.files import write_atomically


class Statistics(NamedTuple):
    """Mean and unbiased covariance of the features of a set."""

    count: int
    mean: Float64[Tensor, "D"]
    covariance: Float64[Tensor, "D D"]


def frechet_distance(a: Statistics, b: Statistics) -> Float64[Tensor, ""]:
    """d² of two Gaussians."""
    values, vectors = torch.linalg.eigh(a.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = root @ b.covariance @ root
    overlap = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    distance = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * overlap
    return distance.clamp(min=0)  # equal sets differ by rounding only


class FrechetDistance(Metric):
    """d² between real and generated images, both streamed.

    The states are sums of features about a fixed shift and of their outer products, so they add up over
    batches and ranks. The shift keeps the subtraction of squares harmless: the real mean where it is known.

    Args:
        features: the network; the metric runs it in its own mode and without gradients.
        real: statistics of the real images, which then need no `update`.
    """

    real_count: Tensor
    real_sum: Tensor
    real_outer: Tensor
    fake_count: Tensor
    fake_sum: Tensor
    fake_outer: Tensor
    full_state_update = False

    def __init__(self, features: FeatureNetwork, real: Statistics | None = None):
        super().__init__()
        d = features.dimension
        if real is not None and len(real.mean) != d:
            raise ValueError(f"real must have {d} features, as {features.name} has, got {len(real.mean)}")
        self.features, self.real = features, real
        shift = torch.zeros(d, dtype=torch.float64) if real is None else real.mean
        self.register_buffer("shift", shift, persistent=False)
        for name in ("real", "fake"):
            self.add_state(f"{name}_count", torch.tensor(0), dist_reduce_fx="sum")
            self.add_state(f"{name}_sum", torch.zeros(d, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{name}_outer", torch.zeros(d, d, dtype=torch.float64), dist_reduce_fx="sum")
        self.to(next(features.parameters()).device)

    @torch.no_grad()
    def update(self, images: Images, real: bool = False) -> None:
        if real and self.real is not None:
            raise ValueError("the statistics of the real images were given: update with generated ones only")
        x = self.features(images).to(self.shift) - self.shift
        for part, value in (("count", len(x)), ("sum", x.sum(0)), ("outer", x.T @ x)):
            name = f"{'real' if real else 'fake'}_{part}"
            setattr(self, name, getattr(self, name) + value)

    def compute(self) -> Float64[Tensor, ""]:
        if self.real is None:
            real = _statistics(self.real_count, self.real_sum, self.real_outer, self.shift)
        else:
            real = Statistics(self.real.count, *(x.to(self.shift) for x in self.real[1:]))
        return frechet_distance(
            real, _statistics(self.fake_count, self.fake_sum, self.fake_outer, self.shift)
        )


def _statistics(
    count: int | Tensor,
    total: Float64[Tensor, "D"],
    outer: Float64[Tensor, "D D"],
    shift: Float64[Tensor, "D"],
) -> Statistics:
    """From the number of features, their sum about the shift, and the sum of their outer products."""
    n = int(count)
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 images of each kind, got {n}")
    mean = total / n
    return Statistics(n, shift + mean, (outer - n * mean.outer(mean)) / (n - 1))


def statistics_from(parts: Iterable[Float[Tensor, "_ D"]]) -> Statistics:
    """Statistics of features that come in parts, on the CPU; the first part's mean is the shift."""
    count, shift, total, outer = 0, None, None, None
    for part in parts:
        x = part.cpu().double()
        if shift is None:
            shift = x.mean(0)
            total, outer = torch.zeros_like(shift), torch.zeros_like(shift.outer(shift))
        x = x - shift
        count, total, outer = count + len(x), total + x.sum(0), outer + x.T @ x
    if shift is None:
        raise ValueError("a covariance needs at least 2 images of each kind, got 0")
    return _statistics(count, total, outer, shift)


def real_statistics(
    features: FeatureNetwork, images: RawImages, folder: str | Path = FOLDER, batch_size: int = 500
) -> Statistics:
    """Statistics of a data set, kept in `folder` under a name made of its bytes and the network's weights.

    So they can be used for no other set and no other network; a damaged file is measured anew.
    """
    key = hashlib.sha256(f"{checksum(images)} {features.fingerprint}".encode()).hexdigest()[:16]
    path = Path(folder) / f"statistics_{features.name}_{key}.npz"
    if (known := _read(path, features.dimension)) is not None:
        return known
    found = statistics_from(features_of(features, images, batch_size))
    arrays = {"count": found.count, "mean": found.mean.numpy(), "covariance": found.covariance.numpy()}
    write_atomically(path, lambda temporary: np.savez(temporary, **arrays))
    return found


def _read(path: Path, dimension: int) -> Statistics | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as saved:
            mean, covariance = (torch.from_numpy(saved[name]).double() for name in ("mean", "covariance"))
            count = int(saved["count"])
    except (ValueError, OSError, EOFError, KeyError, BadZipFile):
        return None
    fits = mean.shape == (dimension,) and covariance.shape == (dimension, dimension)
    return Statistics(count, mean, covariance) if fits else None
