"""The door that finds anomalies: what was planted is found, and what a mistake costs."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

QUICK = ["trainer.max_steps=80", "data.batch_size=128", "callbacks.progress.refresh_rate=0"]
SMALL = ["method.energy.components=[1,2]", "method.energy.folds=1"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Rows of a Gaussian, and new ones of which 12 lie far off."""
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    normal = rng.normal([10, -3], [5, 0.1], (2000, 2))
    new = rng.normal([10, -3], [5, 0.1], (300, 2))
    planted = rng.choice(300, 12, replace=False)
    new[planted] += np.array([5, 0.1]) * 7 * rng.choice([-1, 1], (12, 2))
    paths = folder / "normal.csv", folder / "new.csv"
    pd.DataFrame(normal, columns=["a", "b"]).to_csv(paths[0], index=False)
    pd.DataFrame(new[:, ::-1], columns=["b", "a"]).to_csv(paths[1], index=False)  # in another order
    return *paths, planted


def test_detect_finds_the_planted_rows_and_few_others(open_door, tables):
    normal, new, planted = tables
    awkward = Path(shutil.copy(normal, "Ann's rows, n=2000.csv"))
    arguments = ["--train", awkward, "--score", new, "--rate", 0.02]
    status, output, errors = open_door("detect", *arguments, *QUICK, *SMALL)
    assert status == 0, errors
    scores = pd.read_csv("scores.csv")
    assert list(scores.columns) == ["row", "energy", "anomalous"]
    assert scores["row"].tolist() == list(range(1, 301))
    flagged = set(scores.index[scores["anomalous"] == "yes"])
    assert set(planted) <= flagged
    assert len(flagged) <= 12 + 20, "0.02 of 288 are 6"
    assert f"{len(flagged)} of 300 rows" in output
    assert scores["energy"][planted].min() > scores["energy"].drop(planted).median()
    assert {p.name for p in Path().iterdir()} == {"scores.csv", awkward.name}, "no run is kept"

    status, _, errors = open_door("detect", *arguments, *QUICK)
    assert (status, errors.count("\n")) == (2, 1)
    assert "exists already" in errors


def test_one_cell_of_a_million_hides_nothing_and_is_named(open_door, tables):
    """The planted rows are found as without it, and E of a row far off is still high."""
    normal, new, planted = tables
    torn, far = pd.read_csv(normal), pd.read_csv(new)
    torn.loc[17, "a"] = 1e6
    torn.to_csv("torn.csv", index=False)
    far.loc[len(far)] = {"a": 10 + 50 * 5, "b": -3}
    far.to_csv("far.csv", index=False)
    of = ["--train", "torn.csv", "--score", "far.csv", "--rate", 0.02]
    status, output, errors = open_door("detect", *of, *QUICK, *SMALL)
    assert status == 0, errors
    assert "1 of 2000 cells of column 'a' stand out, the farthest 1000000 in row 18" in output
    scores = pd.read_csv("scores.csv")
    flagged = set(scores.index[scores["anomalous"] == "yes"])
    assert {*planted, 300} <= flagged
    assert len(flagged) <= 13 + 20
    assert scores["energy"][300] - scores["energy"].drop(planted).median() > 50


def test_a_row_with_an_unknown_level_is_the_surest_anomaly(open_door, tables):
    """So is one beyond a bound; only where all rows are so, it is a mistake."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.normal(size=300), "city": rng.choice(["Bern", "Oslo"], 300)})
    frame.to_csv("normal.csv", index=False)
    new = frame[:20].copy()
    new.loc[[4, 7], "city"] = "Paris"
    new.to_csv("new.csv", index=False)
    of = ["--train", "normal.csv", "--rate", 0.1, *QUICK, *SMALL]
    status, output, errors = open_door("detect", *of, "--score", "new.csv")
    assert status == 0, errors
    said = "2 of these hold what no normal row can, the first in row 5, column 'city', expected one of the 2"
    assert said in output
    scores = pd.read_csv("scores.csv")
    assert np.isinf(scores["energy"]).to_numpy().nonzero()[0].tolist() == [4, 7]
    assert (scores["anomalous"][[4, 7]] == "yes").all()
    new.assign(city="Paris").to_csv("all.csv", index=False)
    status, _, errors = open_door("detect", *of, "--score", "all.csv", "--out", "other.csv")
    assert (status, errors.count("\n")) == (2, 1)
    assert "row 1, column 'city' holds 'Paris', expected one of the 2 levels Bern, Oslo" in errors


def test_detect_keeps_a_run_and_takes_one(open_door, tables):
    normal, new, _ = tables
    of = ["--score", new, "--rate", 0.05]
    few = ["callbacks.report=null", "logger.wandb=null"]
    chosen = ["run_dir=kept", "method=convergent", "seed=3", "trainer.max_steps=40"]
    status, _, errors = open_door("detect", "--train", normal, *of, *QUICK, *few, *chosen)
    assert status == 0, errors
    status, _, errors = open_door("detect", "--run", "kept", *of, "--out", "again.parquet")
    assert status == 0, errors
    a, b = pd.read_csv("scores.csv"), pd.read_parquet("again.parquet")
    np.testing.assert_allclose(a["energy"], b["energy"], rtol=1e-5)
    assert a["anomalous"].tolist() == b["anomalous"].tolist(), "the same rows are held out again"


def test_of_several_processes_the_first_scores_and_writes(open_door, tables, monkeypatch):
    from lightning import Trainer

    monkeypatch.setattr(Trainer, "is_global_zero", False)
    quick = [*QUICK[1:], *SMALL, "trainer.max_steps=2"]
    status, output, errors = open_door("detect", "--train", tables[0], "--score", tables[1], *quick)
    assert status == 0, errors
    assert "are anomalous" not in output
    assert not Path("scores.csv").exists()


def test_mistakes_at_detect_are_one_line(open_door, tables):
    normal, new, _ = tables
    pd.DataFrame({"a": [1.0], "c": [2.0]}).to_csv("other.csv", index=False)
    pd.DataFrame({"a": [1.0], "b": ["tcp"]}).to_csv("text.csv", index=False)
    pd.DataFrame({"a": np.arange(500.0), "b": 1.0}).to_csv("constant.csv", index=False)
    Path("images").mkdir()
    train, score = ["--train", normal], ["--score", new]
    for arguments, said in (
        ([*train, *score, "--rate", "0"], "between 0 and 1"),
        ([*train, *score, "--rate", "1.5"], "between 0 and 1"),
        ([*train, *score, "--rate", "nan"], "between 0 and 1"),
        ([*train, *score, "--rate", "0.001"], "at least 999 held-out normal rows, there are 200"),
        ([*train, *score, "--rate", "0.004"], "give data.held_out=0.13, "),
        ([*train, "--score", "nothing.csv"], "nothing.csv does not exist"),
        (["--train", "nothing.csv", *score], "nothing.csv does not exist"),
        (
            [*train, "--score", "other.csv"],
            "other.csv has no column 'b' but a, c: the columns trained on are a, b",
        ),
        ([*train, "--score", "text.csv"], "row 1, column 'b' holds 'tcp', expected a finite number"),
        (["--train", "constant.csv", *score], "'b' is 1 in all 450 rows to train on"),
        ([*train, "--score", "images"], "is of rows and images is a folder"),
        ([*train, *score, "--out", "scores.npy"], "unknown ending"),
        ([*train, *score, "data=four_spin"], "cannot be given here"),
        ([*train, *score, "trainer.max_stps=5"], "not a key of the config"),
        ([*train, *score, "method=magic"], "method=magic is unknown"),
        ([*train, *score, "--run", "runs/x"], "not allowed with"),
        (score, "--train --run is required"),
        (["--run", "nowhere", *score], "nowhere"),
        (["--run", "nowhere", *score, "seed=3"], "RUN=nowhere does not exist"),
    ):
        status, _, errors = open_door("detect", *arguments)
        assert (status, errors.count("\n")) == (2, 1), (arguments, errors)
        assert said in errors
    assert not Path("scores.csv").exists()
