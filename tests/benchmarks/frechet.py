"""The Fréchet distance in 2,048 dimensions, as the project has it and by scipy's matrix square root."""

import numpy as np
import scipy.linalg
import torch
from timing import Row, interleave, median, ratio

from energy_gan.metrics.frechet import Statistics, frechet_distance, statistics_from

DIMENSION, IMAGES = 2048, 4096
ROUNDS = 2  # at most: one round takes a quarter of a minute


def rows(rounds: int) -> list[Row]:
    a, b = _statistics(0), _statistics(1)
    found: dict[str, float] = {}

    def ours() -> None:
        found["ours"] = float(frechet_distance(a, b))

    def scipys() -> None:
        found["scipy"] = _by_scipy(a, b)

    times = interleave({"scipy": scipys, "ours": ours}, min(rounds, ROUNDS), warm=False)
    note = f"{median(times, 'ours'):.2f} and {median(times, 'scipy'):.2f} s"
    return [
        Row(f"Fréchet distance, {DIMENSION:,} dimensions / scipy.linalg.sqrtm", ratio(times, "ours", "scipy"),
            "at most", 0.35, note),
        Row("Fréchet distance: difference to scipy's", abs(found["ours"] - found["scipy"]), "at most", 1e-6,
            f"of {found['ours']:.6f}, relative {abs(found['ours'] / found['scipy'] - 1):.1e}"),
    ]  # fmt: skip


def _statistics(seed: int) -> Statistics:
    """Features of a falling spectrum, as networks have them."""
    rng = torch.Generator().manual_seed(seed)
    scales = torch.arange(1, DIMENSION + 1).float().pow(-0.5)
    features = torch.randn(IMAGES, DIMENSION, generator=rng) * scales + 0.01 * seed
    return statistics_from(features.split(512))


def _by_scipy(a: Statistics, b: Statistics) -> float:
    root = scipy.linalg.sqrtm((a.covariance @ b.covariance).numpy())
    overlap = np.trace(root).real
    gap = (a.mean - b.mean).square().sum()
    return float(gap + a.covariance.trace() + b.covariance.trace() - 2 * overlap)
