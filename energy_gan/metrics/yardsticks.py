"""Old estimates of a density from points: what a trained energy must at least beat.

Each has `log_prob` and `sample`, so it is an energy, −log p, and a generator at once.
"""

import math
import warnings

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from energy_gan.randomness import random_generator

COMPONENTS = 64  # of a mixture at most
FULL = 60
CROSSED = 500  # points, under which validation is crossed
ELEMENTS = 2**21  # of a temporary: 16 MB in float64; smaller pieces make threads wait for each other


class GaussianEstimate:
    """N(m, C), with the mean m and the covariance C of the points.

    A millionth of each variance is added to it, so that columns that are constant or that determine
    each other are no error.
    """

    def __init__(self, points: Float[Tensor, "N D"]):
        self.mean = points.double().mean(0)
        covariance = points.double().T.cov().reshape(2 * self.mean.shape)
        ridge = 1e-6 * _positive(covariance.diagonal())
        self.factor = torch.linalg.cholesky(covariance + ridge.diag())
        self._law = torch.distributions.MultivariateNormal(
            self.mean, scale_tril=self.factor, validate_args=False
        )

    def log_prob(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        return self._law.log_prob(x.double())

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n D"]:
        noise = torch.randn(n, len(self.mean), generator=rng, device=rng.device).to(self.mean)
        return (self.mean + noise @ self.factor.T).float()


class MixtureEstimate:
    """A mixture of K Gaussians, K the best of 1, 2, 4, … on points that were kept back.

    Covariances are full in up to FULL dimensions, diagonal in more.

    The likelihood of a fifth of the points is compared, of fewer than CROSSED points that of all five fifths,
    each under what the other four gave. The first K that is worse than the one before ends the search.

    Args:
        most: a random choice of so many points is fitted where there are more.
    """

    def __init__(self, points: Float[Tensor, "N D"], most: int = 10_000, seed: int = 0):
        from sklearn.mixture import GaussianMixture  # a second, which a training's start need not wait
        from sklearn.model_selection import KFold

        order = torch.randperm(len(points), generator=random_generator(seed))[:most]
        self.shift, self.scale = points.double().mean(0), _positive(points.double().std(0))
        x = ((points[order].double() - self.shift) / self.scale).numpy()
        folds = list(KFold(5).split(x))[: 5 if len(x) < CROSSED else 1] if len(x) >= 10 else []

        def fitted(k: int, rows: np.ndarray) -> GaussianMixture:
            kind = "full" if x.shape[1] <= FULL else "diag"
            mixture = GaussianMixture(
                k, covariance_type=kind, reg_covar=1e-4, max_iter=100, random_state=seed
            )
            return mixture.fit(rows)

        def likelihood(k: int) -> float:
            if k > len(folds[0][0]) // (x.shape[1] + 1):  # too few points for a covariance each
                return -math.inf
            return float(np.mean([fitted(k, x[train]).score(x[test]) for train, test in folds]))

        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of EM that is not at its end: the likelihood judges it
            k, best = 1, likelihood(1) if folds else 0.0
            while folds and k < COMPONENTS and (this := likelihood(2 * k)) > best:
                k, best = 2 * k, this
            self.mixture = fitted(k, x)
        self.components = k

    def log_prob(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        z = (x.double().cpu() - self.shift.cpu()) / self.scale.cpu()
        log_probs = torch.from_numpy(self.mixture.score_samples(z.numpy()))
        return (log_probs - self.scale.cpu().log().sum()).to(x.device)

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n D"]:
        self.mixture.random_state = int(torch.randint(2**31, (1,), generator=rng))
        z = torch.from_numpy(self.mixture.sample(n)[0])
        return (z[torch.randperm(n, generator=rng)] * self.scale.cpu() + self.shift.cpu()).float()


class KernelEstimate:
    """A Gaussian on every point, p(x) = 1/N Σᵢ N(x; xᵢ, h² S), with the points' variances in S.

    The bandwidth h has the greatest likelihood of points given all other points, among steps of
    2^¼ downwards from twice Scott's rule N^(−1/(D+4)) to the first maximum; copies of a point
    count as that point. So h is chosen without the true density, as a user could.

    Args:
        max_points: a random choice of so many carries the kernels where there are more.
        n_scored: points whose likelihood, given the others, is compared.
    """

    def __init__(self, points: Float[Tensor, "N D"], max_points: int = 10_000, n_scored: int = 2_000):
        order = torch.randperm(len(points), generator=random_generator(0))[:max_points].to(points.device)
        self.scale = _positive(points.double().std(0))
        self.points = points[order].double() / self.scale
        self._rows = max(1, ELEMENTS // len(self.points))  # of x at a time
        self.bandwidth = self._likeliest_bandwidth(self.points[:n_scored])

    def log_prob(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        unit = self.bandwidth * math.sqrt(2 * math.log(2))  # exp(−d² / 2h²) = 2^−(d / unit)²
        x, points = x / self.scale / unit, self.points / unit
        squares = points.square().sum(1)
        log2_sums = [
            _log2_sum_exp2(torch.addmm(-squares, part, points.T, alpha=2)) - part.square().sum(1)
            for part in x.split(self._rows)
        ]
        return math.log(2) * torch.cat(log2_sums) - self._log_volume(self.bandwidth) - self.scale.log().sum()

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n D"]:
        chosen = torch.randint(len(self.points), (n,), generator=rng, device=rng.device)
        points = self.points[chosen.to(self.points.device)]
        noise = torch.randn(points.shape, generator=rng, device=rng.device).to(points)
        return ((points + self.bandwidth * noise) * self.scale).float()

    def _log_volume(self, bandwidth: float) -> float:
        """log of what divides Σᵢ exp(−‖x − xᵢ‖² / 2h²), in units of the scale."""
        n, dim = self.points.shape
        return math.log(n) + dim * math.log(bandwidth * math.sqrt(2 * math.pi))

    def _likeliest_bandwidth(self, scored: Float[Tensor, "M D"]) -> float:
        n, dim = self.points.shape
        squares = (
            torch.cdist(scored, self.points, compute_mode="donot_use_mm_for_euclid_dist").square().float()
        )
        squares[squares == 0] = math.inf  # the point itself, and its copies

        def likelihood(h: float) -> float:
            unit = -2 * math.log(2) * h**2
            log2_sums = [_log2_sum_exp2(part / unit) for part in squares.split(self._rows)]
            return math.log(2) * float(torch.cat(log2_sums).mean()) - self._log_volume(h)

        h, best = 2 * n ** (-1 / (dim + 4)), -math.inf
        while (this := likelihood(h)) > best:
            h, best = h / 2**0.25, this
        return h * 2**0.25


def _positive(spread: Float[Tensor, "D"]) -> Float[Tensor, "D"]:
    """The spread of each column, 1 where it has none."""
    return torch.where(spread > 0, spread, 1.0)


def _log2_sum_exp2(powers: Float[Tensor, "B N"]) -> Float[Tensor, "B"]:
    """log₂ Σ 2^power of each row. On a CPU torch's exp2 is eight times faster than its exp.

    Terms below 2^−100 of the greatest are raised to that: they do not show, but would be slow.
    """
    greatest = powers.amax(1, keepdim=True)
    return (powers - greatest).float().clamp_(min=-100).exp2_().sum(1).log2() + greatest[:, 0]
