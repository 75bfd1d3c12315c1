"""A table of all kinds of columns through the doors: trained, sampled, scored, some columns given."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import QUICK

import energy_gan
from energy_gan.run.compose import compose
from energy_gan.run.run import Run


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Its path, and a short run on it."""
    home, rng, n = tmp_path_factory.mktemp("mixed"), np.random.default_rng(0), 600
    city = rng.choice(["Bern", "Oslo"], n)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "city": city,
            "visits": rng.poisson(np.where(city == "Bern", 2, 30)),
            "income": rng.lognormal(10, 1, n),
            "day": pd.date_range("2024-01-01", periods=n).date,
        }
    )
    frame.loc[:20, "age"] = np.nan
    frame.to_csv(home / "mixed.csv", index=False)
    overrides = [
        "data=points",
        "method=aligned",
        f"data.path='{home / 'mixed.csv'}'",
        "data.missing=impute",
        *QUICK,
    ]
    overrides += ["callbacks.report.short=true"]
    run = Run(compose([*overrides, f"run_dir='{home / 'run'}'", "logger={}", "data.columns={age: integer}"]))
    run.create()
    run.fit()
    return home / "mixed.csv", home / "run", run.data.notes


def test_a_mixed_table_is_shown_and_its_samples_are_of_its_kinds(open_door, mixed):
    path, run, notes = mixed
    kinds = "age integer >= 0; city categorical (2 levels); visits integer >= 0; income continuous > 0"
    assert f"{kinds}; day date (D)" in notes[0]
    assert "21 of 600 rows lack a value and are imputed" in notes[1]
    assert open_door("sample", run, "--n", 500, "--out", "samples.csv")[0] == 0
    samples = pd.read_csv("samples.csv", parse_dates=["day"])
    assert set(samples["city"]) == {"Bern", "Oslo"}
    assert samples[["age", "visits"]].dtypes.eq(np.int64).all()
    assert (samples[["age", "visits", "income"]] >= 0).all(axis=None)
    pd.read_csv(path).dropna().to_csv("whole.csv", index=False)
    assert open_door("energy", run, "--input", "whole.csv", "--out", "energies.csv")[0] == 0
    assert np.isfinite(pd.read_csv("energies.csv")["energy"]).all()


def test_columns_can_be_given(open_door, mixed):
    _, run, _ = mixed
    held = ["--given", "city=Oslo", "age=40", "day=2024-05-01"]
    status, _, errors = open_door("sample", run, *held, "--n", 50, "--out", "given.csv")
    assert status == 0, errors
    samples = pd.read_csv("given.csv")
    assert samples[["city", "age", "day"]].drop_duplicates().to_numpy().tolist() == [
        ["Oslo", 40, "2024-05-01"]
    ]
    assert samples["income"].nunique() > 20
    for words, said in (
        (["--given", "town=Oslo"], "no column 'town'"),
        (["--given", "city=Rome"], "city=Rome is not one of the 2 levels Bern, Oslo"),
        (["--given", "city"], "names no column and value"),
        (["--given", "age=old"], "age=old is not a whole number"),
        (["--given", "age=-1"], "age=-1.0 is not a whole number ≥ 0"),
        (["--given", "age=40", "--refine", "5"], "chains of its own"),
    ):
        status, _, errors = open_door("sample", run, *words, "--out", "bad.csv")
        assert (status, errors.count("\n")) == (2, 1), errors
        assert said in errors
    assert not Path("bad.csv").exists()


def test_a_conditional_density_sums_to_one(mixed):
    """Σ_k p(k | the others) = 1 over the levels, for an energy of whatever weights.

    One that has hardly learned has mass near the ends of the levels' shares, where 16 values of noise are
    seldom.
    """
    path, run, _ = mixed
    model = energy_gan.load(run)
    row = pd.read_csv(path, parse_dates=["day"]).dropna()[:1].astype({"age": int})
    rows = pd.concat([row.assign(city=city) for city in ("Bern", "Oslo")])
    given = [name for name in rows if name != "city"]
    log_probs = model.log_prob_given(rows, given)
    assert float(log_probs.exp().sum()) == pytest.approx(1, abs=0.2)
