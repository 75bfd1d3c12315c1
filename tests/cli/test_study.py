"""The door of the studies, and that what the documents tell people to type is there."""

import re
from pathlib import Path

import pytest

import energy_gan
from energy_gan.cli.study import STUDIES

HOUSE = Path(energy_gan.__file__).parent.parent
DOCUMENTS = [HOUSE / "README.md", *sorted((HOUSE / "docs").glob("*.md"))]


def test_the_studies_say_what_they_are(open_door):
    status, output, _ = open_door("study", "--help")
    assert status == 0
    for name, study in STUDIES.items():
        assert f"{name} " in output
        assert study.about in output
        status, own, _ = open_door("study", name, "--help")
        assert status == 0
        assert own.startswith(f"usage: study {name}")
        assert "--no-runs" in own


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no study is named: give STUDY=NAME, one of two_dimensions, "),
        (["--seeds", 0], "no study is named"),
        (["three_dimensions"], "STUDY=three_dimensions is unknown"),
        (["images", "--methods", "magic"], "--methods magic is unknown: choose from"),
        (["images", "--data", "magic"], "--data magic is unknown: choose from"),
        (["entropies", "--seeds", "-1"], "--seeds must be 0 or more"),
        (["scaling", "--jobs", 0], "--jobs must be at least 1"),
        (["scaling", "--points", 5], "--points at least 10"),
        (["two_dimensions", "--out", "no/where.md"], "the folder no does not exist"),
        (["two_dimensions", "--out", "a.md", "--no-runs"], "`make study STUDY=two_dimensions` without"),
        (["two_dimensions", "--out", "a.md", "--set", "trainer.max_stps=5"], "not a key of the config"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_run(open_door, arguments, said):
    Path("docs/figures").mkdir(parents=True)
    status, _, errors = open_door("study", *arguments)
    assert (status, errors.count("\n")) == (2, 1), errors
    assert said in errors
    assert not list(Path().rglob("seed_*"))


def test_a_failed_trial_names_its_log_and_the_others_are_shown(open_door, monkeypatch):
    def run_trial(path, overrides):
        if path.name == "seed_1":
            return path.with_suffix(".log")
        path.mkdir(parents=True)
        numbers = '{"metrics": {"hdr99": 0.5}, "yardsticks": {}, "seconds": 2.0, "step": 5}'
        (path / "metrics.json").write_text(numbers)
        return None

    monkeypatch.setattr("energy_gan.studies.study.run_trial", run_trial)
    few = ["--methods", "aligned", "--data", "rings", "--seeds", 0, 1, "--out", "a.md"]
    for jobs in (1, 2):
        status, _, errors = open_door("study", "two_dimensions", *few, "--jobs", jobs)
        assert status == 2
        assert "1 trials failed, their logs: runs/report/aligned/rings/seed_1.log" in errors
        assert "| `aligned` | – | – | – | 0.500 | – | – | – | 1 | 5 | 2 |" in Path("a.md").read_text()


@pytest.mark.skipif(not (HOUSE / "Makefile").is_file(), reason="the package is installed without its house")
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_the_documents_is_there(document):
    targets = set(re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text(), re.MULTILINE))
    text = document.read_text()
    assert set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", text, re.MULTILINE)) <= targets
    assert set(re.findall(r"\bSTUDY=(\w+)", text)) <= STUDIES.keys()
