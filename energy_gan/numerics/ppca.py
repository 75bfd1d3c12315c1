"""Mixture of probabilistic principal component analysers: the density a short GAN run has to beat.

    p(x) = Σₖ πₖ N(x; μₖ, Cₖ),  Cₖ = Wₖ Wₖᵀ + σₖ² I,  Wₖ of shape (D, rank)

so each component is a flat piece of a surface with noise about it. With M = σ² I + WᵀW (rank × rank)

    log |C| = log |M| + (D − rank) log σ²,   C⁻¹ = (I − W M⁻¹ Wᵀ) / σ².

EM with responsibilities r: π and μ are weighted means, and with the weighted covariance S about the
new μ, which is never formed, only multiplied with W,

    W′ = S W (σ² I + M⁻¹ Wᵀ S W)⁻¹,   σ′² = tr(S − S W M⁻¹ W′ᵀ) / D.

Reference: Mixtures of Probabilistic Principal Component Analyzers (Tipping & Bishop, 1999),
https://doi.org/10.1162/089976699300016728, Eqs. 2 to 12 and appendix C.
"""

import math

import torch
from jaxtyping import Bool, Float, Shaped
from threadpoolctl import threadpool_limits
from torch import Tensor
from tqdm import tqdm

from energy_gan.randomness import mixed_seed

NEGLIGIBLE = 1e-9  # a responsibility below it adds nothing: components see their own points only
ROWS = 5_000  # points at a time
FITTED = 5 * 10**7  # numbers that a density is fitted to: all of MNIST


def evenly(points: Shaped[Tensor, "N *S"], most: int | None = None) -> Shaped[Tensor, "M *S"]:
    """Evenly spread ones where there are more; by default where they have more than 50 million numbers."""
    most = max(1, FITTED // points[0].numel()) if most is None else most
    return points[:: math.ceil(len(points) / most)]


class PPCAMixture:
    """A mixture with given parameters: `log_prob`, `sample`; `fit` finds them.

    Args:
        weights: πₖ, not negative, of sum 1.
        means: μₖ.
        factors: Wₖ.
        noise: σₖ², above 0.
    """

    def __init__(
        self,
        weights: Float[Tensor, "K"],
        means: Float[Tensor, "K D"],
        factors: Float[Tensor, "K D R"],
        noise: Float[Tensor, "K"],
    ):
        if not (weights >= 0).all() or not math.isclose(float(weights.sum()), 1, abs_tol=1e-4):
            raise ValueError(f"weights must not be negative and sum to 1, got {weights.tolist()}")
        if not (noise > 0).all():
            raise ValueError(f"noise must be above 0, got {noise.tolist()}")
        self.weights, self.means, self.factors, self.noise = weights, means, factors, noise

    @classmethod
    def fit(
        cls,
        x: Float[Tensor, "N D"],
        components: int = 50,
        rank: int = 40,
        n_iterations: int = 10,
        seed: int = 0,
        noise_floor: float = 1e-3,
    ) -> "PPCAMixture":
        """Fitted to points by EM in their own precision, from k-means and the principal axes of its clusters.

        A component that holds less than one point keeps its place and shape and loses its weight.

        Args:
            noise_floor: least σ², as a share of the mean variance of a column.

        Raises:
            ValueError: there are too few points or columns for so many components or axes.
        """
        if not 1 <= components <= len(x):
            raise ValueError(f"components must be between 1 and {len(x)}, the points, got {components}")
        if not 1 <= rank < x.shape[1]:
            raise ValueError(f"rank must be between 1 and {x.shape[1] - 1}, under the columns, got {rank}")
        if n_iterations < 0:
            raise ValueError(f"n_iterations must not be negative, got {n_iterations}")
        if not noise_floor > 0:
            raise ValueError(f"noise_floor must be above 0, got {noise_floor}")
        least = max(noise_floor * float(x.var(0, correction=0).mean()), torch.finfo(x.dtype).tiny)
        mixture = cls._from_clusters(x, components, rank, least, seed)
        for _ in tqdm(range(n_iterations), "mixture", leave=False, disable=None if len(x) > 10_000 else True):
            mixture = mixture.improved(x, least)
        return mixture

    @classmethod
    def _from_clusters(
        cls, x: Float[Tensor, "N D"], components: int, rank: int, least: float, seed: int
    ) -> "PPCAMixture":
        from sklearn.cluster import MiniBatchKMeans  # most of a second, and only here

        with threadpool_limits(limits=torch.get_num_threads()):
            means = MiniBatchKMeans(components, batch_size=4_096, n_init=1, random_state=seed % 2**32)
            member = torch.from_numpy(means.fit_predict(x.cpu().numpy())).to(x.device)
        weights, centres = x.new_zeros(components), x.new_zeros(components, x.shape[1])
        factors, noise = x.new_zeros(components, x.shape[1], rank), x.new_full((components,), least)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed_seed(seed))
            for k in range(components):
                own = x[member == k]
                if not len(own):
                    own = x[k : k + 1]
                weights[k], centres[k] = len(own), own.mean(0)
                factors[k], noise[k] = _principal(own - centres[k], rank, least)
        return cls(weights / weights.sum(), centres, factors, noise)

    def improved(self, x: Float[Tensor, "N D"], least: float = 1e-12) -> "PPCAMixture":
        """One step of EM: the likelihood of x does not fall.

        Args:
            least: of σ², above 0.
        """
        shares = torch.cat([self._joint(part).softmax(1) for part in x.split(ROWS)])
        mass = shares.sum(0, dtype=torch.float64)
        means, factors, noise = self.means.clone(), self.factors.clone(), self.noise.clone()
        for k in (mass >= 1).nonzero()[:, 0].tolist():
            chosen = (shares[:, k] > NEGLIGIBLE).nonzero()[:, 0]
            r, own = shares[chosen, k, None] / shares[chosen, k].sum(), x[chosen]
            means[k] = (r * own).sum(0)
            factors[k], noise[k] = _update(own - means[k], r, self.factors[k], self.noise[k], least)
        return type(self)((mass / mass.sum()).to(x), means, factors, noise)

    def log_prob(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        """In float64, whatever the precision of x."""
        precise = self._precise
        return torch.cat([precise._joint(part.double()).logsumexp(1) for part in x.split(ROWS)])

    def conditional_mean(self, x: Float[Tensor, "B D"], known: Bool[Tensor, "D"]) -> Float[Tensor, "B D"]:
        """E[x | its known numbers] = Σₖ p(k | known) (μₖ + Wₖ M⁻¹ Wᵀ (x − μₖ)), M and W of the known rows."""
        whole, given = self._precise, x[:, known].double()
        seen = type(self)(whole.weights, whole.means[:, known], whole.factors[:, known], whole.noise)
        shares = torch.cat([seen._joint(part).softmax(1) for part in given.split(ROWS)])
        inverse = torch.linalg.inv(_inner(seen.factors, seen.noise))
        mean = torch.zeros_like(x, dtype=torch.float64)
        for k, share in enumerate(shares.T):
            latent = (given - seen.means[k]) @ seen.factors[k] @ inverse[k]
            mean += share[:, None] * (whole.means[k] + latent @ whole.factors[k].T)
        return torch.where(known, x, mean.to(x))

    @property
    def _precise(self) -> "PPCAMixture":
        """The same in float64."""
        return type(self)(*(p.double() for p in (self.weights, self.means, self.factors, self.noise)))

    def noised(self, variance: float) -> "PPCAMixture":
        """The law of its points with independent noise N(0, variance) added to each number."""
        return type(self)(self.weights, self.means, self.factors, self.noise + variance)

    def sample(self, n: int, rng: torch.Generator | None = None) -> Float[Tensor, "n D"]:
        _, dim, rank = self.factors.shape
        chosen = torch.multinomial(self.weights.cpu().double(), n, replacement=True, generator=rng)
        latent, noise = torch.randn(n, rank, generator=rng), torch.randn(n, dim, generator=rng)
        latent, noise, chosen = latent.to(self.means), noise.to(self.means), chosen.to(self.means.device)
        x = self.means[chosen] + self.noise[chosen, None].sqrt() * noise
        for k in chosen.unique().tolist():
            own = chosen == k
            x[own] += latent[own] @ self.factors[k].T
        return x

    def _joint(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """log πₖ N(x; μₖ, Cₖ)."""
        return log_joint(x, self.means, self.noise, *(part.to(x) for part in self.prepared()))

    def prepared(self) -> tuple[Float[Tensor, "K R D"], Float[Tensor, "K R"], Float[Tensor, "K"]]:
        """What `log_joint` needs besides: M^−½ Wᵀ, M^−½ Wᵀ μ and log π |2πC|^−½ of each, in float64."""
        _, dim, rank = self.factors.shape
        roots = torch.linalg.cholesky(_inner(self.factors, self.noise))
        axes = torch.linalg.solve_triangular(roots, self.factors.mT.double(), upper=False)
        log_det = 2 * roots.diagonal(dim1=1, dim2=2).log().sum(1) + (dim - rank) * self.noise.double().log()
        constants = self.weights.double().log() - (log_det + dim * math.log(2 * math.pi)) / 2
        return axes, (axes @ self.means.double()[:, :, None])[:, :, 0], constants


def log_joint(
    x: Float[Tensor, "B D"],
    means: Float[Tensor, "K D"],
    noise: Float[Tensor, "K"],
    axes: Float[Tensor, "K R D"],
    origins: Float[Tensor, "K R"],
    constants: Float[Tensor, "K"],
) -> Float[Tensor, "B K"]:
    """log πₖ N(x; μₖ, Cₖ), from what a mixture has `prepared`."""
    latent = (x @ axes.flatten(0, 1).T).view(len(x), *origins.shape) - origins
    squares = x.square().sum(1, keepdim=True) - 2 * x @ means.T + means.square().sum(1)
    return constants - (squares - latent.square().sum(2)) / noise / 2


def _inner(factors: Float[Tensor, "*K D R"], noise: Float[Tensor, "*K"]) -> Float[Tensor, "*K R R"]:
    """M = σ² I + WᵀW, in float64."""
    w = factors.double()
    return w.mT @ w + noise.double()[..., None, None] * torch.eye(w.shape[-1]).to(w)


def _principal(
    centred: Float[Tensor, "N D"], rank: int, least: float
) -> tuple[Float[Tensor, "D R"], Float[Tensor, ""]]:
    """The likeliest W and σ² of one component, from the largest eigenvalues λ: W = U (Λ − σ² I)^½."""
    n, dim = centred.shape
    found = min(rank, n, dim)
    _, singular, axes = torch.svd_lowrank(centred, min(found + 10, n, dim), niter=4)
    values = singular[:found].square() / n
    noise = ((centred.square().sum() / n - values.sum()) / (dim - rank)).clamp(min=least)
    factor = centred.new_zeros(dim, rank)
    factor[:, :found] = axes[:, :found] * (values - noise).clamp(min=0).sqrt()
    return factor, noise


def _update(
    centred: Float[Tensor, "N D"],
    r: Float[Tensor, "N 1"],
    factor: Float[Tensor, "D R"],
    noise: Float[Tensor, ""],
    least: float,
) -> tuple[Float[Tensor, "D R"], Float[Tensor, ""]]:
    """W′ and σ′² for points about their mean, with weights r of sum 1."""
    sw = (centred.T @ (r * (centred @ factor))).double()
    w, m = factor.double(), _inner(factor, noise)
    inverse_m = torch.cholesky_inverse(torch.linalg.cholesky(m))
    identity = torch.eye(len(m)).to(m)
    new = torch.linalg.solve(noise.double() * identity + inverse_m @ w.T @ sw, sw, left=False)
    trace = (r * centred.square()).sum(dtype=torch.float64)
    variance = (trace - ((sw @ inverse_m) * new).sum()) / len(factor)
    return new.to(factor), variance.clamp(min=least).to(noise)
