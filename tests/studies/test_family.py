"""The page of the whole family: who is on it, what it says of an energy, a trial that was killed."""

import json
from pathlib import Path

import numpy as np
import pytest

from energy_gan.errors import InputError
from energy_gan.metrics.verdict import standing
from energy_gan.run.compose import compose, options
from energy_gan.studies import family
from energy_gan.studies.family_record import Record, write_record
from energy_gan.studies.family_words import WORDS
from energy_gan.studies.study import Trial

DENSITY = {"drift": 0.1, "failed_tests": 0.0, "held_out_log_likelihood": -1.0}


def test_every_method_has_its_words():
    assert WORDS.keys() == options("method").keys()
    for words, reference in WORDS.values():
        assert 30 <= len(words.split()) <= 50
        assert reference


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"sliced_w2": 0.1}, ""),
        (DENSITY, "yes"),
        ({"drift": 0.1}, "not known: no log Z"),
        (DENSITY | {"drift": 1.1}, "no: a critic"),
        (DENSITY | {"drift": -1.1}, "no: a critic"),
        (DENSITY | {"drift": float("nan")}, "no: a critic"),
        (DENSITY | {"likelihood_gain": -0.1}, "no: a critic"),
        (DENSITY | {"failed_tests": 2.0}, "no: long chains fail 2 tests"),
        (DENSITY | {"annealed_low": 1.0, "annealed_high": 3.9}, "yes"),
        (DENSITY | {"annealed_low": 1.0, "annealed_high": 5.0}, "no: log Z within 4 nats"),
        (
            DENSITY | {"log_likelihood_forward": -40.0, "log_likelihood_reverse": -60.0},
            "no: log Z within 20 nats",
        ),
    ],
)
def test_nothing_is_called_a_density_that_a_test_denies(numbers, said):
    assert standing(numbers) == said


@pytest.fixture
def runs(monkeypatch):
    """Trials that end at once, with numbers by their seed."""
    made = []

    def run_trial(path, overrides):
        made.append((path, overrides))
        path.mkdir(parents=True)
        numbers = DENSITY | {"kl_data_energy": 0.1 + path.name.endswith("1"), "mixture_log_likelihood": -2.0}
        report = {
            "metrics": numbers, "yardsticks": {"kde": {"kl_data_energy": 0.05}}, "seconds": 2.0, "step": 5,
            "sampling_seconds": 0.25, "no_log_normalizer": ["for a reason"],
        }  # fmt: skip
        (path / "metrics.json").write_text(json.dumps(report))

    def conclude(self, trial):
        np.save(self.path(trial) / "samples.npy", np.random.default_rng(0).normal(size=(20, 2)))
        (self.path(trial) / self.result).write_text("{}")

    monkeypatch.setattr("energy_gan.studies.study.run_trial", run_trial)
    monkeypatch.setattr(family.Family, "conclude", conclude)
    return made


def test_the_page(open_door, runs):
    given = ["family", "--quick", "--jobs", 1, "--folder", "trials", "--methods", "aligned", "jem", "critic"]
    given += ["--data", "four_spin", "table"]
    status, _, errors = open_door("study", *given, "--seeds", 0, 1)
    assert status == 0, errors
    made = {str(path.relative_to("trials")): overrides for path, overrides in runs}
    assert made.keys() == {
        f"aligned/{data}/seed_{seed}" for data in ("four_spin", "table") for seed in (0, 1)
    }
    page = Path("trials/family.md").read_text()
    row = "| `aligned` | 0.600 (1.100) | -1.00 (-1.00) | yes | 2 | 5 | 2 | 0.25 |"
    assert row in page, "what none of them has is no column"
    assert "| kernel estimate | 0.050 | – | | | | | |" in page
    assert "| mixture of Gaussians | -2.00 | | | | | |" in page, "the table's"
    assert "No log Z: `aligned`: for a reason" in page
    assert page.count("<img") == 4
    assert all(Path("trials/figures", name).is_file() for name in ("family_four_spin_time.png",))
    steps = compose(["data=four_spin", "method=aligned"])["trainer"]["max_steps"]
    assert f"trainer.max_steps={steps // 20}" in made["aligned/four_spin/seed_0"]
    runs.clear()
    assert open_door("study", *given, "--seeds", 0, 1)[0] == 0
    assert not runs, "what is there is not run again"


def test_the_page_grows_by_a_record_when_the_trials_of_before_are_gone(open_door, runs):
    out = ["--jobs", 1, "--seeds", 0, "--out", "page.md"]
    first = ["family", "--folder", "one", "--methods", "aligned", "vae", "--data", "four_spin"]
    assert open_door("study", *first, *out)[0] == 0
    before, figure = Path("page.md").read_text(), Path("figures/page_four_spin_samples.png").read_bytes()
    record = json.loads(Path("page.json").read_text())
    Path("page.json").write_text(json.dumps(record | {"note": "By hand."}))
    second = ["family", "--folder", "two", "--methods", "kim_bengio", "--data", "four_spin"]
    assert open_door("study", *second, *out)[0] == 0
    page = Path("page.md").read_text()
    assert "By hand." in page
    rows = [{line for line in text.splitlines() if line.startswith("| `")} for text in (before, page)]
    assert rows[0] < rows[1], "nothing is lost"
    assert "| `kim_bengio` | 0.100 | " in page
    assert Path("figures/page_four_spin_samples.png").read_bytes() == figure, "it shows what is gone"
    assert "page_four_spin_samples_2.png" in page
    assert open_door("study", *second[:1], "--data", "table", "--folder", "none", "--no-runs", *out)[0] == 0
    assert Path("page.md").read_text() == page
    file = Path("two/kim_bengio/four_spin/seed_0/metrics.json")
    file.write_text(file.read_text().replace("0.1", "0.2"))
    assert open_door("study", *second, *out)[0] == 0
    page = Path("page.md").read_text()
    assert page.count("| `kim_bengio` | 0.200 ") == 1, "what was measured last"
    assert page.count("| `kim_bengio` | 0.100 ") == 0


def test_a_further_seed_leaves_the_samples_and_the_yardsticks_of_the_first(open_door, runs):
    given = ["family", "--jobs", 1, "--methods", "aligned", "--data", "four_spin", "--out", "page.md"]
    assert open_door("study", *given, "--seeds", 0, "--folder", "one")[0] == 0
    figures = set(Path("figures").iterdir())
    assert open_door("study", *given, "--seeds", 1, "--folder", "two")[0] == 0
    file = Path("two/aligned/four_spin/seed_1/metrics.json")
    report = json.loads(file.read_text().replace("0.05", "0.06"))
    report["metrics"]["failed_tests"] = 1.0
    file.write_text(json.dumps(report))
    assert open_door("study", *given, "--seeds", 1, "--folder", "two")[0] == 0
    page = Path("page.md").read_text()
    assert "| `aligned` | 0.600 (1.100) |" in page
    assert "| 1 of 2 yes; 1 of 2 no: long chains fail 1 test |" in page
    assert "| kernel estimate | 0.050 |" in page
    assert set(Path("figures").iterdir()) == figures


def test_one_page_has_one_table(open_door, runs):
    Path("other.csv").write_text("a,b\n1,2\n")
    record = Record("", {"table": "`own.csv`"}, {Trial("vae", "table", 0): {}}, {})
    write_record(Path("page.json"), record)
    given = ["family", "--methods", "vae", "--data", "table", "--out", "page.md", "--table", "other.csv"]
    status, _, errors = open_door("study", *given)
    assert status == 2
    assert "page.json has table of `own.csv` and not of `other.csv`" in errors
    assert not runs


@pytest.mark.parametrize(
    "text", ["", "[]", '{"note": ""}', '{"note": "", "sets": {}, "trials": [1], "rivals": {}}']
)
def test_what_is_no_record_ends_in_one_line_before_any_run(open_door, runs, text):
    Path("a.json").write_text(text)
    given = ["family", "--folder", "trials", "--out", "a.md", "--methods", "vae", "--data", "four_spin"]
    status, _, errors = open_door("study", *given)
    assert status == 2
    assert "a.json is no record of trials" in errors
    assert not runs
    assert Path("a.json").read_text() == text


def test_a_trial_that_cannot_be_measured_keeps_no_other_from_the_page(open_door, runs, monkeypatch):
    measured = family.Family.conclude

    def conclude(self, trial):
        if trial.method == "vae":
            raise InputError("it had diverged")
        measured(self, trial)

    monkeypatch.setattr(family.Family, "conclude", conclude)
    given = ["family", "--jobs", 1, "--folder", "trials", "--out", "a.md", "--data", "four_spin"]
    status, _, errors = open_door("study", *given, "--seeds", 0, "--methods", "abp", "vae", "kim_bengio")
    assert status == 2
    assert "1 trials failed, their logs: trials/vae/four_spin/seed_0.log" in errors
    assert "error: it had diverged" in Path("trials/vae/four_spin/seed_0.log").read_text()
    assert "| `kim_bengio` | " in Path("a.md").read_text()


def test_of_a_trial_that_was_killed_before_its_end_only_the_end_is_made(open_door, runs):
    given = ["family", "--folder", "trials", "--out", "a.md", "--methods", "vae", "--data", "rings"]
    assert open_door("study", *given)[0] == 2, "no set of the page"
    given[-1] = "four_spin"
    assert open_door("study", *given, "--seeds", 0)[0] == 0
    Path("trials/vae/four_spin/seed_0/family.json").unlink()
    runs.clear()
    assert open_door("study", *given, "--seeds", 0)[0] == 0
    assert not runs
    assert Path("trials/vae/four_spin/seed_0/family.json").is_file()


@pytest.mark.slow
def test_a_trial_is_trained_measured_and_shown(open_door):
    given = ["family", "--quick", "--jobs", 1, "--folder", "trials", "--methods", "aligned", "classifier"]
    given += ["--data", "four_spin", "digits", "digits_without", "--seeds", 0]
    given += ["--set", "callbacks.report.chain_steps=50"]
    status, _, errors = open_door("study", *given)
    assert status == 0, errors
    assert Path("trials/aligned/four_spin/seed_0/samples.npy").is_file()
    page = Path("trials/family.md").read_text()
    assert page.count("| `aligned` | ") == 3
    assert page.count("| `classifier` | ") == 2
    assert "## digits, of which one, the 9, was left out" in page
    found = json.loads(Path("trials/aligned/digits_without/seed_0/family.json").read_text())
    assert found.keys() == {"average_precision", "auroc"}
    assert 0 < found["average_precision"] <= 1
    assert "| nearest neighbour | 0." in page
