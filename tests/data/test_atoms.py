"""Whole numbers with values that stand out by their frequency: found, and as wide as their share."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from energy_gan.data.columns import Column
from energy_gan.data.schema import Schema
from energy_gan.data.units import Units, fitted
from energy_gan.errors import InputError


@pytest.fixture(scope="module")
def marks():
    """From 0 to 100, a fifth of them 0 and a tenth 100."""
    rng = np.random.default_rng(0)
    x = np.rint(rng.normal(55, 20, (4_000, 1))).clip(1, 99)
    x[:800], x[800:1_200] = 0, 100
    return x, fitted(Schema.of(x), x)


def test_atoms_and_the_bounds_that_they_tell_are_found(marks):
    _, schema = marks
    (column,) = schema.columns
    assert (column.atoms, column.low, column.high) == ((0, 100), 0, 100)
    assert column.atom_shares == pytest.approx((0.2, 0.1), abs=1e-3)
    assert Schema.from_config(schema.to_config()) == schema
    smooth = np.random.default_rng(0).poisson(30, (4_000, 1)).astype(float)
    assert fitted(Schema.of(smooth), smooth).columns[0].atoms == ()
    for damage in ({"atom_shares": (0.2,)}, {"atom_shares": (0.6, 0.5)}, {"atoms": (100.0, 0.0)}):
        with pytest.raises(InputError, match="damaged"):
            Schema.from_config(Schema((replace(column, **damage),)).to_config())


def test_their_numbers_are_normal_and_come_back(marks):
    x, schema = marks
    units = Units(schema)
    u = units.random(torch.from_numpy(x), torch.Generator().manual_seed(0)).u
    assert torch.equal(units.own(u), torch.from_numpy(x))
    assert float(u.mean()) == pytest.approx(0, abs=0.05)
    assert float(u.std()) == pytest.approx(1, abs=0.05)
    assert float((u < -0.8416).double().mean()) == pytest.approx(0.2, abs=0.01), "Φ⁻¹(0.2): all of the zeros"
    made = units.own(torch.randn(100_000, 1, generator=torch.Generator().manual_seed(1)))
    assert float((made == 0).double().mean()) == pytest.approx(0.2, abs=0.006)
    assert float((made == 100).double().mean()) == pytest.approx(0.1, abs=0.006)


@pytest.mark.parametrize("x", [0.0, 40.0, 100.0])
def test_the_jacobian_is_that_of_the_noise(marks, x):
    units, step = Units(marks[1]), 1e-6
    ξ = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)[:, None]
    rows = torch.full((9, 1), x, dtype=torch.float64)
    slope = (units.networks(rows, ξ + step).u - units.networks(rows, ξ - step).u)[:, 0] / (2 * step)
    torch.testing.assert_close(units.networks(rows, ξ).log_volume, -slope.log(), rtol=1e-5, atol=1e-5)


def test_probabilities_sum_to_one_where_u_is_normal(marks):
    x = torch.arange(101.0)[:, None]
    views = Units(marks[1]).views(x)
    logs = [-(v.u.square().sum(1) + math.log(2 * math.pi)) / 2 - v.log_volume for v in views]
    probabilities = torch.stack(logs).exp().mean(0)
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-3)
    assert float(probabilities[0]) == pytest.approx(0.2, abs=2e-3)


def test_far_numbers_stay_finite():
    column = Column("a", "integer", whole=True, atoms=(7.0,), atom_shares=(0.5,), shift=7.0, scale=2.0)
    x = torch.tensor([[-1e6], [-200.0], [7.0], [200.0], [1e6]], dtype=torch.float64)
    seen = Units(Schema((column,))).networks(x)
    assert seen.u.isfinite().all()
    assert (seen.u.diff(dim=0) > 0).all()
    assert torch.equal(Units(Schema((column,))).own(seen.u), x)
