"""p(z): the laws that a generator's latents are drawn from."""

import math
from abc import ABC, abstractmethod
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.errors import InputError
from energy_gan.shapes import Energies, Latents


class Prior(nn.Module, ABC):
    """p(z), over latents of `latent_dim` numbers.

    Attributes:
        bits: how many of the numbers are either −1 or 1, so that no gradient moves them.
        tilted: whether it is an energy over N(0, I), with weights to learn and an unknown normaliser.
        walls: low and high end of each number, beyond which p(z) is 0; None where it has none.
    """

    bits: int = 0
    tilted = False
    walls: tuple[float, float] | None = None

    def __init__(self, latent_dim: int):
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
        self.latent_dim = latent_dim

    @abstractmethod
    def sample(
        self, n: int, rng: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Latents:
        """n independent latents; from the global random state if no `rng` is given."""

    @abstractmethod
    def from_uniform(self, u: Float[Tensor, "B K"]) -> Latents:
        """Latents of law p(z) from u ~ U(0, 1)^K, K = `n_uniform`."""

    @abstractmethod
    def log_prob(self, latent: Latents) -> Energies:
        """log p(z), of an energy's up to its normaliser."""

    def interpolate(self, first: Latents, last: Latents, t: Float[Tensor, "T"]) -> Float[Tensor, "B T L"]:
        """The latents at the shares t of the way from each first one to its last, in a straight line."""
        t = t[:, None]
        return (1 - t) * first[:, None] + t * last[:, None]

    @property
    def n_uniform(self) -> int:
        """How many uniform numbers a latent is made from."""
        return self.latent_dim

    def spread(self, n: int, device: torch.device | str = "cpu") -> Latents:
        """n latents, each of law p(z), that together cover it evenly: a Sobol net, shifted at random.

        Means over them have the same expectation as over independent ones, and less variance.

        Reference: Randomization of number theoretic methods for multiple integration
        (Cranley & Patterson, 1976), https://doi.org/10.1137/0713071.
        """
        net = _sobol_net(n, self.n_uniform).to(device)
        return self.from_uniform((net + torch.rand(self.n_uniform, device=device)) % 1)

    def tilt(self, latent: Latents) -> Energies:
        """U(z) of a prior p(z) ∝ exp(−U(z)) N(z; 0, I): 0 of N(0, I) itself.

        Raises:
            InputError: this one is of another form.
        """
        raise InputError(
            f"this part needs latents that are normal, or their energy, got {type(self).__name__}: give "
            "method.generator.prior._target_=energy_gan.generators.priors.NormalPrior"
        )

    def log_share(self, latent: Latents) -> Energies | None:
        """log of the learned part of p(z), differentiable in the prior's weights; None if it has none."""
        return None


class UniformPrior(Prior):
    """z ~ U(−1, 1), each number on its own: the paper's."""

    walls = (-1.0, 1.0)

    def sample(
        self, n: int, rng: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Latents:
        return 2 * torch.rand(n, self.latent_dim, generator=rng, device=device) - 1

    def from_uniform(self, u: Float[Tensor, "B K"]) -> Latents:
        return 2 * u - 1

    def log_prob(self, latent: Latents) -> Energies:
        """−K log 2 in the box [−1, 1]ᴷ, −∞ outside."""
        inside = (latent.abs() <= 1).all(1)
        return latent.new_zeros(len(latent)).masked_fill(~inside, -math.inf) - self.latent_dim * math.log(2)


class NormalPrior(Prior):
    """z ~ N(0, I)."""

    def sample(
        self, n: int, rng: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Latents:
        return torch.randn(n, self.latent_dim, generator=rng, device=device)

    def from_uniform(self, u: Float[Tensor, "B K"]) -> Latents:
        return torch.special.ndtri(u.clamp(1e-7, 1 - 1e-7))

    def log_prob(self, latent: Latents) -> Energies:
        return -0.5 * (latent.square().sum(1) + self.latent_dim * math.log(2 * math.pi))

    def tilt(self, latent: Latents) -> Energies:
        return latent.new_zeros(len(latent))

    def interpolate(self, first: Latents, last: Latents, t: Float[Tensor, "T"]) -> Float[Tensor, "B T L"]:
        """Along the arc between both, which keeps the length typical; a line would come too near to 0.

        Reference: Sampling Generative Networks (White, 2016), https://arxiv.org/abs/1609.04468.
        """
        t = t[:, None]
        cosine = nn.functional.cosine_similarity(first, last, dim=1).clamp(-0.999, 0.999)
        angle = cosine.acos()[:, None, None]
        path = ((1 - t) * angle).sin() * first[:, None] + (t * angle).sin() * last[:, None]
        return path / angle.sin()


@lru_cache(maxsize=4)
def _sobol_net(n: int, dimension: int) -> Float[Tensor, "N K"]:
    return torch.quasirandom.SobolEngine(dimension, scramble=True, seed=0).draw(n)
