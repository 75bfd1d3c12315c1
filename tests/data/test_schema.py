"""Columns of all kinds: found, encoded, given a density, and returned as what they were."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from energy_gan.data.columns import Column
from energy_gan.data.missing import imputed
from energy_gan.data.schema import Schema
from energy_gan.data.table import ArrayPoints
from energy_gan.data.units import NARROW, Units, fitted
from energy_gan.errors import InputError
from energy_gan.randomness import random_generator

N = 1_000


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": rng.normal(size=N),
            "income": rng.lognormal(0, 1, N).astype(np.float32),
            "share": rng.beta(0.5, 0.5, N),
            "count": rng.poisson(20, N),
            "stamp": (1.6e9 + 30 * rng.normal(size=N)).astype(int),
            "rooms": rng.integers(1, 4, N),
            "city": rng.choice(["Bern", "Oslo", "Rome"], N, p=[0.1, 0.3, 0.6]),
            "flag": rng.random(N) < 0.3,
            "day": pd.date_range("2020-01-01", periods=N).to_numpy()[rng.permutation(N)],
        }
    )


def test_kinds_are_detected(frame):
    columns = {column.name: column for column in Schema.of(frame).columns}
    kinds = {name: column.kind for name, column in columns.items()}
    assert kinds == {
        **dict.fromkeys(["x", "income", "share"], "continuous"),
        **dict.fromkeys(["count", "stamp"], "integer"),
        **dict.fromkeys(["rooms", "city", "flag"], "categorical"),
        "day": "date",
    }
    assert [(c.low, c.high) for c in columns.values()][:5] == [
        (None, None), (0, None), (0, 1), (0, None), (None, None)
    ]  # fmt: skip
    assert columns["city"].levels == ("Bern", "Oslo", "Rome")
    assert columns["day"].unit == "D"


def test_what_is_encoded_is_decoded_in_its_own_type(frame):
    schema = Schema.of(frame)
    x = schema.encode(frame)
    assert x.dtype == np.float64
    pd.testing.assert_frame_equal(schema.decode(x).to_pandas(), frame, check_dtype=False)
    types = schema.decode(x).schema.types
    assert list(map(str, types[:6])) == ["double", "float", "double", "int64", "int64", "int64"]
    turned = frame[frame.columns[::-1]]
    np.testing.assert_array_equal(schema.encode(turned), x, "columns are taken by their names")
    np.testing.assert_array_equal(schema.encode(x), x, "an array holds the numbers already")
    assert Schema.from_config(schema.to_config()) == schema


def test_the_way_to_the_networks_and_back_changes_no_cell(frame):
    schema = Schema.of(frame)
    x = schema.encode(frame)
    units = Units(fitted(schema, x))
    seen = units.random(torch.from_numpy(x), torch.Generator().manual_seed(0))
    assert seen.u.abs().max() < 12
    std, mean = torch.std_mean(seen.u, 0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=0.15, rtol=0)
    torch.testing.assert_close(std, torch.ones_like(std), atol=0.15, rtol=0)
    torch.testing.assert_close(units.own(seen.u), torch.from_numpy(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "column",
    [
        Column("a", "continuous", shift=3.0, scale=0.2),
        Column("a", "continuous", low=1.0, shift=-1.0, scale=2.0),
        Column("a", "continuous", high=1.0),
        Column("a", "continuous", low=-1.0, high=2.0, scale=0.5),
        Column("a", "continuous", scale=0.1, tails=True),
    ],
)
def test_the_jacobian_is_that_of_the_map(column):
    """log |dx/du| against finite differences."""
    units = Units(Schema((column,)))
    reach = 12 if column.tails else 5
    u = torch.linspace(-reach, reach, 38, dtype=torch.float64)[:, None]
    step = 1e-6
    slope = (units.own(u + step) - units.own(u - step)) / (2 * step)
    seen = units.networks(units.own(u))
    torch.testing.assert_close(seen.u, u, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(seen.log_volume, slope[:, 0].log(), rtol=1e-5, atol=1e-5)


def log_normals(views):
    """log φ(u) / q(u | x) of each view."""
    terms = [-(v.u.square().sum(1) + math.log(2 * math.pi)) / 2 - v.log_volume for v in views]
    return torch.stack(terms)


def test_a_level_s_probability_is_its_share_where_u_is_normal():
    """P(k) = E_ξ[φ(u) / q(u | k)] = s_k, over places in the level's share that are spread evenly."""
    units = Units(Schema((Column("a", "categorical", levels=("p", "q", "r"), shares=(0.2, 0.7, 0.1)),)))
    x, places = torch.tensor([[0.0], [1.0], [2.0]]), torch.linspace(0, 1, 401, dtype=torch.float64)
    noise, ends = ((y.logit() / NARROW).sigmoid() for y in ((places[1:] + places[:-1]) / 2, places))
    logs = log_normals(units.networks(x, ξ[None, None]) for ξ in noise)
    probabilities = (logs.exp() * ends.diff()[:, None]).sum(0)
    torch.testing.assert_close(probabilities, torch.tensor([0.2, 0.7, 0.1]).double(), rtol=0.01, atol=0)
    assert (units.random(x.repeat(1_000, 1), torch.Generator().manual_seed(0)).u.abs() < 4).all()


def test_the_probabilities_of_whole_numbers_sum_to_one():
    counts = Units(Schema((Column("a", "integer", whole=True, low=0.0, shift=1.0, scale=0.5),)))
    every = torch.arange(500.0)[:, None]
    assert float(log_normals(counts.views(every)).exp().mean(0).sum()) == pytest.approx(1, abs=0.01)


def test_samples_keep_to_what_a_column_can_have(frame):
    schema = Schema.of(frame)
    schema = fitted(schema, schema.encode(frame))
    wild = 50 * torch.randn(2_000, len(schema.columns), generator=torch.Generator().manual_seed(0))
    x = Units(schema).own(wild).numpy()
    assert schema.allows(x).all()
    schema.check(x)


@pytest.mark.parametrize("share", [1, 10])
def test_a_few_cells_do_not_set_the_scale_and_are_named(share):
    x = np.random.default_rng(0).normal(size=(2_000, 3))
    rows = np.arange(0, 2_000, 1_000 // share // 2)[: 2 * share - 1]
    x[rows, 1] = 1e6
    data = ArrayPoints(x)
    data.setup()
    shift, scale = ([getattr(c, name) for c in data.schema.columns] for name in ("shift", "scale"))
    np.testing.assert_allclose(shift, 0, atol=0.1)
    np.testing.assert_allclose(scale, 1, atol=0.1)
    assert data.standardise(torch.from_numpy(x)).abs().max() < 25
    (note,) = data.notes[1:]
    assert f"{len(rows)} of 2000 cells of column 'x1' stand out" in note
    assert f"in row {rows[0] + 1}" in note


def test_a_far_cell_that_is_held_out_is_named_too():
    x = np.random.default_rng(0).normal(size=(200, 2))
    order = torch.randperm(200, generator=random_generator(0, 0))
    x[order[3], 0] = 1e6
    data = ArrayPoints(x)
    data.setup()
    assert data.held_out.abs().max() == 1e6
    assert f"1000000 in row {order[3] + 1}" in data.notes[1]


@pytest.mark.parametrize(
    ("offset", "spread"), [(1.6e9, 30), (1e6, 0.1), (1e12, 30), (0, 1e-30), (0, 1e30), (-1e12, 1e3)]
)
def test_offsets_and_scales_lose_nothing(offset, spread):
    z = np.random.default_rng(0).normal(size=(1_000, 2))
    plain, moved = ArrayPoints(z), ArrayPoints(np.c_[offset + spread * z[:, 0], z[:, 1]])
    for data in (plain, moved):
        data.setup()
    u = moved.standardise(moved.points)
    torch.testing.assert_close(u, plain.standardise(plain.points), rtol=1e-4, atol=1e-4)
    assert len(moved.units.own(u)[:, 0].unique()) == len(u)
    difference = moved.log_volume(moved.held_out) - plain.log_volume(plain.held_out)
    assert difference == pytest.approx(math.log(spread), abs=1e-4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"]), "columns 1 and 2 are both named 'a'"),
        (pd.DataFrame({"a": ["u", 1.0]}), "column a"),
        (pd.DataFrame({"id": [f"n{i}" for i in range(300)]}), "'id' has 300 different values"),
        (np.ones((3, 2)) * 1j, "complex numbers: give real ones"),
        (np.ones(3), r"shape \(3,\)"),
        (np.random.default_rng(0).normal(size=(2, 2)), "has 2 rows: give 3 or more"),
        (np.c_[np.arange(20.0), np.full(20, 1e-39)], "'x1' is 1e-39 in all 18 rows"),
    ],
)
def test_what_is_no_table_is_one_line(table, message):
    with pytest.raises(InputError, match=message) as error:
        ArrayPoints(table).setup()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"city": "Paris"},
            "row 1, column 'city' holds 'Paris', expected one of the 3 levels Bern, Oslo, Rome",
        ),
        ({"income": -1.0}, r"row 1, column 'income' holds -1.0, expected a finite number > 0"),
        ({"count": 2.5}, "row 1, column 'count' holds 2.5, expected a whole number"),
        ({"x": "seven"}, "row 1, column 'x' holds 'seven', expected a finite number"),
        ({"y": 1}, "has a column 'y', leave it out"),
    ],
)
def test_a_cell_that_does_not_fit_is_named(frame, change, message):
    with pytest.raises(InputError, match=message):
        Schema.of(frame).encode(frame[:5].assign(**change))


def test_what_is_declared_stands(frame):
    given = {"count": "continuous", "x": {"low": -10, "high": 10}, "rooms": "integer"}
    columns = {c.name: c for c in Schema.of(frame, given).columns}
    assert [columns[name].kind for name in given] == ["continuous", "continuous", "integer"]
    assert (columns["x"].low, columns["x"].high) == (-10, 10)
    assert all(
        c.kind == "continuous" for c in Schema.of(frame[["x", "count", "rooms"]], "continuous").columns
    )
    for bad in ({"z": "integer"}, {"x": "number"}, {"x": {"least": 0}}, {"x": "integer"}, {"x": {"low": 0}}):
        with pytest.raises(InputError):
            Schema.of(frame, bad)


def test_missing_cells_are_refused_dropped_or_imputed(frame):
    torn = frame.copy()
    torn.loc[::10, "x"] = np.nan
    torn.loc[5::10, "city"] = None
    with pytest.raises(InputError, match=r"200 of 1000 rows .*row 1, column 'x' \(cells: x 100, city 100\)"):
        ArrayPoints(torn).setup()
    for missing, rows in (("drop", 800), ("impute", 1_000)):
        data = ArrayPoints(torn, missing=missing)
        data.setup()
        assert len(data.points) + len(data.held_out) == rows
        assert data.points.isfinite().all()
        assert data.held_out.isfinite().all()
        data.schema.check(data.points.numpy())


def test_imputed_cells_have_the_law_that_they_have_given_the_others():
    """y = x + noise: filled cells of y keep the slope and the spread."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, 1))
    table = np.c_[x, x + 0.5 * rng.normal(size=x.shape)]
    torn = table.copy()
    torn[:1_000, 1] = np.nan
    filled = imputed(Schema.of(table), torn, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(filled[1_000:], table[1_000:])
    residual = filled[:1_000, 1] - filled[:1_000, 0]
    assert abs(residual.mean()) < 0.06
    assert residual.std() == pytest.approx(0.5, rel=0.1)
