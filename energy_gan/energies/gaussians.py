"""Mixtures of Gaussians with full covariances, many side by side: each component knows whose it is."""

import math
import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

AT_ONCE = 2**22  # numbers of a temporary


class Gaussians(nn.Module):
    """M mixtures over D numbers, Σⱼ πⱼ N(x; μⱼ, Cⱼ) each, Cⱼ⁻¹ = Pⱼ Pⱼᵀ.

    Before `fit` a mixture has no mass: its log-density is −∞.

    Args:
        dim: D.
        components: of each mixture, at least 1.
    """

    def __init__(self, dim: int, components: Sequence[int]):
        super().__init__()
        total, self.dim = sum(components), dim
        self.spans = [(sum(components[:i]), sum(components[: i + 1])) for i in range(len(components))]
        self.register_buffer("shares", torch.zeros(total, dtype=torch.float64))
        self.register_buffer("means", torch.zeros(total, dim, dtype=torch.float64))
        self.register_buffer("precisions", torch.eye(dim, dtype=torch.float64).repeat(total, 1, 1))  # P

    def fit(self, which: int, x: Float[Tensor, "N D"], ridge: float, seed: int) -> None:
        """Fit one mixture by EM, `ridge` added to the variances; nothing where the points are too few."""
        from sklearn.mixture import GaussianMixture  # a second, which loading a model need not wait

        first, end = self.spans[which]
        if end - first > len(x) // (self.dim + 1):  # too few points for a covariance each
            return
        mixture = GaussianMixture(end - first, reg_covar=ridge, max_iter=100, random_state=seed)
        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of EM that is not at its end: held-out points judge it
            mixture.fit(x.double().cpu().numpy())
        found = (mixture.weights_, mixture.means_, mixture.precisions_cholesky_)
        shares, means, precisions = (torch.from_numpy(part) for part in found)
        self.shares[first:end] = shares
        self.means[first:end] = means
        self.precisions[first:end] = precisions

    def log_joint(self, x: Float[Tensor, "B D"], these: Int[Tensor, "J"]) -> Float[Tensor, "B J"]:
        """log πⱼ N(x; μⱼ, Cⱼ) of some components, in float64, since variances can be small."""
        x, means, precisions = x.double(), self.means[these], self.precisions[these]
        volumes = precisions.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * self.dim * math.log(2 * math.pi)
        at_once = max(1, AT_ONCE // (len(x) * self.dim))
        squares = [
            (torch.einsum("bd,jde->bje", x, p) - torch.einsum("jd,jde->je", m, p)).square().sum(2)
            for m, p in zip(means.split(at_once), precisions.split(at_once), strict=True)
        ]
        return self.shares[these].log() + volumes - 0.5 * torch.cat(squares, 1)

    def log_prob(self, which: int, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        """log of the density of one mixture."""
        these = torch.arange(*self.spans[which], device=x.device)
        return self.log_joint(x, these).logsumexp(1)

    def given(
        self,
        these: Int[Tensor, "J"],
        log_shares: Float[Tensor, "J"],
        held: Int[Tensor, "K"],
        g: Float[Tensor, "B K"],
        rng: torch.Generator | None = None,
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B"]]:
        """Exact samples x = (v, g) of v ~ q(v | g), a row for each g, and log q(v | g).

            q(v, g) = Σⱼ wⱼ N(v, g; μⱼ, Λⱼ⁻¹),   v | g, j ~ N(μᵥ − Λᵥᵥ⁻¹ Λᵥ₉ (g − μ₉), Λᵥᵥ⁻¹)

        Args:
            these, log_shares: the components, and log w.
            held: the places of g.
        """
        free = torch.tensor([i for i in range(self.dim) if i not in held.tolist()], device=held.device)
        means, factors, g = self.means[these], self.precisions[these], g.double()
        precisions = factors @ factors.mT
        of_free, crossed = precisions[:, free][:, :, free], precisions[:, free][:, :, held]
        slopes = torch.linalg.solve(of_free, crossed)
        of_held = torch.linalg.cholesky(precisions[:, held][:, :, held] - crossed.mT @ slopes)
        away = g[:, None] - means[:, held]
        squares = torch.einsum("bjk,jkl->bjl", away, of_held).square().sum(2)
        volumes = of_held.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * len(held) * math.log(2 * math.pi)
        of_g = log_shares + volumes - 0.5 * squares
        u = torch.rand(len(g), 1, generator=rng, dtype=torch.float64, device=g.device)
        j = torch.searchsorted(of_g.softmax(1).cumsum(1), u)[:, 0].clamp(max=len(these) - 1)
        noise = torch.randn(len(g), len(free), 1, generator=rng, dtype=torch.float64, device=g.device)
        spread = torch.linalg.solve_triangular(torch.linalg.cholesky(of_free).mT[j], noise, upper=True)
        rows = torch.arange(len(g), device=g.device)
        v = means[j][:, free] + (spread - slopes[j] @ away[rows, j][:, :, None])[:, :, 0]
        x = g.new_empty(len(g), self.dim).index_copy(1, free, v).index_copy(1, held, g)
        joint = self.log_joint(x, these) - self.shares[these].log() + log_shares
        return x, joint.logsumexp(1) - of_g.logsumexp(1)

    def at(self, components: Int[Tensor, "n"], noise: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """μⱼ + Pⱼ⁻ᵀ ε, a row for each component that is named."""
        p = self.precisions[components].transpose(1, 2)
        moved = torch.linalg.solve_triangular(p, noise[:, :, None].double(), upper=False)
        return self.means[components] + moved[:, :, 0]
