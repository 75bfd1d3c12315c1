"""Laws of what is measured: each number is declared, and what is shown and searched by derives from that."""

import json
import re
from functools import partial

import pytest
import torch
from conftest import QUICK

from energy_gan.metrics import assessment, inception, likelihood
from energy_gan.metrics import levels as level_likelihoods
from energy_gan.metrics.points import PointEvaluation
from energy_gan.reports import chains, levels
from energy_gan.reports.numbers import CURVES, NUMBERS, REFINED, number, refined
from energy_gan.reports.panels import PANELS
from energy_gan.reports.points import Points
from energy_gan.reports.section import Settings
from energy_gan.reports.summary import summary
from energy_gan.reports.tables import WIDTH, table
from energy_gan.run.build import build_data
from energy_gan.run.compose import compose
from energy_gan.run.run import Run
from energy_gan.search.check import logged_names

POINTS = ["data=eight_gaussians", "data.density.std=0.2", "data.n_points=300", "data.n_held_out=300"]
DIGITS = ["data=digits", "callbacks.report.n_samples=200", "callbacks.report.n_samples_during=100"]
RUNS = {
    "points": [*POINTS, "method=kim_bengio"],
    "points of a known density": [*POINTS, "method=aligned"],
    "points without a generator": [*POINTS, "method=convergent"],
    "points by chains in latents": [
        *POINTS, "method=nt_ebm", "method.energy.quadratic.flow.bins=4",
        "method.energy.quadratic.flow.hidden=[8]", "method.energy.quadratic.flow.transforms=1",
    ],
    "points of three numbers": [
        "data=mixture", "data.density.dimension=3", "data.n_points=300", "data.n_held_out=300",
        "method=kim_bengio",
    ],
    "digits": [*DIGITS, "method=critic"],
    "digits with a short run": [
        *DIGITS, "method=short_run", "method.energy.energy.features.hidden=[32,32]",
        "method.negatives.n_steps=3", "method.inference.n_steps=2",
    ],
    "digits with grids": [
        *DIGITS, "method=multigrid", "method.inference.n_steps=2",
        *(f"method.grids.{name}.negatives.n_steps=2" for name in ("coarse", "middle", "fine")),
    ],
    "digits with noise": [*DIGITS, "method=tilted"],
    "digits with levels": [*DIGITS, "method=noise_levels"],
    "digits without a generator": [*DIGITS, "method=tilted_energy"],
    "digits with classes": [*DIGITS, "method=jem"],
    "points with networks": ["data=two_moons", *POINTS[2:], "method=hypernetwork"],
}  # fmt: skip
GUARDED = {"log_normalizer", "held_out_log_likelihood", "likelihood_gain", "log_likelihood"}  # may not hold


LONG = (
    "digits with levels",
    "digits with grids",
    "digits with a short run",
    "digits with noise",
    "points by chains in latents",
    "points of three numbers",
    "points with networks",
    "points without a generator",
    "digits without a generator",
    "digits with classes",
)  # to measure


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in RUNS],
)
def measured(request, tmp_path_factory):
    """A run of four steps, measured once on its way: its config and its folder. Inception is not there."""
    home = tmp_path_factory.getbasetemp() / "features"
    folder = tmp_path_factory.mktemp("runs") / "method/data/run"
    given = [w for w in QUICK if not w.startswith("callbacks.report.n_samples")]
    given += [
        "callbacks.report.n_samples=1000",
        "callbacks.report.n_samples_during=1000",
        *RUNS[request.param],
    ]
    given += ["trainer.max_steps=4", "callbacks.report.every_n_steps=2", f"run_dir='{folder}'"]
    given += ["logger.wandb=null", "logger.tensorboard=null"]
    if "data=digits" in given:
        given.append(f"callbacks.report.features='{home}'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "_downloaded", lambda url, path: False)
        patch.setattr(torch.hub, "get_dir", lambda: str(home / "hub"))
        patch.setattr(likelihood, "N_TEMPERATURES", 5)  # what the numbers are does not matter
        patch.setattr(likelihood, "N_MOVES", 5)
        patch.setattr(chains, "MOVES", 5)
        patch.setattr(chains, "DRIFTING", 50)
        patch.setattr(levels, "MOVES", 5)
        patch.setattr(levels, "STEPS", 3)
        patch.setattr(level_likelihoods, "STEPS", 3)
        patch.setattr(assessment, "bracket", partial(assessment.bracket, n_temperatures=5))
        config = compose(given)
        run = Run(config)
        run.create()
        run.fit()
        yield config, folder


def test_what_a_run_measures_is_declared_and_may_be_searched_by(measured):
    config, folder = measured
    report = json.loads((folder / "metrics.json").read_text())
    names = [{name for name in row if "/" not in name and name != "step"} for row in report["history"]]
    during, last = ({f"val/{name}" for name in each} for each in names)
    logged = logged_names(config, "val/")
    assert logged.during == during
    assert last <= logged.at_end
    assert {name.removeprefix("val/") for name in logged.at_end - last} <= GUARDED
    assert {name for row in report["yardsticks"].values() for name in row} <= NUMBERS.keys()


def test_the_table_fits_a_terminal_and_shows_every_number(measured):
    folder = measured[1]
    report, shown = json.loads((folder / "metrics.json").read_text()), summary(folder)
    lines = shown[shown.index("\n\n") : shown.index("\n\nverdict")].splitlines()
    assert max(map(len, lines)) <= WIDTH
    for name in report["metrics"]:
        assert sum(number(name.removeprefix(REFINED)).label in line for line in lines) >= 1, name
    assert ("make sample" in shown) == ("generator" in report["offers"])


def test_a_run_measured_in_short_has_the_numbers_of_its_way_and_says_so(tmp_path):
    folder = tmp_path / "run"
    given = [*QUICK, *POINTS, "method=kim_bengio", "trainer.max_steps=2", "callbacks.report.every_n_steps=1"]
    given += ["logger.wandb=null", "logger.tensorboard=null", "callbacks.report.short=true"]
    run = Run(compose([*given, f"run_dir='{folder}'"]))
    run.create()
    run.fit()
    report = json.loads((folder / "metrics.json").read_text())
    first, last = report["history"]
    assert first.keys() == last.keys()
    assert (report["verdict"], report["n_samples"], report["yardsticks"]) == (None, 1000, {})
    assert not (folder / "figures").exists()
    assert "none: measured in short, of 1,000 samples" in summary(folder)


def section_of(folder, *given) -> Points:
    section = Points(Settings(1_000, 1_000, str(folder), seed=0))
    data = build_data(compose([*POINTS, "method=kim_bengio", *given])["data"])
    data.prepare_data()
    data.setup("fit")
    section.prepare(data)
    return section


def test_yardsticks_of_points_are_made_once_for_each_set(tmp_path, monkeypatch):
    made = section_of(tmp_path / "kept").yardsticks()
    other = section_of(tmp_path / "kept", "data.seed=1").yardsticks()
    assert made.keys() == other.keys()
    assert made["kde"] != other["kde"]
    (tmp_path / "file").touch()  # where no folder can be made
    assert section_of(tmp_path / "file/kept").yardsticks() == made
    monkeypatch.setattr(PointEvaluation, "yardsticks", lambda self: pytest.fail("made again"))
    assert section_of(tmp_path / "kept").yardsticks() == made


def test_a_table_of_everything_fits_a_terminal_however_the_laws_are_called():
    laws = {
        f"a_method_of_{k}/some_data/2026-11-25_20-05-0{k}": dict.fromkeys(NUMBERS, -9999.0) for k in range(9)
    }
    text = table(laws)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert all(
        re.search(rf"^. {re.escape(n.label)} ", text, re.M) for n in NUMBERS.values() if REFINED not in n.name
    )
    assert len(re.findall(r"-9999\.000", text)) >= 9 * sum(REFINED not in name for name in NUMBERS)


def test_a_table_says_which_end_is_good_and_a_dash_what_a_law_lacks():
    text = table({"mine": {"sliced_w2": 0.5, "hdr99": 0.25}, "fresh data": {"sliced_w2": 123456.0}})
    assert [line.split() for line in text.splitlines()[:3]] == [
        ["mine", "fresh", "data"],
        ["↓", "sliced", "W2", "0.500", "1.23e+05"],
        ["↑", "in", "99", "%", "region", "0.250", "–"],
    ]


def test_every_panel_of_curves_has_a_number_and_every_curve_a_panel():
    shown = [name for panel in PANELS if panel.kind == "curves" for name in panel.names]
    assert len(shown) == len(set(shown))
    assert {number(name).tag for name in shown} == set(shown)
    assert {f"val/{name}" for name in CURVES} <= set(shown)
    assert all(panel.names for panel in PANELS)
    assert len({panel.title for panel in PANELS}) == len(PANELS)


def test_a_number_is_found_by_its_name_with_and_without_the_trackers_prefix():
    assert number("val/sliced_w2") == number("sliced_w2")
    assert (number("sliced_w2").better, number("hdr99").better) == ("low", "high")
    moved = refined([number("hdr99")], "energy")[0]
    assert moved == number("refined_hdr99")
    assert moved.at_end
    assert moved.fits(frozenset({"density", "generator", "energy"}))
    assert not moved.fits(frozenset({"density", "generator"}))
    with pytest.raises(KeyError):
        number("sliced_w3")
