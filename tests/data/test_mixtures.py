"""Laws of the mixtures: their formula in any dimension, their samples' moments and modes, and the way from
a law to a table and back to a run that is measured against it.
"""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUICK
from scipy.stats import chi2, f, multivariate_t, norm, t

from energy_gan.data.gaussians import GaussianMixture, ScatteredGaussians, UnevenScales, UnevenWeights
from energy_gan.data.mixtures import DRAWS, EllipticalMixture, HeavyTails, ThinRidges, ellipse
from energy_gan.model import Model
from energy_gan.numerics.quadrature import Grid
from energy_gan.randomness import random_generator
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.run.law import law
from energy_gan.run.run import Run

DIMENSIONS = [1, 2, 3, 10, 50]


def some_mixture(dimension, freedom, components=3):
    """Full covariances of condition number up to about 100."""
    rng = np.random.default_rng(dimension)
    means = 2 * rng.normal(size=(components, dimension))
    factors = 0.2 * np.eye(dimension) + rng.normal(size=(components, dimension, dimension)) / dimension**0.5
    return EllipticalMixture(means.tolist(), factors.tolist(), [1.0, 2.0, 5.0][:components], freedom)


def expected_log_prob(mixture, x):
    """By SciPy or by torch.distributions, one component after the other."""
    parts = []
    for mean, factor in zip(mixture.means, mixture.factors, strict=True):
        covariance = factor @ factor.T
        if mixture.freedom is None:
            normal = torch.distributions.MultivariateNormal(mean, covariance)
            parts.append(normal.log_prob(x))
        else:
            parts.append(
                torch.as_tensor(multivariate_t(mean, covariance, mixture.freedom).logpdf(x)).view(-1)
            )
    return torch.logsumexp(torch.stack(parts) + mixture.weights.log()[:, None], 0)


@pytest.mark.parametrize("freedom", [None, 3, 7])
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_density_is_its_formula(dimension, freedom):
    mixture = some_mixture(dimension, freedom)
    near, far = mixture.sample(30, random_generator(0)).double(), 100 * torch.ones(1, dimension).double()
    x = torch.cat([near, far])
    torch.testing.assert_close(mixture.log_prob(x), expected_log_prob(mixture, x), rtol=1e-9, atol=1e-9)


def test_many_degrees_of_freedom_are_a_normal():
    x = torch.randn(50, 4, generator=random_generator(0)).double()
    torch.testing.assert_close(
        some_mixture(4, 10**7).log_prob(x), some_mixture(4, None).log_prob(x), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("freedom", [None, 9])
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_samples_have_the_mean_and_the_covariance(dimension, freedom):
    """Each within 6 standard errors, estimated from the samples themselves."""
    mixture = some_mixture(dimension, freedom)
    x = mixture.sample(40_000, random_generator(1)).double()
    mean = mixture.weights @ mixture.means
    spread = 1.0 if freedom is None else freedom / (freedom - 2)
    parts = spread * mixture.factors @ mixture.factors.mT
    parts = parts + (mixture.means - mean)[:, :, None] * (mixture.means - mean)[:, None]
    covariance = torch.einsum("m,mij->ij", mixture.weights, parts)
    centred = x - mean
    products = centred[:, :, None] * centred[:, None] if dimension < 50 else centred.square()
    expected = covariance if dimension < 50 else covariance.diagonal()
    for values, truth in ((x, mean), (products, expected)):
        assert ((values.mean(0) - truth).abs() < 6 * values.std(0) / math.sqrt(len(x))).all()


@pytest.mark.parametrize(("dimension", "freedom"), [(2, 4), (5, 4), (50, 3), (5, None)])
def test_the_distances_of_samples_have_their_law(dimension, freedom):
    """‖L⁻¹(x − μ)‖² is χ²_D for a normal and D times F(D, ν) for Student's t: twenty bins, a χ² test."""
    component = some_mixture(dimension, freedom, components=1)
    n, bins = 50_000, np.linspace(0, 1, 21)[1:-1]
    centred = component.sample(n, random_generator(2)).double() - component.means
    squares = torch.linalg.solve(component.factors[0], centred.T).square().sum(0)
    edges = chi2(dimension).ppf(bins) if freedom is None else dimension * f(dimension, freedom).ppf(bins)
    counts = np.bincount(np.searchsorted(edges, squares.numpy()), minlength=20)
    statistic = ((counts - n / 20) ** 2 / (n / 20)).sum()
    assert statistic < chi2(19).ppf(1 - 1e-5)


@pytest.mark.parametrize("freedom", [None, 3, 4, 30])
@pytest.mark.parametrize("dimension", [1, 2, 50])
def test_the_box_holds_all_but_a_millionth(dimension, freedom):
    mixture = EllipticalMixture([[0.0] * dimension], [torch.eye(dimension).tolist()], None, freedom)
    beyond = (norm if freedom is None else t(freedom)).sf(mixture.high.double().numpy())
    assert 2 * beyond.sum() < 1e-6
    assert torch.equal(mixture.low, -mixture.high)


def test_the_box_of_a_slanted_component_is_that_of_its_marginals():
    """x = z₁ + z₂ has the standard deviation √2."""
    slanted = EllipticalMixture([[0.0, 0.0]], [[[1.0, 1.0], [0.0, 1.0]]])
    round_one = EllipticalMixture([[0.0, 0.0]], [[[1.0, 0.0], [0.0, 1.0]]])
    torch.testing.assert_close(slanted.high / round_one.high, torch.tensor([math.sqrt(2), 1.0]))


def test_components_that_are_apart_have_shares_equal_to_their_weights():
    mixture = GaussianMixture([[0.0, 0.0], [3.0, 0.0], [0.0, 9.0]], [0.1, 0.2, 0.3], [1.0, 2.0, 3.0])
    torch.testing.assert_close(mixture.mode_shares, torch.tensor([1 / 6, 2 / 6, 3 / 6]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("overlapping", [UnevenScales(), ThinRidges(width=0.3), HeavyTails(freedom=3)])
def test_components_that_overlap_have_the_shares_of_their_modes(overlapping):
    n = 300_000
    counts = overlapping.modes(overlapping.sample(n, random_generator(3))).bincount(
        minlength=len(overlapping.means)
    )
    shares = overlapping.mode_shares
    assert shares.sum().item() == pytest.approx(1)
    # of the counts, and of the shares, which are themselves from draws of each component
    error = (shares * (1 - shares) / n + overlapping.weights.max() / 4 / DRAWS).sqrt()
    assert ((counts / n - shares).abs() < 4 * error).all()


def test_an_overlap_is_counted():
    """Two equal means, std 1 and 3: the modes are the inside and the outside of a circle, in closed form."""
    mixture = GaussianMixture([[0.0, 0.0], [0.0, 0.0]], [1.0, 3.0])
    squared_radius = 2 * math.log(9) / (1 - 1 / 9)  # where both are equally likely
    inside = 1 - (math.exp(-squared_radius / 2) + math.exp(-squared_radius / 18)) / 2
    assert mixture.mode_shares[0].item() == pytest.approx(inside, abs=0.01)
    assert abs(inside - 0.5) > 0.02


def test_an_ellipse_is_long_in_its_direction():
    factor = torch.tensor(ellipse(2.0, 0.1, 30.0))
    values, vectors = torch.linalg.eigh(factor @ factor.T)
    torch.testing.assert_close(values.sqrt(), torch.tensor([0.1, 2.0]))
    slope = vectors[1, 1] / vectors[0, 1]
    assert math.degrees(math.atan(slope)) == pytest.approx(30, abs=1e-3)


@pytest.mark.parametrize("dimension", [2, 3, 10, 50])
def test_the_nearest_two_of_the_scattered_are_as_far_as_told(dimension):
    density = ScatteredGaussians(dimension, modes=8, std=0.3, separation=6.0)
    distances = torch.nn.functional.pdist(density.means)
    assert distances.min().item() == pytest.approx(6 * 0.3)
    torch.testing.assert_close(density.means.norm(dim=1), density.means.norm(dim=1)[:1].expand(8))
    torch.testing.assert_close(density.mode_shares, torch.full((8,), 1 / 8), rtol=5e-3, atol=0)
    again = ScatteredGaussians(dimension, modes=8, std=0.3, separation=6.0)
    other = ScatteredGaussians(dimension, modes=8, std=0.3, separation=6.0, seed_of_means=1)
    assert torch.equal(again.means, density.means)
    assert not torch.equal(other.means, density.means)


@pytest.mark.parametrize("dimension", [2, 50])
def test_the_mixture_of_any_dimension_is_data(dimension):
    overrides = ["data=mixture", f"data.density.dimension={dimension}", "data.n_points=300"]
    data = build(compose(overrides)["data"], "data")
    data.setup()
    assert data.shape == (dimension,)
    assert data.points.shape == (300, dimension)
    assert data.held_out.shape == (10_000, dimension)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EllipticalMixture([], []), "means must be one or more rows"),
        (lambda: EllipticalMixture([[0.0], [1.0]], [[[1.0]]]), "must be equally many, got 2, 1, 2"),
        (lambda: EllipticalMixture([[0.0, 0.0]], [[[1.0]]]), "factors must be 2 rows of 2 finite numbers"),
        (
            lambda: EllipticalMixture([[0.0, 0.0]], [[[1.0, 1.0], [1.0, 1.0]]]),
            "factors must be of full rank, got axes as short as",
        ),
        (lambda: EllipticalMixture([[math.inf]], [[[1.0]]]), "means must be finite"),
        (lambda: EllipticalMixture([[0.0]], [[[1.0]]], [0.0]), r"weights\[0\] must be positive"),
        (lambda: HeavyTails(freedom=2), "freedom must be at least 3, or None for normal tails, got 2"),
        (lambda: ThinRidges(width=0.0), "width must be positive and finite, got 0.0"),
        (lambda: GaussianMixture([[0.0]], [-1.0]), r"stds\[0\] must be positive and finite, got -1.0"),
        (lambda: ScatteredGaussians(1), "dimension and modes must be at least 2, got 1 and 8"),
    ],
)
def test_impossible_values_are_refused_at_construction(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- from a law to a table and back


def test_a_table_is_drawn_from_a_data_set(open_door):
    status, output, _ = open_door(
        "draw", "data=thin_ridges", "data.density.width=0.2", "--n", 500, "--out", "x.npy", "--seed", 3
    )
    assert (status, output) == (0, "500 points of data=thin_ridges data.density.width=0.2 -> x.npy\n")
    expected = ThinRidges(width=0.2).sample(500, random_generator(3)).numpy()
    np.testing.assert_array_equal(np.load("x.npy"), expected)
    assert open_door("draw", "data=mixture", "--n", 2, "--out", "x.csv")[0] == 0
    assert Path("x.csv").read_text().startswith("x0,x1,x2,x3,x4,x5,x6,x7,x8,x9\n")


def test_a_class_is_a_law_too():
    assert isinstance(law("mixtures.HeavyTails"), HeavyTails)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=ridges"], "data=ridges is unknown: choose one of .*thin_ridges"),
        (["thin_ridges"], "'thin_ridges' names no data set: give data=NAME, as data=thin_ridges"),
        (["data=rings", "data.density.width=1"], "data.density.width is not a key of the config"),
        (["data=rings", "data.density.std=-1.0"], "data.density: std must be positive and finite, got -1"),
        (["data=points", "data.path=table.npy"], "has no known density to draw from"),
        (["data=rings", "--n", "0"], "--n must be at least 1, got 0"),
        (["data=rings", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["data=rings", "--out", "table.npy"], "table.npy exists already and nothing is overwritten"),
        (["data=rings", "--out", "x.txt"], "OUT=x.txt has an unknown ending"),
    ],
)
def test_a_mistake_is_one_line(open_door, arguments, message):
    np.save("table.npy", np.eye(3))
    status, _, errors = open_door("draw", *arguments)
    assert status == 2
    assert re.search(message, errors)
    assert errors.count("\n") == 1


def test_a_run_on_a_table_is_measured_against_its_law():
    """With and without the law: the same first weights, but only one knows the exact KL."""
    np.save("x.npy", UnevenWeights().sample(400, random_generator(0)).numpy())
    law = ["+data.density._target_=energy_gan.data.gaussians.UnevenWeights", "+data.density.std=0.15"]
    numbers = {}
    for name, extra in (("told", law), ("untold", [])):
        given = ["data=points", "data.path=x.npy", "method=kim_bengio", f"run_dir={name}", *QUICK, *extra]
        run = Run(compose(given))
        model = Model(run.method.eval())
        numbers[name] = run.callbacks["report"].measure(model, full=False)
    told, untold = numbers["told"], numbers["untold"]
    assert {"kl_data_energy", "hdr99", "smallest_mode"} <= told.keys() - untold.keys()
    assert told["held_out_log_likelihood"] == pytest.approx(untold["held_out_log_likelihood"], abs=1e-2)

    grid = Grid.covering(UnevenWeights().low, UnevenWeights().high, 0.15)
    log_p = grid.log_masses(UnevenWeights().log_prob)
    kl = (log_p.exp() * (log_p - grid.log_masses(lambda x: -model.energy(x)))).sum().item()
    assert told["kl_data_energy"] == pytest.approx(kl, rel=1e-4)
