"""Classes at the door: of a table with few labels, of images in folders, and what a mistake costs."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import QUICK
from PIL import Image

import energy_gan
from energy_gan.run.compose import compose
from energy_gan.run.run import Run

ALONE = ["logger.wandb=null", "logger.tensorboard=null", "callbacks.report=null"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A table of two normals, its class in a column, and a short run on it with five labels of each."""
    home = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    frame = pd.DataFrame(rng.normal(size=(400, 3)) + 4 * y[:, None], columns=["a", "b", "c"])
    frame.insert(1, "kind", np.where(y, "left", "right"))
    frame.to_csv(home / "cells.csv", index=False)
    given = ["data=points", f"data.path='{home / 'cells.csv'}'", "data.label_column=kind", "data.labels=5"]
    given += ["method=symbol_vector", f"run_dir='{home / 'run'}'", *QUICK, *ALONE, "trainer.max_steps=100"]
    given += ["trainer.log_every_n_steps=50"]  # each look for divergence samples the prior
    given += ["method.prior_learns.optimizer.lr=0.01"]  # or so few steps would leave f where it began
    run = Run(compose(given))
    run.create()
    run.fit()
    return home, frame


def test_rows_get_their_class_its_probabilities_and_a_rank(home, open_door):
    home, frame = home
    status, output, errors = open_door(
        "classify", home / "run", "--input", home / "cells.csv", "--out", "out.csv"
    )
    assert (status, errors) == (0, "")
    found = pd.read_csv("out.csv")
    assert list(found.columns) == ["row", "class", "p(left)", "p(right)", "ranking"]
    np.testing.assert_allclose(found["p(left)"] + found["p(right)"], 1, atol=1e-6)
    right = (found["class"] == frame["kind"]).mean()
    assert right > 0.9
    assert f"{right:.2%} of 400 with a label are right" in output
    frame.drop(columns="kind").to_csv("plain.csv", index=False)
    assert open_door("classify", home / "run", "--input", "plain.csv", "--out", "again.csv")[1].startswith(
        "the classes of 400: ->"
    )
    pd.testing.assert_frame_equal(found, pd.read_csv("again.csv"))


def test_samples_of_a_class_are_of_it(home, open_door):
    run = home[0] / "run"
    for name in ("left", "right"):
        samples, classes = f"{name}.csv", f"{name}_classes.csv"
        assert open_door("sample", run, "--class", name, "--n", 100, "--out", samples)[0] == 0
        assert open_door("classify", run, "--input", samples, "--out", classes)[0] == 0
        assert (pd.read_csv(classes)["class"] == name).mean() > 0.7
    model = energy_gan.load(run)
    assert torch.equal(model.sample_class(5, "left", seed=1), model.sample_class(5, "left", seed=1))


def test_a_frame_with_labels_is_learned_in_python(home):
    frame = home[1].head(60)
    few = ["data.labels=3", "data.batch_size=16"]
    model = energy_gan.fit(
        frame, method="symbol_vector", label_column="kind", max_steps=3, overrides=few, verbose=False
    )
    assert model.classes == ["left", "right"]
    assert model.classify(frame.drop(columns="kind")).shape == (60, 2)


def test_a_saved_model_knows_its_classes(home, tmp_path):
    model = energy_gan.load(home[0] / "run")
    model.save(tmp_path / "saved")
    assert energy_gan.load(tmp_path / "saved").classes == ["left", "right"]


@pytest.mark.parametrize(
    ("door", "arguments", "message"),
    [
        ("classify", ["--input", "unseen.csv"], "row 1 is of class 'middle', which training has never seen"),
        ("classify", ["--input", "few.csv"], "expected 3"),
        (
            "sample",
            ["--class", "middle"],
            "class 'middle' is none that the run knows: give one of left, right",
        ),
        ("sample", ["--class", "left", "--refine", "3"], "--class takes chains of its own"),
    ],
)
def test_a_mistake_is_one_line(home, door, arguments, message, open_door):
    home, frame = home
    frame.assign(kind="middle").to_csv("unseen.csv", index=False)
    frame[["a", "b"]].to_csv("few.csv", index=False)
    status, _, errors = open_door(door, home / "run", *arguments)
    assert status == 2
    assert errors.count("\n") == 1
    assert message in errors


def test_a_run_without_classes_is_refused(finished_run, open_door):
    status, _, errors = open_door("classify", finished_run, "--input", "x.csv")
    assert status == 2
    assert "here it needs classes: give another run" in errors


def test_images_in_class_folders_are_told_how_many_are_right(tmp_path, open_door):
    from sklearn.datasets import load_digits

    given = [
        "data=digits",
        "method=symbol_vector",
        "data.labels=5",
        f"run_dir='{tmp_path / 'run'}'",
        *QUICK,
        *ALONE,
    ]
    run = Run(compose(given))
    run.create()
    run.fit()
    scans = load_digits()
    for i in range(30):
        folder = tmp_path / "mine" / str(scans.target[i])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((scans.images[i] * 15).astype(np.uint8)).save(folder / f"{i}.png")
    status, output, errors = open_door("classify", tmp_path / "run", "--input", "mine")
    assert (status, errors) == (0, "")
    assert "of 30 with a label are right" in output
    assert pd.read_csv("classes.csv")["file"].str.contains("/").all()
    (tmp_path / "mine/ten").mkdir()
    Image.fromarray((scans.images[0] * 15).astype(np.uint8)).save(tmp_path / "mine/ten/0.png")
    errors = open_door("classify", tmp_path / "run", "--input", "mine", "--out", "again.csv")[2]
    assert "is of class 'ten', which training has never seen" in errors
