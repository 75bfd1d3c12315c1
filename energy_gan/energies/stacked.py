"""Densities that are stacked: the energy of a sum whose shares points decide that no member has seen.

    E(x) = −log Σₖ wₖ 1/F Σ_f q_{k,f}(x),   w  ascends  Σᵢ log Σₖ wₖ q_{k,f(i)}(xᵢ)  by EM

The members are a flow and mixtures of Gaussians of several sizes and ridges. Each is fitted F times, to all
points but those of one fold. The fold that it has not seen says when a flow stops learning, and chooses the
shares; f(i) is the fold of xᵢ. So Z is 1 and samples are exact.

Reference: Linearly Combining Density Estimators via Stacking (Smyth & Wolpert, 1999),
https://doi.org/10.1023/A:1007511322260.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm import tqdm

from energy_gan.energies.base import Base
from energy_gan.energies.gaussians import Gaussians
from energy_gan.generators.flow import FlowGenerator
from energy_gan.nn import Fitted
from energy_gan.numerics.ppca import evenly
from energy_gan.randomness import random_generator
from energy_gan.shapes import Energies, Points, Scalar

PARTS = 5  # of the points: each fold is one of them
CROSSED = 2_000  # points; from there on one fold says enough, and the other members rest
MOST = 10_000  # points that a mixture is fitted to
JUDGES = 2_000  # points of a fold at most that say what is likely
LEAST = 1e-3  # share; a member of less has none


class Judges(NamedTuple):
    """Points of a fold, and what members that have not seen them say of these: log q."""

    fold: int
    points: Points
    mixtures: Float[Tensor, "n K"]  # which stays
    of_kept: list[Float[Tensor, "n"]]  # the last of the kept flow, none before the first


class Stack(Base, Fitted):
    """−log of the sum. Before `fit` it is the first flow.

    Args:
        shape: of one point.
        flow: a flow, copied for each fold.
        folds: F, from 1 to 5; from 2,000 points on it is 1.
        components: of the mixtures, each at least 1; what the points are too few for has no share.
        ridges: what is added to the variances, in standardised units; from 2,000 points on the first alone.
    """

    def __init__(
        self,
        shape: Sequence[int],
        flow: FlowGenerator,
        folds: int = PARTS,
        components: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
        ridges: Sequence[float] = (1e-4, 1e-2, 1e-1),
    ):
        super().__init__()
        if not 1 <= folds <= PARTS:
            raise ValueError(f"folds must be from 1 to {PARTS}, got {folds}")
        if not components or min(components) < 1 or not ridges or min(ridges) <= 0:
            raise ValueError(
                f"components must be at least 1 and ridges above 0, got {list(components)} and {list(ridges)}"
            )
        self.shape, self.dim, self.folds = tuple(shape), math.prod(shape), folds
        self.kinds = [(k, ridge) for k in components for ridge in ridges]
        self.first_ridge = ridges[0]
        self.gaussians = Gaussians(self.dim, [k for k, _ in self.kinds] * folds)
        self.flows = nn.ModuleList(deepcopy(flow) for _ in range(folds))  # as they learn
        self.kept = deepcopy(self.flows).requires_grad_(False)  # as they were likeliest to their folds
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("used", torch.tensor(1))  # folds
        self.register_buffer("likeliest", torch.full((folds,), torch.finfo(torch.float32).min))
        self.register_buffer("shares", torch.tensor([0.0] * len(self.kinds) + [1.0], dtype=torch.float64))

    @torch.no_grad()
    def fit(self, x: Points, seed: int = 0) -> None:
        """Fit the mixtures."""
        x = x.flatten(1)
        few = len(x) < CROSSED
        self.used.fill_(self.folds if few else 1)
        kinds = [(i, ridge) for i, (_, ridge) in enumerate(self.kinds) if few or ridge == self.first_ridge]
        members = [(fold, i, ridge) for fold in range(int(self.used)) for i, ridge in kinds]
        rng = random_generator(seed, 9)
        order = torch.randperm(len(x), generator=rng).to(x.device)
        for fold, i, ridge in tqdm(members, "mixtures", leave=False, disable=None):
            seen = order[order % PARTS != fold][:MOST]
            self.gaussians.fit(fold * len(self.kinds) + i, x[seen], ridge, seed)
        self.fitted.fill_(True)

    @torch.no_grad()
    def judges(self, x: Points) -> list[Judges]:
        """Of each fold that is used, once it is fitted.

        Args:
            x: the points that were fitted, in their order.
        """
        index, n, found = torch.arange(len(x), device=x.device), len(self.kinds), []
        for fold in range(int(self.used)):
            if len(own := x[index % PARTS == fold]):
                own = evenly(own, JUDGES)
                logs = [self.gaussians.log_prob(fold * n + i, own.flatten(1)) for i in range(n)]
                found.append(Judges(fold, own, torch.stack(logs, 1), []))
        return found

    @torch.no_grad()
    def judge(self, judges: Sequence[Judges]) -> Scalar:
        """Keep each flow that is likelier than before to the fold it has not seen, and choose the shares.

        Returns:
            The mean of log p, of each point by members that have not seen it.
        """
        logs = []
        for judge in judges:
            fold, x = judge.fold, judge.points
            of_learning = self.flows[fold].log_prob(x).double()
            if of_learning.mean() > self.likeliest[fold]:
                self.likeliest[fold] = of_learning.mean()
                self.kept[fold].load_state_dict(self.flows[fold].state_dict())
                judge.of_kept[:] = [of_learning]
            elif not judge.of_kept:  # of a training that goes on
                judge.of_kept[:] = [self.kept[fold].log_prob(x).double()]
            logs.append(torch.cat([judge.mixtures, judge.of_kept[0][:, None]], 1))
        logs = torch.cat(logs)
        shares = expectation_maximisation(logs)
        self.shares.copy_(shares)
        return (logs + shares.log()).logsumexp(1).mean()

    def forward(self, x: Points) -> Energies:
        flat, (mixtures, log_shares), parts = x.flatten(1), self._components(), []
        if len(mixtures):
            parts.append(self.gaussians.log_joint(flat, mixtures) + log_shares)
        if (share := float(self.shares[-1])) > 0:
            log_share = math.log(share / int(self.used))
            parts += [self.kept[f].log_prob(x)[:, None] + log_share for f in range(int(self.used))]
        return -torch.cat(parts, 1).logsumexp(1).to(x.dtype)

    def sample(self, n: int, rng: torch.Generator | None = None) -> Points:
        """n exact samples."""
        device = rng.device if rng else self.shares.device
        u = torch.rand(n, generator=rng, device=device)
        noise = torch.randn(n, self.dim, generator=rng, device=device)
        return self.at(u.to(self.shares.device), noise.to(self.shares.device))

    @torch.no_grad()
    def guess(
        self, held: Int[Tensor, "K"], given: Float[Tensor, "B K"], rng: torch.Generator | None = None
    ) -> tuple[Points, Energies]:
        """x with given coordinates, the others as its mixtures have them, and the log-density of these."""
        these, log_shares = self._components()
        if not len(these):  # only flows have a share
            these = self.gaussians.shares.nonzero()[:, 0]
            log_shares = these.new_zeros(len(these), dtype=torch.float64)
        log_shares = log_shares + self.gaussians.shares[these].log()
        x, log_q = self.gaussians.given(these, log_shares, held, given, rng)
        return x.to(given.dtype), log_q

    @torch.no_grad()
    def at(self, u: Float[Tensor, "n"], noise: Float[Tensor, "n D"]) -> Points:
        """The samples that a number in [0, 1], which chooses the member, and normal noise make."""
        mixtures, log_shares = self._components()
        log_shares = log_shares + self.gaussians.shares[mixtures].log()
        flows = self.shares[-1].expand(int(self.used)) / int(self.used)
        ends = torch.cat([log_shares.exp(), flows]).cumsum(0)
        chosen = torch.searchsorted(ends, (u.double() * ends[-1]).contiguous()).clamp(max=len(ends) - 1)
        x = noise.new_empty(len(noise), self.dim)
        ours = chosen < len(mixtures)
        x[ours] = self.gaussians.at(mixtures[chosen[ours]], noise[ours]).to(x.dtype)
        for fold in range(int(self.used)):
            its = chosen == len(mixtures) + fold
            if its.any():
                x[its] = self.kept[fold](noise[its]).flatten(1)
        return x.unflatten(1, self.shape)

    def _components(self) -> tuple[Int[Tensor, "J"], Float[Tensor, "J"]]:
        """The components of the mixtures that have a share, and the logarithms of these."""
        sizes = torch.tensor([k for k, _ in self.kinds] * self.folds, device=self.shares.device)
        shares = (self.shares[:-1] / self.used).repeat(self.folds).repeat_interleave(sizes)
        shares = torch.where(self.gaussians.shares > 0, shares, 0.0)
        these = shares.nonzero()[:, 0]
        return these, shares[these].log()


def expectation_maximisation(logs: Float[Tensor, "N K"], n_iterations: int = 300) -> Float[Tensor, "K"]:
    """The shares w of Σₖ wₖ exp(logsₖ) that are likeliest; those below a thousandth are none."""
    there = ~logs.isneginf().all(0)  # others were not fitted
    shares = torch.full_like(logs[0, there], 1 / logs.shape[1])
    likelihoods = (logs[:, there] - logs.amax(1, keepdim=True)).exp()
    for _ in range(n_iterations):
        shares = shares * (likelihoods / (likelihoods @ shares)[:, None]).mean(0)
    shares = torch.where(shares < LEAST, 0.0, shares)
    return torch.zeros_like(logs[0]).masked_scatter(there, shares / shares.sum())
