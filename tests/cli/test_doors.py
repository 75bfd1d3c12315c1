"""The doors as a stranger uses them: what they make, and what a mistake costs."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import QUICK, written_table

import energy_gan
from energy_gan.generators.base import Generator
from energy_gan.generators.priors import NormalPrior
from energy_gan.run.compose import compose
from energy_gan.run.run import Run

ALONE = ["logger.wandb=null", "logger.tensorboard=null"]  # no trackers
FEW = ["data.n_points=500", "data.n_held_out=500"]


@pytest.fixture(scope="module")
def run_on_a_table(tmp_path_factory):
    """A short run on the numbers of `table`, whose file is gone: a run does not need it any more."""
    home = tmp_path_factory.mktemp("table")
    path, _ = written_table(home / "points.csv")
    few = ["method.energy.components=[1, 2]"]
    given = ["data=points", f"data.path='{path}'", f"run_dir='{home / 'run'}'", *few, *QUICK, *ALONE]
    run = Run(compose(given))
    run.create()
    run.fit()
    path.unlink()
    return home / "run"


def test_training_leaves_a_whole_run_behind(open_door):
    status, output, _ = open_door("train", "data=eight_gaussians", "data.density.std=0.2", *FEW, *QUICK)
    (run,) = Path("runs/aligned/eight_gaussians").iterdir()
    assert status == 0
    assert str(run) in output
    assert "make sample RUN=" in output
    for row in ("aligned/eight_gaussians", "fresh data", "gaussian", "kde"):
        assert row in output
    assert {p.name for p in (run / "figures").iterdir()} == {
        "samples.png", "energy_map.png", "energy_histograms.png", "curves.png"
    }  # fmt: skip
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["batch_size"] == 32
    report = json.loads((run / "metrics.json").read_text())
    assert report["step"] == 20
    assert {"kl_data_energy", "kl_generator_energy", "sliced_w2", "hdr99", "smallest_mode"} <= report[
        "metrics"
    ].keys()
    assert [row["step"] for row in report["history"]] == [10, 20]
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == [
        "step_000000010.ckpt",
        "step_000000020.ckpt",
    ]
    assert list((run / "tensorboard").glob("events.*"))
    assert list((run / "wandb").glob("offline-run-*"))


def test_an_energy_without_a_quadratic_term_is_labelled(open_door):
    few = ["data=eight_gaussians", "data.density.std=0.2", "method.energy.quadratic=null"]
    few += [*FEW, *QUICK, *ALONE, "trainer.max_steps=2", "callbacks.report.short=true"]
    assert "Not integrable by construction" in open_door("train", *few, "run_dir=run")[1]
    assert json.loads(Path("run/metrics.json").read_text())["integrable"] is False


@pytest.mark.slow
def test_the_exact_likelihood_stands_beside_other_runs_on_the_same_data(open_door):
    few = ["data=eight_gaussians", "data.density.std=0.2", *FEW, *QUICK]
    column = r" exact(?: |\s*\n.*? )likelihood "  # its head, in one line or in two
    assert not re.search(column, open_door("train", *few, "seed=1")[1])
    assert open_door("train", *few, "method=exact_likelihood")[0] == 0
    assert re.search(column, open_door("train", *few, "seed=2")[1])
    assert not re.search(column, open_door("train", *few, "data.density.radius=1.5")[1])


def test_the_trackers_see_one_x_axis(finished_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished_run / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("train/energy_gap")] == [0, 5, 10, 15]
    assert [e.step for e in events.Scalars("val/sliced_w2")] == [10, 20]
    assert [e.step for e in events.Images("samples")] == [20]


def test_a_table_is_learned_and_sampled_in_its_own_units(open_door, run_on_a_table, table):
    x, run = table[1], run_on_a_table
    assert (run / "figures/marginals.png").is_file()
    assert open_door("sample", run, "--n", 300, "--out", "samples.csv")[0] == 0
    samples = pd.read_csv("samples.csv")
    assert list(samples.columns) == ["length", "width", "weight"]
    assert len(samples) == 300
    assert (np.abs(samples.mean() - x.mean(0)) < 3 * x.std(0)).all()
    assert open_door("energy", run, "--input", "samples.csv", "--out", "energies.npy")[0] == 0
    assert np.load("energies.npy").shape == (300, 1)


def test_energies_are_of_the_data_s_own_units(finished_run, table):
    """E_x(x) = E_u(u) + Σ log scale: the density integrates to the same, whatever the units."""
    x = table[1]
    model = energy_gan.fit(x, max_steps=3, overrides=["method.energy.components=[1, 2]"])
    u = model.units.networks(torch.from_numpy(x))
    model.method.eval()
    jacobian = torch.tensor(x[:].std(0)).log().sum()
    expected = (model.method.energy(u) + jacobian).detach().double()
    torch.testing.assert_close(model.energy(x), expected, rtol=0, atol=0.1)
    difference = model.relative_log_prob(x[:50], x[50:100])
    torch.testing.assert_close(difference, model.energy(x[50:100]) - model.energy(x[:50]))


def test_a_finished_run_has_nothing_left_to_do(open_door, finished_run):
    shutil.copytree(finished_run, "run")
    status, _, errors = open_door("resume", "run")
    assert status == 2
    assert "is at step 20 of 20, nothing is left to do" in errors


def test_a_cut_run_goes_on(finished_run, resumed_run):
    run, said = resumed_run
    assert "resumed from step 10" in said
    whole = torch.load(finished_run / "checkpoints/step_000000020.ckpt", weights_only=True)["state_dict"]
    resumed = torch.load(run / "checkpoints/step_000000020.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert json.loads((run / "metrics.json").read_text())["metrics"] == pytest.approx(
        json.loads((finished_run / "metrics.json").read_text())["metrics"]
    )


@pytest.mark.slow
def test_averaged_weights_leave_training_alone_and_survive_a_cut(open_door, finished_run):
    """The average w̄ₖ = ½ w̄ₖ₋₁ + ½ wₖ is what is kept and measured; the moves are those of a run without."""

    def weights(run, key="state_dict", step=20):
        kept = torch.load(f"{run}/checkpoints/step_{step:09d}.ckpt", weights_only=True)[key]
        return torch.cat(
            [value.flatten() for name, value in kept.items() if name.endswith(("weight", "bias"))]
        )

    average = "callbacks.average={_target_: energy_gan.callbacks.average.AverageWeights, decay: 0.5}"
    few = ["data=eight_gaussians", "method=kim_bengio", "data.density.std=0.2", *FEW, *QUICK, average]
    assert open_door("train", *few, "run_dir=whole")[0] == 0
    shutil.copytree("whole", "cut")
    Path("cut/checkpoints/step_000000020.ckpt").unlink()
    assert open_door("resume", "cut")[0] == 0
    for step in (10, 20):
        assert torch.equal(weights("whole", "current_model_state", step), weights(finished_run, step=step))
    assert 0 < (weights("whole") - weights(finished_run)).abs().max() < 0.1
    assert torch.equal(weights("whole"), weights("cut"))
    measured = [json.loads(Path(f"{run}/metrics.json").read_text())["metrics"] for run in ("whole", "cut")]
    assert measured[0] == pytest.approx(measured[1])
    assert measured[0] != json.loads((finished_run / "metrics.json").read_text())["metrics"]


@pytest.mark.slow
def test_averaged_weights_are_kept_as_they_are_measured(open_door):
    """What is loaded is calibrated: to measure its batch norm anew changes nothing."""
    average = "callbacks.average={_target_: energy_gan.callbacks.average.AverageWeights, decay: 0.9}"
    few = ["data=eight_gaussians", "method=kim_bengio", "data.density.std=0.2", *FEW, *QUICK, *ALONE, average]
    assert open_door("train", *few, "run_dir=run")[0] == 0
    for step in (10, 20):
        method = energy_gan.load(f"run/checkpoints/step_{step:09d}.ckpt").method
        kept = {name: value.clone() for name, value in method.state_dict().items()}
        assert any("running_mean" in name for name in kept)
        method.calibrate()
        for name, value in method.state_dict().items():
            torch.testing.assert_close(kept[name], value, msg=f"{name} at step {step}")
    before = json.loads(Path("run/metrics.json").read_text())["metrics"]
    assert open_door("evaluate", "run")[0] == 0
    assert json.loads(Path("run/metrics.json").read_text())["metrics"] == pytest.approx(before)


@pytest.mark.slow
def test_a_run_can_be_longer_than_planned(open_door, finished_run):
    shutil.copytree(finished_run, "run")
    status, output, _ = open_door("resume", "run", "trainer.max_steps=30")
    assert status == 0
    assert "resumed from step 20" in output
    assert [row["step"] for row in json.loads(Path("run/metrics.json").read_text())["history"]] == [
        10,
        20,
        30,
    ]


def test_evaluating_again_gives_the_same_numbers(open_door, finished_run):
    shutil.copytree(finished_run, "run")
    before = json.loads(Path("run/metrics.json").read_text())
    Path("run/metrics.json").unlink()
    status, output, _ = open_door("evaluate", "run")
    assert status == 0
    assert "kim_bengio/eight_gaussians" in output
    assert json.loads(Path("run/metrics.json").read_text())["metrics"] == pytest.approx(before["metrics"])


def test_comparing_runs(open_door, finished_run):
    shutil.copytree(finished_run, "other")
    status, output, _ = open_door("compare", finished_run, "other", "--out", "curves.png")
    assert status == 0
    assert "KL(data‖energy)" in output
    assert "other" in output
    assert Path("curves.png").stat().st_size > 10_000


def test_loading_in_python(finished_run):
    for path in (finished_run, finished_run / "checkpoints/step_000000020.ckpt", str(finished_run)):
        model = energy_gan.load(path)
        x = model.sample(7, seed=3)
        assert torch.equal(x, model.sample(7, seed=3))
        assert not torch.equal(x, model.sample(7, seed=4))
        assert model.energy(x).shape == (7,)
        assert torch.equal(model.log_prob_unnormalized(x.numpy()), -model.energy(x))
    x = x.clone().requires_grad_()
    model.energy(x).sum().backward()
    assert x.grad.isfinite().all()


def test_the_exact_likelihood_trains_an_energy_alone(open_door):
    few = [
        "data=eight_gaussians",
        "data.density.std=0.2",
        "method=exact_likelihood",
        "run_dir=run",
        *FEW,
        *QUICK,
    ]
    status, output, _ = open_door("train", *few)
    assert status == 0
    assert "make sample" not in output
    status, _, errors = open_door("sample", "run", "--out", "samples.csv")
    assert status == 2
    assert "was trained on points and offers energy, here it needs generator" in errors
    assert json.loads(Path("run/metrics.json").read_text())["metrics"]["kl_data_energy"] > 0


def test_fitting_in_a_notebook_with_one_s_own_networks(table):
    class MyEnergy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Linear(3, 8)

        def forward(self, x):
            return x.square().sum(1) - torch.tanh(self.body(x)).sum(1)

    generator = Generator(torch.nn.Linear(5, 3), NormalPrior(5))
    parts = {"energy": MyEnergy(), "generator": generator}
    settings = {"method": "kim_bengio", "max_steps": 5, "overrides": ["method.terms.entropy=null"]}
    model = energy_gan.fit(table[1], **parts, **settings)
    assert model.sample(9).shape == (9, 3)
    assert not Path("runs").exists()
    few = [*settings["overrides"], *ALONE, "callbacks.report.short=true"]
    energy_gan.fit(table[1], **parts, **(settings | {"overrides": few}), run_dir="own")
    with pytest.raises(energy_gan.InputError, match="it was trained with parts of your own"):
        energy_gan.load("own")
    with pytest.raises(energy_gan.InputError, match="run_dir=own exists already and nothing is overwritten"):
        energy_gan.fit(table[1], **parts, **settings, run_dir="own")
    narrow = Generator(torch.nn.Linear(5, 3), NormalPrior(4))
    with pytest.raises(
        energy_gan.InputError, match="method with generator of your own: the values do not go"
    ):
        energy_gan.fit(table[1], **settings, generator=narrow)
    with pytest.raises(energy_gan.InputError, match=r"points of shape \(2,\) were given, the model knows"):
        model.energy(torch.zeros(4, 2))
    with pytest.raises(energy_gan.InputError, match="at least 1 sample"):
        model.sample(0)
    with pytest.raises(energy_gan.InputError, match=r"x has shape \(3,\)"):
        energy_gan.fit(np.zeros(3))


def test_columns_are_found_by_their_names(open_door, run_on_a_table, table):
    path, _ = table
    frame = pd.read_csv(path)
    frame[["weight", "length", "width"]].to_csv("turned.csv", index=False)
    frame.rename(columns={"weight": "mass"}).to_csv("other.csv", index=False)
    for given in (path, "turned.csv"):
        assert (
            open_door("energy", run_on_a_table, "--input", given, "--out", f"{Path(given).stem}.npy")[0] == 0
        )
    np.testing.assert_allclose(np.load(f"{path.stem}.npy"), np.load("turned.npy"), rtol=1e-5)
    status, _, errors = open_door("energy", run_on_a_table, "--input", "other.csv", "--out", "energies.csv")
    assert status == 2
    assert "other.csv has no column 'weight' but length, width, mass: the columns trained on are" in errors


def test_a_small_table_is_trained_and_measured(open_door):
    np.save("few.npy", np.random.default_rng(0).normal(size=(30, 2)))
    status, out, errors = open_door(
        "train", "data=points", "data.path=few.npy", "run_dir=run", *QUICK, *ALONE
    )
    assert status == 0, errors
    assert "there are fewer than 25 held-out points" in out


def test_a_run_without_measurements(open_door):
    few = ["data=eight_gaussians", "data.density.std=0.2", *FEW, "trainer.max_steps=3"]
    status, out, _ = open_door("train", *few, "callbacks.report=null", "run_dir=run")
    assert status == 0
    assert "folder   run" in out
    status, _, errors = open_door("evaluate", "run")
    assert status == 2
    assert "was trained with callbacks.report=null" in errors


def test_two_folders_of_one_name_are_both_compared(open_door, finished_run):
    for place in ("a", "b"):
        shutil.copytree(finished_run, f"{place}/aligned/four_spin/seed_0")
    runs = [f"{place}/aligned/four_spin/seed_0" for place in ("a", "b")]
    out = open_door("compare", *runs, "--out", "curves.png")[1]
    heads = [line.split() for line in out.splitlines()[:2]]  # of the columns, in two lines
    assert ["".join(words) for words in zip(*heads, strict=True)] == runs


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "data=nothing"], "data=nothing is unknown: choose one of"),
        (["train", "data=two_spiral", "method.energy.expert=3"], "did you mean method.energy.experts"),
        (["train", "data=points", "data.path=absent.npy"], "absent.npy does not exist"),
        (["train", "run_dir=run"], "run_dir=run exists already and nothing is overwritten"),
        (["sample", "absent"], "absent does not exist: give a run's folder"),
        (["sample", "."], "is no run's folder"),
        (["sample", "run", "--out", "there.csv"], "OUT=there.csv exists already and nothing is overwritten"),
        (["sample", "run", "--out", "samples.xls"], "OUT=samples.xls has an unknown ending"),
        (["sample", "run", "--out", "no/samples.csv"], "the folder no does not exist"),
        (["sample", "run", "--n", "0"], "--n must be at least 1, got 0"),
        (["sample", "run", "--n", "99999999999"], "99999999999 samples need 745.1 GiB"),
        (["sample", "run", "--n", "many"], "invalid int value: 'many'"),
        (["sample"], "the following arguments are required: RUN"),
        (["sample", "cut.ckpt"], "cut.ckpt cannot be read, it is damaged or no checkpoint"),
        (["sample", "there.csv"], "there.csv is no run's folder"),
        (["energy", "run", "--input", "absent.csv"], "absent.csv does not exist"),
        (["energy", "run", "--input", "three.csv"], "three.csv has 3 columns .*expected 2"),
        (["energy", "run", "--input", "nan.csv"], "nan.csv: 1 of 2 rows hold a value that is missing"),
        (
            ["energy", "run", "--input", "text.csv"],
            "text.csv: row 2, column 'b' holds 'x', expected a finite number",
        ),
        (
            ["energy", "run", "--input", "there.csv", "--versus", "two.csv"],
            "two.csv has 2 rows and there.csv has 1",
        ),
        (["sample", "foreign.ckpt"], "foreign.ckpt is no checkpoint of energy_gan"),
        (["sample", "run", "seed=3"], "'seed=3' cannot be given here: only trust="),
        (["evaluate", "."], "is no run's folder"),
        (
            ["resume", "run", "trainer.max_step=3"],
            "changes no key of run/config.yaml, did you mean trainer.max_steps",
        ),
        (["compare", "run", "."], "has no metrics.json"),
        (["compare", "run", "--out", "curves.txt"], "give a .png"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_overwritten(open_door, finished_run, arguments, message):
    shutil.copytree(finished_run, "run")
    shutil.copy(finished_run / "checkpoints/step_000000020.ckpt", "cut.ckpt")
    cut(Path("cut.ckpt"))
    torch.save({"hyper_parameters": {}, "state_dict": {}}, "foreign.ckpt")
    Path("there.csv").write_text("a,b\n1,2\n")
    Path("two.csv").write_text("a,b\n1,2\n3,4\n")
    Path("three.csv").write_text("a,b,c\n1,2,3\n")
    Path("nan.csv").write_text("a,b\n1,2\n,4\n")
    Path("text.csv").write_text("a,b\n1,2\n3,x\n")
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    status, _, errors = open_door(*arguments)
    assert status == 2
    lines = errors.strip().splitlines()
    assert len(lines) == 1, errors
    assert lines[0].startswith("error: ")
    assert re.search(message, lines[0]), lines[0]
    assert before == {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}


def test_a_stranger_s_checkpoint_executes_nothing(open_door, finished_run, tmp_path):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "canary",)

    torch.save({"hyper_parameters": {}, "state_dict": Bomb()}, "bomb.ckpt")
    status, _, errors = open_door("sample", "bomb.ckpt")
    assert status == 2
    assert "cannot be read" in errors
    checkpoint = torch.load(finished_run / "checkpoints/step_000000020.ckpt", weights_only=True)
    checkpoint["hyper_parameters"]["method"]["energy"] = {"_target_": "pathlib.Path.touch", "self": "canary"}
    torch.save(checkpoint, "target.ckpt")
    status, _, errors = open_door("sample", "target.ckpt")
    assert status == 2
    assert "pathlib.Path.touch is not trusted" in errors
    assert not Path("canary").exists()
