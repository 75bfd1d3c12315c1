"""Products of experts over deep features (Eq. 2): the energy is a sum, an expert a term.

    E(x) = quadratic(x) − b·x + Σᵢ Ẽᵢ(f(x))

With the softplus experts this is Eq. 11: the first two terms hold the mean and the global variance,
the experts correct them in the feature space f. If f is bounded, so are the experts, the quadratic
term wins far away and Z is finite: integrable by construction.

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, equations 2 to 5 and 11.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from energy_gan.energies.base import Base, Energy
from energy_gan.nn import Fitted
from energy_gan.shapes import Energies, Points

Features = Float[Tensor, "B F"]


class SoftplusExperts(nn.Linear):
    """Σᵢ −log(1 + exp(wᵢ·f + bᵢ)), the experts of Eq. 11."""

    def forward(self, f: Features) -> Energies:
        return -F.softplus(super().forward(f)).sum(1)


class LogisticExperts(nn.Linear):
    """Σᵢ log(1 + exp(−(wᵢ·f + bᵢ))): each a weak classifier of real against fake (Eq. 4)."""

    def forward(self, f: Features) -> Energies:
        return F.softplus(-super().forward(f)).sum(1)


class LinearExperts(nn.Linear):
    """1/K Σᵢ wᵢ·f + bᵢ: the logit of a discriminator as plain GANs have it, positive and negative."""

    def forward(self, f: Features) -> Energies:
        return super().forward(f).mean(1)


class StudentTExperts(nn.Linear):
    """Σᵢ αᵢ log(1 + (wᵢ·f)²), αᵢ > 0: a product of Student-t distributions (Eq. 3).

    The two lines of Eq. 3 differ by a factor ½ before the square; this is the second. α is
    learned as exp(log α), from 1.
    """

    def __init__(self, in_features: int, experts: int):
        super().__init__(in_features, experts, bias=False)
        self.log_alpha = nn.Parameter(torch.zeros(experts))

    def forward(self, f: Features) -> Energies:
        return torch.log1p(super().forward(f).square()) @ self.log_alpha.exp()


class GaussianRBMExperts(SoftplusExperts):
    """f·f/σ² − b·f − Σᵢ log(1 + exp(wᵢ·f + cᵢ)): the free energy of an RBM (Eq. 5).

    Its visible units are Gaussian and hold f (x itself with `energy_gan.energies.mlp.Identity`), its
    hidden units are binary and summed out, one expert each. σ² is learned as exp(log σ²), from 2.
    """

    def __init__(self, in_features: int, experts: int):
        super().__init__(in_features, experts)
        self.visible = nn.Parameter(torch.zeros(in_features))
        self.log_variance = nn.Parameter(torch.tensor(math.log(2.0)))

    def forward(self, f: Features) -> Energies:
        return f.square().sum(1) / self.log_variance.exp() - f @ self.visible + super().forward(f)


class IsotropicQuadratic(nn.Module):
    """x·x / σ² of Eq. 11 (no factor ½: a standard normal has σ² = 2).

    Args:
        sigma_squared: σ², or where it starts if `learned`; positive.
        learned: train log σ², so that σ² stays positive.
    """

    def __init__(self, sigma_squared: float = 2.0, learned: bool = True):
        super().__init__()
        if not 0 < sigma_squared < math.inf:
            raise ValueError(f"sigma_squared must be a positive number, got {sigma_squared}")
        self.log_variance = nn.Parameter(torch.tensor(math.log(sigma_squared)), requires_grad=learned)

    def forward(self, x: Points) -> Energies:
        return x.flatten(1).square().sum(1) / self.log_variance.exp()


class DiagonalQuadratic(nn.Module):
    """Σⱼ (gⱼ xⱼ + sⱼ)² with learned scales g = exp(log g) and shifts s: the authors' image scripts.

    Args:
        shape: of one point.
        sigma_squared: where g⁻² starts; the authors' 1. Positive.
    """

    def __init__(self, shape: Sequence[int], sigma_squared: float = 1.0):
        super().__init__()
        if not 0 < sigma_squared < math.inf:
            raise ValueError(f"sigma_squared must be a positive number, got {sigma_squared}")
        self.log_scale = nn.Parameter(torch.full(tuple(shape), -0.5 * math.log(sigma_squared)))
        self.shift = nn.Parameter(torch.zeros(*shape))

    def forward(self, x: Points) -> Energies:
        return (self.log_scale.exp() * x + self.shift).square().flatten(1).sum(1)


class CentredQuadratic(Fitted):
    """½ Σⱼ cⱼ (xⱼ − μⱼ)² with learned c = exp(log c) and μ, which starts at the mean of the data.

    It is not of the paper. K steps of size a down it alone leave (1 − a cⱼ)^K of what x started with, so that
    a short walk shows little of the noise that it began at.

    Args:
        shape: of one point.
        curvature: where c starts, positive.
    """

    def __init__(self, shape: Sequence[int], curvature: float = 0.1):
        super().__init__()
        if not 0 < curvature < math.inf:
            raise ValueError(f"curvature must be a positive number, got {curvature}")
        self.log_curvature = nn.Parameter(torch.full(tuple(shape), math.log(curvature)))
        self.mean = nn.Parameter(torch.zeros(*shape))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, x: Points, seed: int = 0) -> None:
        self.mean.copy_(x.mean(0))
        self.fitted.fill_(True)

    def forward(self, x: Points) -> Energies:
        return 0.5 * (self.log_curvature.exp() * (x - self.mean).square()).flatten(1).sum(1)


class ProductOfExperts(Energy):
    """E(x) = quadratic(x) − b·x + Σᵢ Ẽᵢ(f(x)), Eq. 11 with its terms to choose.

    Args:
        shape: of one point.
        features: f, a module from (B, *shape) to (B, features.out_features). If it says
            `bounded = True` and there is a quadratic term, the energy is integrable.
        experts: their number, at least 1.
        family: the experts, built as family(features.out_features, experts).
        quadratic: the quadratic term; None leaves it out, and Z may then be infinite.
        linear: have the term −b·x, learned from 0.
    """

    def __init__(
        self,
        shape: Sequence[int],
        features: nn.Module,
        experts: int,
        family: Callable[[int, int], nn.Module] = SoftplusExperts,
        quadratic: nn.Module | None = None,
        linear: bool = True,
    ):
        super().__init__()
        if experts < 1:
            raise ValueError(f"experts must be at least 1, got {experts}")
        self.features, self.quadratic = features, quadratic
        self.experts = family(features.out_features, experts)
        self.linear = nn.Parameter(torch.zeros(*shape)) if linear else None

    @property
    def base(self) -> Base | None:
        return self.quadratic if isinstance(self.quadratic, Base) else None

    @property
    def integrable(self) -> bool:
        return self.quadratic is not None and getattr(self.features, "bounded", False)

    def over_base(self, x: Points) -> Energies:
        energies = self.experts(self.features(x))
        return energies if self.linear is None else energies - x.flatten(1) @ self.linear.flatten()

    def forward(self, x: Points) -> Energies:
        return self.over_base(x) if self.quadratic is None else self.over_base(x) + self.quadratic(x)
