"""Laws of the grid: it covers the plane around the data once, and its sums are integrals."""

import math

import pytest
import torch

from energy_gan.errors import InputError
from energy_gan.numerics.quadrature import Grid, evaluate

LOW, HIGH = torch.tensor([1.0, -7.0]), torch.tensor([13.0, 1.0])  # neither square nor centred
MEAN, STD = torch.tensor([6.5, -3.2]), torch.tensor([0.9, 0.5])
LOG_Z = math.log(2 * math.pi * 0.9 * 0.5)


def gaussian(x, mean=MEAN, std=STD):
    return ((x - mean) / std).square().sum(1) / 2


@pytest.fixture(scope="module")
def grid():
    return Grid.covering(LOW, HIGH, 0.5)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def test_cells_are_at_most_half_the_smallest_detail_and_the_inner_box_is_theirs(grid):
    cells = grid.sizes[grid.inner]
    assert (cells <= 0.25).all()
    assert cells.prod(1).double().sum().item() == pytest.approx(12 * 8, rel=1e-6)
    assert ((grid.centres[grid.inner] > LOW) & (grid.centres[grid.inner] < HIGH)).all()
    assert math.prod(grid.shape) == grid.inner.sum()


def test_cells_and_ring_cover_the_reach_exactly_once(grid):
    assert grid.log_areas.double().exp().sum().item() == pytest.approx(25 * 12 * 8, rel=1e-6)
    assert torch.allclose(grid.log_areas.exp(), grid.sizes.prod(1))


def test_values_of_the_inner_box_are_a_picture(grid):
    picture = grid.centres[grid.inner].view(*grid.shape, 2)
    assert (picture.diff(dim=0)[..., 0] > 0).all()
    assert (picture.diff(dim=1)[..., 1] > 0).all()


def test_log_normalizer_of_a_gaussian_in_an_off_centre_box(grid):
    assert grid.log_normalizer(gaussian).item() == pytest.approx(LOG_Z, abs=1e-6)


def test_log_masses_sum_to_one_and_do_not_depend_on_the_constant(grid):
    masses = grid.log_masses(lambda x: -gaussian(x))
    assert masses.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert torch.allclose(masses, grid.log_masses(lambda x: 100 - gaussian(x)), atol=1e-4)


def test_border_mass_of_a_wide_gaussian():
    box = Grid.covering(torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 1.0]), 0.1)
    masses = box.log_masses(lambda x: -gaussian(x, torch.zeros(2), torch.ones(2))).exp()
    inside = math.erf(1 / math.sqrt(2)) ** 2
    assert masses[~box.inner].sum().item() == pytest.approx(1 - inside, abs=1e-4)


def test_every_centre_is_located_in_its_own_cell(grid):
    assert torch.equal(grid.locate(grid.centres), torch.arange(len(grid)))


def test_every_point_is_located_in_the_cell_that_holds_it(grid, rng):
    x = (LOW + HIGH) / 2 + (HIGH - LOW) * 2.5 * (2 * torch.rand(20_000, 2, generator=rng) - 1) * 0.999
    cell = grid.locate(x)
    assert (cell >= 0).all()
    assert ((x - grid.centres[cell]).abs() <= grid.sizes[cell] / 2 * 1.0001).all()
    assert torch.equal(grid.inner[cell], ((x >= LOW) & (x < HIGH)).all(1))


def test_points_beyond_the_ring_are_in_no_cell(grid):
    far = torch.tensor([[1e9, 0.0], [7.0, -1e4], [math.nan, 0.0], [0.0, -math.inf], [7.0, math.inf]])
    assert (grid.locate(far) == -1).all()


def test_blocks_gather_the_cells_of_a_square(grid):
    areas = grid.block_sums(grid.log_areas.double().exp())
    assert torch.allclose(areas, areas[0].expand_as(areas), rtol=1e-5)


def test_too_many_cells_are_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"smallest_std of at least 0\.0098") as error:
        Grid.covering(LOW, HIGH, 0.005)
    assert "\n" not in str(error.value)
    Grid.covering(LOW, HIGH, 0.1, max_cells=40_000)


def test_a_long_box_has_cells_as_narrow_as_asked_along_both_sides():
    long = Grid.covering(torch.tensor([0.0, 0.0]), torch.tensor([100.0, 1.0]), 0.5)
    assert (long.sizes[long.inner] <= 0.25).all()
    assert len(long) < 30_000


def test_a_grid_around_points_holds_them_at_any_scale(rng):
    points = torch.randn(5000, 2, generator=rng) * torch.tensor([1e-3, 1e4]) + torch.tensor([5.0, -1e5])
    grid = Grid.around(points)
    assert grid.inner[grid.locate(points)].all()
    mean, std = points.mean(0), points.std(0)
    log_z = grid.log_normalizer(lambda x: gaussian(x, mean, std))
    assert log_z.item() == pytest.approx(math.log(2 * math.pi) + std.log().sum().item(), abs=1e-4)


def test_a_grid_around_points_on_a_line_has_an_area():
    x = torch.linspace(0, 1, 100)
    assert (Grid.around(torch.stack([x, torch.zeros(100)], 1)).log_areas.isfinite()).all()


def test_evaluation_is_in_chunks_in_double_and_without_gradients():
    weight, seen = torch.ones(2, requires_grad=True), []

    def energy(x):
        seen.append(len(x))
        return x @ weight

    values = evaluate(energy, torch.ones(10, 2), chunk=4)
    assert seen == [4, 4, 2]
    assert values.dtype == torch.float64
    assert not values.requires_grad


def test_a_box_without_area_is_refused():
    with pytest.raises(ValueError, match="no area"):
        Grid(LOW, LOW)
