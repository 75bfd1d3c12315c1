"""Points on concentric circles, blurred: the density in closed form, with a Bessel function."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.data.density import Density
from energy_gan.data.exact import in_float64, require_positive

REACH = 5.0  # standard deviations from the outer ring to the box


class Rings(Density):
    """A uniform point of one of M circles, drawn alike, plus Gaussian noise.

    With ρ = |x|,

        p(x) = 1/M Σ_m 1/(2πσ²) exp(−(ρ² + R_m²) / 2σ²) I₀(ρ R_m / σ²),

    I₀ the modified Bessel function, from the integral of the noise over the angle (the law of ρ
    is Rice's). A point's mode is the nearest ring. Neighbouring rings ten standard deviations
    apart, as by default, share less than 1e-6 of their points.

    Reference: FFJORD (Grathwohl et al., 2019), https://arxiv.org/abs/1810.01367. Its code draws
    radii 0.75, 1.5, 2.25, 3 and σ = 0.08, which is std=0.053 at the scale of our default radii.
    std=0.02 is a narrow setting.

    Args:
        radii: of the rings, in the data's own units; the default's standard deviation is 0.97.
        std: of the noise in each coordinate, in the data's own units.
    """

    def __init__(self, radii: Sequence[float] = (0.5, 1.0, 1.5, 2.0), std: float = 0.05):
        if not radii:
            raise ValueError("radii must name one ring or more, got none")
        require_positive(std=std, **{f"radii[{m}]": radius for m, radius in enumerate(radii)})
        self.radii, self.std = torch.tensor(radii, dtype=torch.float64), std
        self.high = torch.full((2,), max(radii) + REACH * std)
        self.low = -self.high
        self.smallest_std = std
        self.mode_shares = torch.full((len(radii),), 1 / len(radii))

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        radius = self.radii[torch.randint(len(self.radii), (n,), generator=rng)]
        angle = 2 * math.pi * torch.rand(n, generator=rng, dtype=torch.float64)
        noise = self.std * torch.randn(n, 2, generator=rng, dtype=torch.float64)
        return (torch.stack([radius * angle.cos(), radius * angle.sin()], 1) + noise).float()

    def log_prob(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        return in_float64(self._log_prob, x, len(self.radii)).to(x.dtype)

    def modes(self, x: Float[Tensor, "B 2"]) -> Int[Tensor, "B"]:
        return (x.double().norm(dim=1, keepdim=True) - self.radii).abs().argmin(1)

    def _log_prob(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        rho, variance = x.norm(dim=1, keepdim=True), self.std**2
        bessel = torch.special.i0e(rho * self.radii / variance)  # I₀(y) exp(−y), which cannot overflow
        terms = bessel.log() - (rho - self.radii).square() / (2 * variance)
        return terms.logsumexp(1) - math.log(2 * math.pi * variance * len(self.radii))


class RadialRings(Rings):
    """A uniform point of one of M circles, drawn alike, moved along its radius alone: ρ ~ N(R_m, σ²).

        p(x) = 1/M Σ_m (N(ρ; R_m, σ²) + N(−ρ; R_m, σ²)) / 2πρ,    ρ = |x|

    so a ring is as dense inside as outside where the blurred one thins out.

    Reference: On the Anatomy of MCMC-Based Maximum Likelihood Learning of Energy-Based Models
    (Nijkamp et al., 2020), https://arxiv.org/abs/1903.12370, radii 1 to 4 and σ = 0.15. The law that its
    code draws for comparison has R_m for ρ in the denominator, which its samples do not follow.

    Args:
        radii: of the rings, in the data's own units.
        std: of the radius, in the data's own units.
    """

    def __init__(self, radii: Sequence[float] = (1.0, 2.0, 3.0, 4.0), std: float = 0.15):
        super().__init__(radii, std)

    def sample(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        radius = self.radii[torch.randint(len(self.radii), (n,), generator=rng)]
        radius = radius + self.std * torch.randn(n, generator=rng, dtype=torch.float64)
        angle = 2 * math.pi * torch.rand(n, generator=rng, dtype=torch.float64)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], 1).float()

    def _log_prob(self, x: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        rho, variance = x.norm(dim=1, keepdim=True), self.std**2
        near, far = ((rho - sign * self.radii).square() / (-2 * variance) for sign in (1, -1))
        constant = math.log(len(self.radii)) + 0.5 * math.log(2 * math.pi * variance)
        log_radial = torch.logaddexp(near, far).logsumexp(1) - constant
        return log_radial - (2 * math.pi * rho[:, 0]).clamp(min=1e-300).log()
