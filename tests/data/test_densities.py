"""Laws of the exact densities: they integrate to 1, agree with their samplers, and count their modes."""

import math

import pytest
import torch

from energy_gan.data.checkerboard import Checkerboard
from energy_gan.data.four_spin import FourSpin
from energy_gan.data.gaussians import EightGaussians, GaussianMixture, TwentyFiveGaussians
from energy_gan.data.rings import Rings
from energy_gan.data.swiss_roll import SwissRoll
from energy_gan.data.two_spiral import TwoSpiral
from energy_gan.numerics.quadrature import Grid
from energy_gan.randomness import random_generator
from energy_gan.run.build import build
from energy_gan.run.compose import CONF, compose, options

SHIPPED = [name for name in options("data") if "data.sampled." in (CONF / f"data/{name}.yaml").read_text()]
IN_THE_PLANE = {"mixture": ["data.density.dimension=2"]}
HEAVY = ("heavy_tails",)
ANY_SCALE = {"uneven_scales": 0.35, "heavy_tails": 0.35, "uneven_weights": 0.2, "mixture": 5}  # beyond 1
ANY_SCALE |= {"anatomy_gaussians": 0.3, "anatomy_rings": 1.0, "two_moons": 0.55}
NARROW = {
    "four_spin": FourSpin(radial_std=0.2, tangential_std=0.05),
    "two_spiral": TwoSpiral(jitter=0.06, std=0.035),
    "eight_gaussians": EightGaussians(std=0.0141),  # MEG's
    "twenty_five_gaussians": TwentyFiveGaussians(std=0.0177),  # MEG's
    "swiss_roll": SwissRoll(radius=1.885, std=0.0333),  # MEG's
    "checkerboard": Checkerboard(squares=8, side=0.4375),
    "rings": Rings(std=0.02),
}


@pytest.fixture(scope="module", params=SHIPPED)
def density(request):
    """As the shipped config builds it."""
    overrides = [f"data={request.param}", *IN_THE_PLANE.get(request.param, [])]
    density = build(compose(overrides)["data"], "data").density
    density.name = request.param
    return density


def log_masses(density):
    grid = Grid.covering(density.low, density.high, density.smallest_std, reach=1.5)
    return grid, grid.log_weights(density.log_prob)


def assert_one(density):
    grid, log_weights = log_masses(density)
    assert log_weights.exp().sum().item() == pytest.approx(1, abs=2e-4)
    assert log_weights[~grid.inner].exp().sum() < 1e-5, "the box holds all but 1e-5"


def test_the_density_integrates_to_one(density):
    assert_one(density)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "two_spiral" else ()) for n in NARROW]
)
def test_the_narrow_density_integrates_to_one(name):
    assert_one(NARROW[name])


def test_the_sampler_draws_from_the_density(density):
    """Shares of 100,000 samples in blocks of the plane against the integrated masses: a χ² test."""
    grid, log_weights = log_masses(density)
    n, masses = 100_000, grid.block_sums(log_weights.exp())
    cells = grid.locate(density.sample(n, random_generator(1)))
    counts = grid.block_sums(cells.bincount(minlength=len(grid)).double())
    many = masses * n > 10
    chi2 = ((counts - masses * n)[many].square() / (masses * n)[many]).sum().item()
    freedom = int(many.sum())
    assert abs(chi2 - freedom) < 5 * math.sqrt(2 * freedom)
    assert counts[~many].sum() / n < masses[~many].sum() + 0.005


def test_the_entropy_of_samples_is_that_of_the_grid(density):
    grid, log_weights = log_masses(density)
    masses = log_weights.exp()
    entropy = -torch.where(masses > 0, masses * (log_weights - grid.log_areas), 0.0).sum().item()
    log_p = density.log_prob(density.sample(20_000, random_generator(2)))
    error = log_p.std().item() / math.sqrt(len(log_p))
    assert -log_p.mean().item() == pytest.approx(entropy, abs=4 * error + 1e-5)


def test_modes_have_their_shares(density):
    n, n_modes = 200_000, len(density.mode_shares)
    counts = density.modes(density.sample(n, random_generator(3))).bincount(minlength=n_modes)
    assert density.mode_shares.sum().item() == pytest.approx(1)
    error = (density.mode_shares * (1 - density.mode_shares) / n).sqrt()
    assert ((counts / n - density.mode_shares).abs() < 4.5 * error).all()


def test_a_point_far_away_is_unlikely_and_has_a_mode(density):
    x = torch.tensor([[1e3, -2.0], [-1e20, 1e20]])
    assert (density.log_prob(x) < (-30 if density.name in HEAVY else -1e4)).all()
    assert ((density.modes(x) >= 0) & (density.modes(x) < len(density.mode_shares))).all()


def test_the_precision_is_that_of_float64(density):
    x = density.sample(100, random_generator(6))
    assert density.log_prob(x).dtype == torch.float32
    assert torch.equal(density.log_prob(x.double()).float(), density.log_prob(x))


def test_the_seed_fixes_the_points_and_the_scale_is_one(density):
    x = density.sample(20_000, random_generator(4, 0))
    assert torch.equal(x, density.sample(20_000, random_generator(4, 0)))
    assert not torch.equal(x, density.sample(20_000, random_generator(4, 1)))
    assert x.dtype == torch.float32
    assert x.std(0).tolist() == pytest.approx([1, 1], abs=ANY_SCALE.get(density.name, 0.1))


def test_the_defaults_are_wide_enough_for_a_small_grid(density):
    assert len(Grid.covering(density.low, density.high, density.smallest_std, max_cells=500 * 500))


def test_four_spin_sums_over_every_root():
    """Against the same sum by a fine scan of r for sign changes, one arm after the other, in float64."""
    density = FourSpin()
    generator = random_generator(5)
    spread = 6 * torch.rand(50, 2, generator=generator, dtype=torch.float64) - 3
    x = torch.cat([density.sample(50, generator).double(), spread])
    scan = torch.linspace(-4, 6, 200_001, dtype=torch.float64)
    expected = torch.zeros(len(x), dtype=torch.float64)
    most = 0
    for i, (a, b) in enumerate(x / density.scale):
        roots = 0
        for arm in range(density.arms):
            # (r, t) = R(−angle(r)) x, with t free: r solves r = first coordinate of x turned back
            angle = 2 * math.pi * arm / density.arms + density.rate * scan.exp()
            turned = torch.cos(angle) * a - torch.sin(angle) * b, -torch.sin(angle) * a - torch.cos(angle) * b
            residual = turned[0] - scan
            for k in (residual[1:].sign() != residual[:-1].sign()).nonzero()[:, 0].tolist():
                weight = residual[k] / (residual[k] - residual[k + 1])
                r, t = scan[k] + weight * (scan[1] - scan[0]), turned[1][k].lerp(turned[1][k + 1], weight)
                slope = ((residual[k + 1] - residual[k]) / (scan[1] - scan[0])).abs()
                normal = torch.exp(
                    -(((r - 1) / density.radial_std) ** 2 + (t / density.tangential_std) ** 2) / 2
                )
                expected[i] += normal / slope
                roots += 1
        most = max(most, roots)
    expected /= 2 * math.pi * density.radial_std * density.tangential_std * density.arms * density.scale**2
    assert most > density.arms, "somewhere an arm is met more than once"
    torch.testing.assert_close(density.log_prob(x).exp(), expected, rtol=1e-3, atol=1e-7)


def test_a_mixture_is_its_formula_in_any_dimension():
    mixture = GaussianMixture([[0.0, 0.0, 0.0], [2.0, 0.0, 1.0]], [0.5, 1.0], [1.0, 3.0])
    x = torch.randn(20, 3)
    parts = [
        torch.distributions.Normal(torch.tensor(mean), std).log_prob(x).sum(1)
        for mean, std in (([0.0, 0.0, 0.0], 0.5), ([2.0, 0.0, 1.0], 1.0))
    ]
    expected = torch.logsumexp(torch.stack(parts) + torch.tensor([[0.25], [0.75]]).log(), 0)
    torch.testing.assert_close(mixture.log_prob(x), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FourSpin(tangential_std=0.0), "tangential_std must be positive and finite, got 0.0"),
        (lambda: FourSpin(rate=-0.5), "rate must be 0 or more and finite, got -0.5"),
        (lambda: TwoSpiral(std=math.nan), "std must be positive and finite, got nan"),
        (lambda: Checkerboard(squares=3), "squares must be even and at least 2, got 3"),
        (lambda: Rings(radii=[]), "radii must name one ring or more, got none"),
        (
            lambda: GaussianMixture([[0.0]], [1.0, 2.0]),
            "means, stds and weights must be equally many, got 1, 2, 1",
        ),
    ],
)
def test_impossible_values_are_refused_at_construction(make, message):
    with pytest.raises(ValueError, match=message):
        make()
