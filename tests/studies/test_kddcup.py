"""KDD Cup 99: the test is apart from training, and the study makes its table once."""

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from energy_gan.data.kddcup import CATEGORIES, COLUMNS, FEATURES, FILE, KDDCup99
from energy_gan.errors import InputError
from energy_gan.metrics.anomaly import DETECTORS, DETERMINISTIC, detectors, precision_recall_f1
from energy_gan.run.compose import compose
from energy_gan.run.run import Run
from energy_gan.studies.trials import check_recipe

N = 1200
RNG = np.random.default_rng(0)


def kdd_rows(n=N, seed=0):
    """A table in the file's layout: four fifths attacks of two kinds, the first column tells the row."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: np.zeros(n, dtype=int) for name in COLUMNS})
    normal = rng.random(n) < 0.25
    for name, known in CATEGORIES.items():
        frame[name] = rng.choice(known[:2] if name != "service" else known, n)
    frame["flag"] = np.where(normal, "SF", frame["flag"])
    frame["duration"] = np.arange(n)
    frame["src_bytes"] = rng.integers(0, 1000, n) + 100_000 * normal
    frame["same_srv_rate"] = rng.integers(0, 100, n) / 100
    frame["num_failed_logins"] = 3  # constant, and not zero
    frame["label"] = np.where(normal, "normal.", rng.choice(["smurf.", "neptune."], n))
    return frame


def write_kdd(frame, folder="kdd"):
    Path(folder).mkdir(exist_ok=True)
    frame.to_csv(Path(folder, FILE), header=False, index=False, compression="gzip")
    return folder


def kdd(frame=None, **settings):
    data = KDDCup99(write_kdd(kdd_rows() if frame is None else frame), [121], **settings)
    data.setup()
    return data


# ---- KDD Cup 99


def test_the_features_are_121():
    assert len(COLUMNS) == 42
    assert len(FEATURES) == len(set(FEATURES)) == 121
    data = kdd()
    assert data.points.shape[1] == data.test.shape[1] == data.held_out.shape[1] == 121
    assert list(data.columns) == FEATURES


def test_a_row_becomes_its_numbers_and_categories():
    frame, data = kdd_rows(), kdd()
    for x in (*data.points[:20], *data.test[:20], *data.test[-20:]):
        row, x = frame.iloc[int(x[0])], dict(zip(FEATURES, x.tolist(), strict=True))
        for name in COLUMNS[:-1]:
            if name in CATEGORIES:
                of = {known: x.pop(f"{name}-{known}") for known in CATEGORIES[name]}
                assert of == {known: float(known == row[name]) for known in CATEGORIES[name]}
            else:
                assert x.pop(name) == np.float32(row[name])
        assert not x


def test_attacks_are_trained_on_and_normal_connections_are_the_anomalies():
    labels = kdd_rows()["label"].to_numpy()
    data = kdd()
    assert (labels[data.points[:, 0].int()] != "normal.").all()
    assert (labels[data.held_out[:, 0].int()] != "normal.").all()
    expected = (labels[data.test[:, 0].int()] == "normal.").astype(int)
    np.testing.assert_array_equal(data.test_labels, expected)


def test_no_row_of_the_test_is_trained_on():
    data = kdd()
    train, test = (set(x[:, 0].int().tolist()) for x in (data.points, data.test))
    assert not train & test
    assert len(test) == len(data.test), "and none is twice in the test"
    assert set(data.held_out[:, 0].int().tolist()) <= test
    half = set(kdd_rows().sample(frac=0.5, random_state=42).index)
    assert train <= half, "the published half"
    assert not test & half


@pytest.mark.parametrize("ratio", [0.05, 0.2])
def test_the_ratio_of_anomalies_is_the_one_asked_for(ratio):
    data = kdd(ratio=ratio)
    n_inliers, n_anomalies = int((data.test_labels == 0).sum()), int(data.test_labels.sum())
    assert n_anomalies == int(n_inliers * ratio / (1 - ratio))
    assert n_anomalies / len(data.test) == pytest.approx(ratio, abs=1 / len(data.test))


def test_too_few_anomalies_are_all_taken():
    frame, data = kdd_rows(), kdd(ratio=0.9)
    half = frame.sample(frac=0.5, random_state=42).index
    assert int(data.test_labels.sum()) == (frame.drop(half)["label"] == "normal.").sum()


def test_the_seed_of_training_leaves_the_split_alone():
    a, b, c = kdd(seed=0), kdd(seed=1), kdd(split_seed=7)
    assert torch.equal(a.points, b.points)
    assert torch.equal(a.test, b.test)
    assert not torch.equal(a.test, c.test)


@pytest.mark.parametrize("scaling", ["none", "min_max", "standard"])
def test_what_the_networks_see(scaling):
    data = kdd(scaling=scaling)
    u = data.standardise(data.points)
    varies = data.points.amin(0) < data.points.amax(0)
    assert 0 < int((~varies).sum()) < 121
    assert torch.isfinite(data.standardise(data.test)).all()
    if scaling == "none":
        assert torch.equal(u, data.points)
    else:
        assert (u[:, ~varies] == 0).all(), "a constant feature is shifted, never divided"
        assert (data.scale[~varies] == 1).all()
    if scaling == "min_max":
        assert (u[:, varies].amin(0) == 0).all()
        torch.testing.assert_close(u[:, varies].amax(0), torch.ones(int(varies.sum())))
    if scaling == "standard":
        torch.testing.assert_close(u.mean(0), torch.zeros(121), atol=1e-4, rtol=0)
        torch.testing.assert_close(u[:, varies].std(0), torch.ones(int(varies.sum())), atol=1e-3, rtol=0)


def test_distinct_rows_are_trained_on_once():
    frame = kdd_rows()
    frame["duration"] //= 2
    frame.iloc[1::2] = frame.iloc[::2].to_numpy()  # every row twice
    every, distinct = kdd(frame), kdd(frame, distinct=True)
    assert len(np.unique(every.points, axis=0)) == len(distinct.points) < len(every.points)
    assert len(np.unique(distinct.points, axis=0)) == len(distinct.points)
    assert torch.equal(every.test, distinct.test)


def test_the_file_there_is():
    """The real file where ENERGY_GAN_DATA names a folder that has it, else one in its layout."""
    root = Path(os.environ.get("ENERGY_GAN_DATA", "nowhere"), "kddcup99")
    real = (root / FILE).is_file()
    print("the real file" if real else "a generated file")
    data = KDDCup99(str(root) if real else write_kdd(kdd_rows(8000)), [121])
    data.setup()
    if real:
        assert (len(data.points), len(data.test)) == (198_361, 247_011)
        assert int(data.test_labels.sum()) == 48_629, "all there are, as published: 0.197 and not 0.2"
        assert len(data.held_out) == 10_000
    name = "isolation forest" if real else "nearest neighbour"  # the nearest takes 20 s of the real file
    scores = detectors(data.points.numpy(), data.test.numpy(), 0, [name])[name]
    assert precision_recall_f1(scores, data.test_labels.numpy(), 0.2).f1 > 0.8


def damaged(what):
    frame = kdd_rows(100)
    if what == "category":
        frame.loc[7, "service"] = "harvest"
    if what == "number":
        frame["hot"] = frame["hot"].astype(object)
        frame.loc[8, "hot"] = "many"
    if what == "columns":
        frame = frame.drop(columns="hot")
    if what == "no normal":
        frame["label"] = "smurf."
    if what == "no attack":
        frame["label"] = "normal."
    write_kdd(frame)
    if what == "cut":
        Path("kdd", FILE).write_bytes(Path("kdd", FILE).read_bytes()[:500])
    if what == "not gzip":
        Path("kdd", FILE).write_bytes(b"0,tcp")
    if what == "empty":
        Path("kdd", FILE).write_bytes(gzip.compress(b""))
    if what == "missing":
        Path("kdd", FILE).unlink()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", f"{FILE} is not in .*kdd: put it there from https://.*data.root="),
        ("cut", "cannot be read .*get it anew"),
        ("not gzip", "cannot be read .*get it anew"),
        ("empty", "cannot be read .*get it anew"),
        ("columns", "has 41 columns, expected 42"),
        ("category", "row 8, column 'service' holds 'harvest'.*give kddcup"),
        ("number", "row 9, column 'hot' holds 'many', expected a number"),
        ("no normal", "0 rows labelled normal"),
        ("no attack", "0 attacks"),
    ],
)
def test_a_wrong_file_is_one_line(what, said):
    damaged(what)
    with pytest.raises(InputError, match=said) as error:
        KDDCup99("kdd", [121]).setup()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": [120]}, {"ratio": 0.0}, {"ratio": 1.0}, {"split_seed": -1},
        {"n_held_out": 0}, {"batch_size": 1},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        KDDCup99(**{"root": "kdd", "shape": [121]} | wrong)


# ---- doors

QUICK = ["trainer.max_steps=80", "data.batch_size=128", "callbacks.progress.refresh_rate=0"]


def trial(path, overrides):
    """A run in this process, for `run_trial`, which is tested by itself."""
    run = Run(compose([*overrides, f"run_dir='{path}'", "logger.wandb=null"]))
    run.create()
    run.fit()
    Path(path, "metrics.json").write_text('{"seconds": 3.5}')


@pytest.mark.slow
def test_the_table_over_seeds_is_made_once(open_door, monkeypatch):
    monkeypatch.setattr("energy_gan.studies.study.run_trial", trial)
    root = Path(write_kdd(kdd_rows(400))).absolute()
    Path("docs").mkdir()
    settings = ["trainer.max_steps=2", "data.batch_size=64", "callbacks.progress.refresh_rate=0"]
    settings.append("callbacks.report=null")
    given = ["--methods", "kim_bengio", "--seeds", 0, 1, "--set", f"data.root={root}", *settings]
    status, output, errors = open_door("study", "kddcup", *given)
    assert status == 0, errors
    page = Path("docs/anomaly.md").read_text()
    of_seeds = [
        json.loads(Path(f"runs/anomaly/kim_bengio/seed_{i}/anomaly.json").read_text()) for i in (0, 1)
    ]
    for name in ("E", "‖∇E‖²"):
        values = [numbers[name]["precision"] for numbers in of_seeds]
        mean, std = np.mean(values), np.std(values, ddof=1)
        assert f"| `kim_bengio`, by {name} | {mean:.4f} ± {std:.4f} |" in page
    assert page.count("| 2 | 4 |") == 2, "two seeds, 3.5 s"
    for name in DETECTORS:
        line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        assert ("±" in line) == (name not in DETERMINISTIC)
    assert page.splitlines()[-1] in output
    before = {p: p.stat().st_mtime_ns for p in Path("runs").rglob("*") if p.is_file()}
    assert open_door("study", "kddcup", *given)[0] == 0
    assert before == {p: p.stat().st_mtime_ns for p in Path("runs").rglob("*") if p.is_file()}
    assert Path("docs/anomaly.md").read_text() == page

    for other in ("data.ratio=0.1", "data.split_seed=1", "data.distinct=true"):
        status, _, errors = open_door("study", "kddcup", *given, other)
        assert (status, errors.count("\n")) == (2, 1)
        assert "runs/anomaly holds trials of another test" in errors
    for other, said in (
        (
            "trainer.max_steps=3",
            "runs/anomaly/kim_bengio/seed_0 was made with trainer.max_steps=2 and not 3: give another",
        ),
        ("method.terms.entropy.weight=7.5", " and not 7.5: give another --folder"),
        ("data.scaling=min_max", "made with data.scaling=standard and not min_max"),
    ):
        status, _, errors = open_door("study", "kddcup", *given, other)
        assert (status, errors.count("\n")) == (2, 1), errors
        assert said in errors
    assert Path("docs/anomaly.md").read_text() == page
    shutil.move(root, "elsewhere")
    shutil.move("runs/anomaly", "moved")
    facts = json.loads(Path("moved/test.json").read_text())
    Path("moved/test.json").write_text(json.dumps({k: facts[k] for k in ("ratio", "split_seed")}))
    given[given.index(f"data.root={root}")] = "data.root=elsewhere"
    shown = ["callbacks.progress.refresh_rate=7", "logger.tensorboard=null", "callbacks.checkpoint.keep=1"]
    status, _, errors = open_door("study", "kddcup", *given, *shown, "--folder", "moved")
    assert status == 0, errors
    assert Path("docs/anomaly.md").read_text() == page
    assert json.loads(Path("moved/test.json").read_text()) == facts, (
        "what an earlier version left out is added"
    )


def test_a_cut_trial_goes_on_with_its_trust_and_no_other_settings(monkeypatch):
    from energy_gan.studies import trials

    commands = []
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(trials.subprocess, "run", lambda command, **how: commands.append(command[2:]) or done)
    path = Path("runs/trial")
    overrides = ["data=eight_gaussians", "method=kim_bengio", "trainer.max_steps=9", "trust=[mine]"]
    assert trials.run_trial(path, overrides) is None
    (path / "checkpoints").mkdir(parents=True)
    config = compose([*overrides[:3], f"run_dir='{path}'"])
    OmegaConf.save(config, path / "config.yaml")
    for name in ("step_000000003.ckpt", "step_000000006.ckpt"):
        (path / "checkpoints" / name).touch()
    assert trials.run_trial(path, overrides) is None
    shown = ["callbacks.checkpoint.every_n_steps=3", "callbacks.report.every_n_steps=3", "threads=2"]
    assert trials.run_trial(path, [*overrides, *shown]) is None
    assert [command[0] for command in commands] == [
        "energy_gan.cli.train",
        "energy_gan.cli.resume",
        "energy_gan.cli.resume",
    ]
    assert commands[0][1:5] == overrides
    assert commands[1][1:] == [str(path), "trust=[mine]"]
    for other, said in (
        ("trainer.max_steps=18", "runs/trial was made with trainer.max_steps=9 and not 18: give another"),
        ("method.terms.entropy=null", "made with method.terms.entropy=… and not null"),
        ("callbacks.report=null", "made with callbacks.report=… and not null"),
        ("callbacks.report.n_samples=5", "made with callbacks.report.n_samples=200000 and not 5"),
        (
            "callbacks.average={_target_: energy_gan.callbacks.average.AverageWeights, decay: 0.5}",
            "callbacks.average=null and not …",
        ),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            trials.run_trial(path, [*overrides, other])
    assert len(commands) == 3
    for checkpoint in path.glob("checkpoints/*"):
        checkpoint.unlink()
    assert trials.run_trial(path, [*overrides, "trainer.max_steps=18"]) is None, "nothing was saved: anew"
    assert not path.exists()


def test_averages_by_either_class_are_one_recipe():
    path = Path("trial")
    path.mkdir()
    config = compose(["data=kddcup99", "method=meg"])
    config["callbacks"]["average"]["_target_"] = "lightning.pytorch.callbacks.EMAWeightAveraging"
    OmegaConf.save(config | {"run_dir": str(path)}, path / "config.yaml")
    (path / "metrics.json").write_text("{}")
    check_recipe(path, ["data=kddcup99", "method=meg"])
    with pytest.raises(InputError, match=r"callbacks\.average\.decay=0\.998 and not 0\.5"):
        check_recipe(path, ["data=kddcup99", "method=meg", "callbacks.average.decay=0.5"])


@pytest.mark.parametrize(
    ("name", "arguments", "path", "overrides"),
    [
        (
            "two_dimensions",
            ["--methods", "aligned", "--data", "rings", "--seeds", 3],
            "runs/report/aligned/rings/seed_3",
            ["data=rings", "method=aligned", "seed=3"],
        ),
        (
            "scaling",
            ["--dimensions", 2, "--points", 1000],
            "runs/scaling/2_1000",
            ["data=mixture", "method=aligned", "data.density.dimension=2", "data.n_points=1000"],
        ),
    ],
)
def test_studies_refuse_trials_of_other_settings(open_door, name, arguments, path, overrides):
    Path(path).mkdir(parents=True)
    config = compose([*overrides, "trainer.max_steps=5", f"run_dir={path}"])
    OmegaConf.save(config, Path(path, "config.yaml"))
    Path(path, "metrics.json").write_text('{"metrics": {}, "yardsticks": {}, "seconds": 1.0, "step": 5}')
    Path("docs/figures").mkdir(parents=True)
    status, _, errors = open_door("study", name, *arguments)
    assert (status, errors.count("\n")) == (2, 1), errors
    assert f"{path} was made with trainer.max_steps=5 and not 1500" in errors
    if name == "two_dimensions":
        assert open_door("study", name, *arguments, "--no-runs")[0] == 0, "what is there is shown"
        assert "| `aligned` |" in Path("docs/two_dimensions.md").read_text()


def test_mistakes_at_the_table_are_one_line(open_door):
    root = Path(write_kdd(kdd_rows(400))).absolute()
    for arguments, said in (
        (["--methods", "magic"], "--methods magic is unknown: choose from"),
        (["--methods", "aligned", "--seeds", "-1"], "0 or more"),
        (["--methods", "aligned", "--out", "no/where.md"], "does not exist"),
        (["--methods", "aligned", "--out", "a.md"], f"{FILE} is not in"),
        (
            ["--methods", "aligned", "--out", "a.md", "--no-runs", "--set", f"data.root={root}"],
            "no finished trial",
        ),
    ):
        status, _, errors = open_door("study", "kddcup", *arguments)
        assert (status, errors.count("\n")) == (2, 1), (arguments, errors)
        assert said in errors


def test_the_config_builds_the_data():
    from energy_gan.run.build import build, check

    config = compose(["data=kddcup99", f"data.root={write_kdd(kdd_rows())}", "data.scaling=min_max"])
    check({"data": config["data"]})
    data = build(config["data"], "data")
    data.setup()
    assert data.scaling == "min_max"
    with pytest.raises(InputError, match=r"data\.scaling"):
        check({"data": config["data"] | {"scaling": "max"}})


def test_a_trial_from_before_a_setting_was_there_is_of_its_default():
    path = Path("trial")
    path.mkdir()
    config = compose(["data=digits", "method=gan"])
    del config["data"]["label_draw"]
    OmegaConf.save(config | {"run_dir": str(path)}, path / "config.yaml")
    (path / "metrics.json").write_text("{}")
    check_recipe(path, ["data=digits", "method=gan"])
    with pytest.raises(InputError, match=r"data\.label_draw=balanced and not frequency"):
        check_recipe(path, ["data=digits", "method=gan", "data.label_draw=frequency"])
