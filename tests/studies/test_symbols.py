"""The study of few labels: its page from one small table, made once, and a folder without tables."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from energy_gan.studies.symbols import OURS, VAE


def test_without_its_table_it_says_which_is_missing(open_door):
    status, _, errors = open_door("study", "symbols", "--sets", "letter", "--out", "page.md")
    assert (status, errors.count("\n")) == (2, 1), errors
    assert "letter.dat does not exist: give the folder of tables/, --root FOLDER" in errors


@pytest.mark.slow
def test_each_rival_has_its_column_and_a_trial_is_made_once(open_door):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600)
    rows = pd.DataFrame(rng.normal(size=(600, 3)) + 6 * np.eye(3)[y]).assign(y=y)
    Path("home/tables").mkdir(parents=True)
    rows.to_csv("home/tables/penbased.dat", header=False, index=False)
    given = ["study", "symbols", "--sets", "penbased", "--seeds", 0, "--root", "home", "--out", "page.md"]
    given += ["--set", "trainer.max_steps=3"]
    status, _, errors = open_door(*given)
    assert status == 0, errors
    result = Path("runs/symbols/penbased/seed_0/result.json")
    found = json.loads(result.read_text())["accuracy"]
    assert list(found)[:2] == [OURS, VAE]
    assert found["all labels"] > 0.9
    assert found["nearest neighbour"] > 0.8
    page = Path("page.md").read_text()
    assert all(f"| {name} |" in page for name in found)
    assert f"| penbased, 10 of each | {found[OURS]:.3f} |" in page
    before = result.stat().st_mtime_ns
    assert open_door(*given)[0] == 0
    assert result.stat().st_mtime_ns == before
