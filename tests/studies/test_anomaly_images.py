"""Anomalies among images: a digit left out, images of other kinds, folders of one's own."""

import argparse
import json
import struct
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, roc_auc_score

from energy_gan.data.digits import Digits
from energy_gan.data.folder import folder_batches
from energy_gan.data.held_out_digit import leave_out, share_of_anomalies
from energy_gan.data.mnist import MNIST, FashionMNIST
from energy_gan.data.outside import KINDS, find, other_set, other_sets
from energy_gan.detection import crop_of
from energy_gan.errors import InputError
from energy_gan.metrics.anomaly import DETECTORS, DETERMINISTIC, OF_IMAGES, auroc, detectors
from energy_gan.run.build import build, check
from energy_gan.run.compose import compose
from energy_gan.run.run import Run
from energy_gan.studies.held_out_digit import HeldOutDigit, both
from energy_gan.studies.held_out_digit_page import PUBLISHED, distances, table
from energy_gan.studies.study import Trial

RNG = np.random.default_rng(0)
QUICK = ["trainer.max_steps=3", "data.batch_size=16", "callbacks.progress.refresh_rate=0"]


def write_idx(root="data", n_train=150, n_test=50, name="MNIST"):
    """The four files; an image has its number in its first two pixels, and its digit as a bright row."""
    folder = Path(root, name, "raw")
    folder.mkdir(parents=True)
    first = 0
    for part, n in (("train", n_train), ("t10k", n_test)):
        numbers = np.arange(first, first + n)
        labels = (numbers % 10).astype(np.uint8)
        pictures = np.random.default_rng(n).integers(0, 40, (n, 28, 28), np.uint8)
        pictures[np.arange(n), 5 + 2 * labels] = 255
        pictures[:, 0, 0], pictures[:, 0, 1] = numbers % 256, numbers // 256
        head = struct.pack(">IIII", 0x803, n, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + pictures.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + labels.tobytes())
        first += n
    return root


def numbers_of(images):
    return (images[:, 0, 0, 0].int() + 256 * images[:, 0, 0, 1].int()).tolist()


def without(digit=9, kind=MNIST, cache=None, **how):
    data = kind("data", cache=cache, download=False, without=digit, **how)
    data.setup()
    return data


# ---- a digit left out


@pytest.mark.parametrize("digit", [0, 4, 9])
def test_the_pool_is_split_into_training_inliers_and_anomalies(digit):
    write_idx()
    data = without(digit)
    train, test = numbers_of(data.points), numbers_of(data.test)
    assert sorted(train + test) == list(range(200)), "every image of both parts once"
    labels = np.array(test) % 10
    np.testing.assert_array_equal(data.test_labels, labels == digit)
    assert not any(n % 10 == digit for n in train)
    assert len(train) == 144, "four fifths of 180"
    assert torch.equal(data.test[: len(data.held_out)], data.held_out)
    assert (data.test_labels[: len(data.held_out)] == 0).all()
    for images, labels in ((data.points, data.labels), (data.held_out, data.held_out_labels)):
        assert [data.classes[i] for i in labels] == [str(n % 10) for n in numbers_of(images)]
    assert data.classes == [str(i) for i in range(10) if i != digit]


def test_the_split_does_not_depend_on_the_seed_and_a_cache_changes_nothing():
    write_idx()
    one, other = without(4, seed=0), without(4, seed=1, cache="cache")
    kept, again = without(5, cache="cache"), without(4, cache="cache")
    for data in (other, again):
        assert torch.equal(one.points, data.points)
        assert torch.equal(one.test, data.test)
    assert numbers_of(kept.points) != numbers_of(one.points)
    whole = MNIST("data", cache="cache", download=False)
    whole.setup()
    assert numbers_of(whole.points) == list(range(150)), "the official parts, as ever"
    assert numbers_of(whole.held_out) == list(range(150, 200))
    assert not again.decoded["train"].built, "found, for each digit its own"


def test_a_border_and_the_sets_in_the_format_of_mnist():
    write_idx(name="FashionMNIST")
    plain, wide = (without(3, FashionMNIST, shape=[1, side, side]) for side in (28, 32))
    assert torch.equal(wide.test[..., 2:-2, 2:-2], plain.test)
    assert "Dress" not in plain.classes
    assert len(plain.classes) == 9


def test_scikit_learn_s_digits_leave_one_out_too():
    data = Digits(without=9)
    data.setup()
    scans = load_digits()
    assert len(data.points) + len(data.test) == len(scans.target)
    assert int(data.test_labels.sum()) == (scans.target == 9).sum()
    assert data.classes == [str(i) for i in range(9)]
    nines = np.round(scans.images[scans.target == 9] * (255 / 16)).astype(np.uint8)
    found = data.test[data.test_labels == 1][:, 0].numpy()
    assert sorted(map(bytes, found)) == sorted(map(bytes, nines))


def test_base_rates_by_hand():
    labels = np.repeat(np.arange(10), [0, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958])
    labels = np.concatenate([np.zeros(6903, int), labels])  # MNIST's own counts
    for digit, whole, fifth in ((1, 0.388, 0.1125), (9, 0.3556, 0.0994)):
        rows = leave_out(labels, digit)
        assert len(np.unique(np.concatenate(rows))) == 70_000
        assert (labels[rows.anomalies] == digit).all()
        test = np.repeat([0, 1], [len(rows.inliers), len(rows.anomalies)])
        assert test.mean() == pytest.approx(whole, abs=1e-4)
        kept = share_of_anomalies(test)
        assert test[kept].mean() == pytest.approx(fifth, abs=1e-4)
        assert kept[test == 0].all()


def test_the_share_is_the_first_of_the_anomalies():
    labels = np.array([1, 0, 1, 1, 0, 1, 1])
    np.testing.assert_array_equal(share_of_anomalies(labels, 0.4), [1, 1, 1, 0, 1, 0, 0])
    assert share_of_anomalies(labels, 1.0).all()
    assert share_of_anomalies(labels, 0.01).sum() == 3, "at least one"
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match="share"):
            share_of_anomalies(labels, share)


def test_both_tests_measure_the_same_scores():
    labels = np.repeat([0, 1], [400, 300])
    scores = RNG.normal(size=700) + labels
    numbers = both(scores, labels)
    fifth = np.r_[:460]
    for test, rows in (("all", np.r_[:700]), ("share", fifth)):
        expected = average_precision_score(labels[rows], scores[rows])
        assert numbers[test]["average_precision"] == pytest.approx(expected)
        assert numbers[test]["base_rate"] == labels[rows].mean()
    nothing = both(np.ones(700), labels)
    assert nothing["share"]["average_precision"] == pytest.approx(60 / 460)


@pytest.mark.parametrize("digit", [-1, 10])
def test_a_digit_that_is_none_is_refused(digit):
    with pytest.raises(ValueError, match="without must be the number of a class"):
        MNIST(without=digit)


def test_a_class_without_images_is_one_line():
    write_idx(n_train=5, n_test=3)
    with pytest.raises(InputError, match="of 8 images 0 are of class 9 and 8 of others") as error:
        without(9)
    assert "\n" not in str(error.value)


def test_the_config_takes_the_digit():
    write_idx()
    node = compose(["data=mnist", "data.without=7", "data.cache=null", "data.download=false"])["data"]
    check({"data": node})
    data = build(node, "data")
    data.setup()
    assert "7" not in data.classes
    with pytest.raises(InputError, match=r"data\.without"):
        check({"data": node | {"without": "seven"}})


# ---- numbers


def test_the_area_under_the_roc_curve_is_that_of_a_known_score():
    assert auroc(np.array([1, 2]), np.array([3, 4])) == 1
    assert auroc(np.array([3, 4]), np.array([1, 2])) == 0
    assert auroc(np.array([1, 3]), np.array([2, 2, 3])) == pytest.approx((2 * 1 + 1 * 1.5) / 6)
    inside, outside = RNG.normal(size=300), RNG.normal(1, 2, 200)
    expected = roc_auc_score(np.repeat([0, 1], [300, 200]), np.concatenate([inside, outside]))
    assert auroc(inside, outside) == pytest.approx(expected)
    with pytest.raises(ValueError, match="not finite"):
        auroc(np.array([1.0, np.nan]), outside)


def test_pixels_are_not_rescaled_where_not_asked_for():
    train = RNG.normal(size=(400, 6)) * [1, 1, 1, 1, 1, 1e-3]
    test = np.concatenate([train[:50], train[:50] + np.eye(6)[5] * 0.02])
    nearest = detectors(train, test, 0, ["nearest neighbour"], rescale=False)["nearest neighbour"]
    assert nearest[:50] == pytest.approx(0, abs=1e-3)
    assert nearest[50:] == pytest.approx(0.02, rel=0.05)
    assert detectors(train, test, 0, ["nearest neighbour"])["nearest neighbour"][50:].min() > 0.1


def test_the_mixture_finds_what_is_off_the_surface():
    plane = RNG.normal(size=(500, 2)) @ RNG.normal(size=(2, 8))
    test = np.concatenate([plane[:100], plane[100:200] + RNG.normal(size=(100, 8))])
    assert set(OF_IMAGES) - set(DETECTORS) == {"mixture of PPCA"}
    scores = detectors(plane, test, 0, ["mixture of PPCA"], rescale=False)["mixture of PPCA"]
    assert auroc(scores[:100], scores[100:]) > 0.99


# ---- the door for digits


def trial(path, overrides):
    """A run in this process, for `run_trial`, which is tested with KDD Cup 99."""
    run = Run(compose([*overrides, f"run_dir='{path}'", "logger.wandb=null"]))
    run.create()
    run.fit()
    trial.runs.append(path)


SMALL = ["method.energy.features.hidden=[16,16]", "method.generator.hidden=[16,16]"]
FEW_DETECTORS = ("isolation forest", "nearest neighbour")
ASKED = ["--methods", "critic", "--digits", 1, 9, "--seeds", 0, 1, "--steps", 3]


def test_the_table_over_digits_and_seeds_is_made_once(open_door, monkeypatch):
    monkeypatch.setattr("energy_gan.studies.study.run_trial", trial)
    monkeypatch.setattr("energy_gan.metrics.anomaly.OF_IMAGES", FEW_DETECTORS)
    trial.runs = []
    write_idx()
    Path("docs").mkdir()
    given = [*ASKED, "--set", "data.root=data", *QUICK[1:], *SMALL]
    status, _, errors = open_door("study", "held_out_digit", *given)
    assert status == 0, errors
    assert len(trial.runs) == 4
    page = Path("docs/anomaly_mnist.md").read_text()
    share, whole, roc = (part.splitlines() for part in page.split("\n## ")[1:])
    assert any(line.startswith("| | 1 (0.100) | 9 (0.100) | mean |") for line in share), "4 of 40"
    assert any(line.startswith("| | 1 (0.357) | 9 (0.357) | mean |") for line in whole), "20 of 56"
    assert "| MEG, as published | 0.281 ± 0.035 | 0.342 ± 0.034 |" in "\n".join(whole)
    assert "| VAE, as published | 0.063 | 0.104 |" in "\n".join(share)
    assert "MEG" not in "\n".join(share)
    assert "published" not in "\n".join(roc)
    kept = [json.loads(Path(f"runs/anomaly_mnist/critic/digit_9/seed_{i}/anomaly.json").read_text())
            for i in (0, 1)]  # fmt: skip
    for name in ("E", "‖∇E‖²"):
        values = [numbers[name]["share"]["average_precision"] for numbers in kept]
        line = next(line for line in share if line.startswith(f"| `critic`, by {name} |"))
        assert f" {np.mean(values):.3f} ± {np.std(values, ddof=1):.3f} " in line.split("|")[3]
        assert line.split("|")[5] == " 2 "
    for name in FEW_DETECTORS:
        line = next(line for line in share if line.startswith(f"| {name} |"))
        assert ("±" in line) == (name not in DETERMINISTIC)
    run = Path("runs/anomaly_mnist/critic/digit_9/seed_0")
    data = compose(["data=mnist", "data.without=9", "data.download=false"])["data"]
    data = build(data | {"cache": None}, "data")
    data.setup()
    from energy_gan.run.checkpoints import load

    energies = load(run).energy(data.test).numpy()
    expected = average_precision_score(data.test_labels, energies)
    assert kept[0]["E"]["all"]["average_precision"] == pytest.approx(expected)

    monkeypatch.setattr("energy_gan.studies.study.Study.run_all", None)
    assert open_door("study", "held_out_digit", *given, "--no-runs")[0] == 0
    assert Path("docs/anomaly_mnist.md").read_text() == page


def test_a_second_call_runs_nothing_and_a_cut_one_goes_on(open_door, monkeypatch):
    monkeypatch.setattr("energy_gan.studies.study.run_trial", trial)
    monkeypatch.setattr("energy_gan.metrics.anomaly.OF_IMAGES", ("isolation forest",))
    trial.runs = []
    write_idx()
    given = ["--methods", "critic", "--digits", 9, "--seeds", 0, "--steps", 3, "--out", "a.md"]
    given += ["--set", "data.root=data", *QUICK[1:], *SMALL]
    assert open_door("study", "held_out_digit", *given)[0] == 0
    page = Path("a.md").read_text()
    before = {p: p.stat().st_mtime_ns for p in Path("runs").rglob("*") if p.suffix in (".ckpt", ".json")}
    assert open_door("study", "held_out_digit", *given)[0] == 0
    after = {p: p.stat().st_mtime_ns for p in Path("runs").rglob("*") if p.suffix in (".ckpt", ".json")}
    assert before == after
    assert len(trial.runs) == 1
    kept = Path("runs/anomaly_mnist/critic/digit_9/seed_0/anomaly.json")
    numbers = json.loads(kept.read_text())
    kept.unlink()  # cut between training and scoring
    assert open_door("study", "held_out_digit", *given)[0] == 0
    again = json.loads(kept.read_text())
    assert len(trial.runs) == 1, "trained already"
    assert again["E"] == numbers["E"]
    assert "seconds" not in again, "not known"

    status, _, errors = open_door("study", "held_out_digit", *given, "--steps", 4)
    assert (status, errors.count("\n")) == (2, 1)
    assert "was made with trainer.max_steps=3 and not 4: give another --folder" in errors
    kept.unlink()  # nor is it scored as another, or gone on with
    status, _, errors = open_door("study", "held_out_digit", *given, "--steps", 2)
    assert (status, errors.count("\n")) == (2, 1)
    assert "was made with trainer.max_steps=3 and not 2" in errors
    assert not kept.exists()
    kept.write_text(json.dumps({"steps": 3} | numbers))  # as an earlier version kept them
    assert open_door("study", "held_out_digit", *given, "--no-runs")[0] == 0
    assert Path("a.md").read_text() == page
    write_idx("others", 100, 40)
    other = [g if g != "data.root=data" else "data.root=others" for g in map(str, given)]
    status, _, errors = open_door("study", "held_out_digit", *other, "--seeds", 0, 1)
    assert (status, errors.count("error:")) == (2, 1)
    assert "holds trials of another test of digit 9" in errors
    assert Path("a.md").read_text().splitlines()[:5] == page.splitlines()[:5]


def test_a_failed_trial_names_its_log(open_door, monkeypatch):
    log = Path("runs/x.log")
    monkeypatch.setattr("energy_gan.studies.study.run_trial", lambda path, overrides: log)
    monkeypatch.setattr("energy_gan.metrics.anomaly.OF_IMAGES", ("isolation forest",))
    write_idx()
    status, output, errors = open_door(
        "study",
        "held_out_digit",
        "--methods",
        "critic",
        "--digits",
        9,
        "--seeds",
        0,
        "--out",
        "a.md",
        "--steps",
        3,
    )
    assert status == 2
    assert f"1 trials failed, their logs: {log}" in errors
    assert "isolation forest" in output, "the rest is shown"


def test_mistakes_at_the_table_are_one_line(open_door):
    for arguments, said in (
        (["--methods", "magic"], "--methods magic is unknown: choose from"),
        (["--methods", "exact_likelihood"], "method=exact_likelihood is not made for images"),
        (["--digits", "10"], "--digits must be from 0 to 9, got 10"),
        (["--seeds", "-1"], "0 or more"),
        (["--steps", "0"], "--steps must be at least 1, got 0"),
        (["--out", "no/where.md"], "does not exist"),
        (["--no-runs"], "no finished trial in runs/anomaly_mnist"),
        (["--set", "data.download=false"], "MNIST is not there"),
        (["--set", "trainer.max_stps=5"], "not a key of the config"),
    ):
        status, _, errors = open_door("study", "held_out_digit", "--out", "a.md", *arguments)
        assert (status, errors.count("error:")) == (2, 1), (arguments, errors)
        assert said in errors
    assert not Path("a.md").exists()


def test_settings_given_come_after_those_of_the_recipe():
    def config_of(trial, **given):
        return compose(HeldOutDigit(argparse.Namespace(**given)).overrides(trial))

    config = config_of(Trial("meg", 4, 2), steps=7, set=["data.root=data"])
    assert config["method"]["penalty"]["weight"] == 0.01
    assert config["method"]["penalty"]["reduction"] == "per_sample"
    assert config["callbacks"]["average"]["decay"] == 0.998
    assert (config["data"]["without"], config["seed"], config["trainer"]["max_steps"]) == (4, 2, 7)
    given = config_of(Trial("meg", 4, 2), steps=7, set=["method.penalty.weight=3.0"])
    assert given["method"]["penalty"]["weight"] == 3
    other = config_of(Trial("critic", 4, 2), steps=None, set=[])["method"]["penalty"]
    assert other == compose(["data=mnist", "method=critic"])["method"]["penalty"]


def test_what_is_missing_is_a_dash_and_the_distance_is_to_what_was_published():
    one = {"all": {"average_precision": 0.4, "base_rate": 0.1}, "seconds": 2.0}
    two = {"all": {"average_precision": 0.5, "base_rate": 0.1}, "seconds": None}
    rows = {"`a`, by E": {1: [one, two], 4: [one]}, "`b`, by E": {1: [one], 4: [one]}, "forest": {1: [two]}}
    lines = table(rows, (1, 4), "all", "average_precision").splitlines()
    assert lines[0] == "| | 1 (0.100) | 4 (0.100) | mean | seeds | seconds |"
    assert lines[2] == "| `a`, by E | 0.450 ± 0.071 | 0.400 | 0.425 | 1–2 | 2 |"
    assert lines[4] == "| forest | 0.500 | – | – | 1 | – |"
    assert "| LEBM, as published | 0.336 ± 0.008 | 0.630 ± 0.017 | 0.483 | | |" in lines
    assert "| DAMC, as published | – | 0.684 | – | | |" in table(rows, (9, 1), "all", "average_precision")
    assert len({line.count("|") for line in lines}) == 1
    said = distances(rows, (1, 4))
    assert "`a`, by E" in said
    assert f"| MEG | {0.45 - 0.281:+.3f} | {0.4 - 0.401:+.3f} |" in said
    assert f"| LEBM | {0.45 - 0.336:+.3f} | {0.4 - 0.63:+.3f} |" in said
    assert distances({"forest": {1: [one]}}, (1,)) == ""
    assert all(len(values) == 5 for published in PUBLISHED.values() for values in published.values())


# ---- images of other kinds


def write_omniglot(root, n=12):
    """Two archives that overlap: black strokes, each in a row of its own, on white paper of 105×105."""
    (root / "omniglot").mkdir(parents=True)
    for archive, some in (("small1", range(n)), ("small2", range(n // 2, n + 3))):
        with ZipFile(root / f"omniglot/images_background_{archive}.zip", "w") as file:
            for i in some:
                paper = np.full((105, 105), 255, np.uint8)
                paper[7 * (i % 14) : 7 * (i % 14) + 7] = 0
                Image.fromarray(paper).convert("1").save("stroke.png")
                file.write("stroke.png", f"images_{archive}/Latin/character01/{i:04d}_01.png")
    return root


def write_kmnist(root, n=30):
    (root / "kmnist").mkdir(parents=True)
    images = RNG.integers(0, 256, (n, 28, 28), np.uint8)
    np.savez(root / "kmnist/kmnist-test-imgs.npz", images)
    return images


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 32, 32), (3, 20, 16)])
def test_every_kind_gives_images_of_the_shape_and_repeats(shape, tmp_path):
    write_omniglot(tmp_path)
    write_kmnist(tmp_path)
    for name in KINDS:
        x, again = (other_set(name, shape, 10, tmp_path, seed=3) for _ in range(2))
        assert x.shape == (10, *shape)
        assert x.dtype == torch.float32
        assert x.min() >= 0
        assert x.max() <= 1
        assert torch.equal(x, again)
        assert not torch.equal(x, other_set(name, shape, 10, tmp_path, seed=4))


def test_omniglot_is_white_on_black_and_each_drawing_once(tmp_path):
    x = other_set("omniglot", (1, 105, 105), 100, write_omniglot(tmp_path))
    assert len(x) == 15, "12 and 9, of which 6 are in both"
    assert x.unique().tolist() == [0, 1]
    assert x.mean() == pytest.approx(7 / 105)
    assert Counter(x[:, 0, :, 0].argmax(1).tolist())[0] == 2, "strokes 0 and 14 are at the top"
    small = other_set("omniglot", (1, 28, 28), 100, tmp_path)
    assert small.mean() == pytest.approx(7 / 105, abs=0.01)


def test_kmnist_is_its_test_part_in_either_layout(tmp_path):
    images = write_kmnist(tmp_path / "npz")
    raw = tmp_path / "idx/KMNIST/raw"
    raw.mkdir(parents=True)
    head = struct.pack(">IIII", 0x803, len(images), 28, 28)
    (raw / "t10k-images-idx3-ubyte").write_bytes(head + images.tobytes())
    one, other = (other_set("kmnist", (1, 28, 28), 99, tmp_path / layout) for layout in ("npz", "idx"))
    assert torch.equal(one, other)
    assert sorted((one * 255).sum((1, 2, 3)).round().int().tolist()) == sorted(images.sum((1, 2)).tolist())


def test_noise_is_what_it_says():
    noise, gaussian, constant = (
        other_set(name, (1, 20, 20), 400, Path("none")) for name in ("noise", "gaussian", "constant")
    )
    assert noise.mean() == pytest.approx(0.5, abs=0.01)
    assert noise.var() == pytest.approx(1 / 12, abs=0.002)
    assert gaussian.median() == pytest.approx(0.5, abs=0.01)
    assert gaussian.std() == pytest.approx(0.25, abs=0.02)
    assert (constant.flatten(1).std(1) < 1e-6).all()
    assert constant[:, 0, 0, 0].std() == pytest.approx(12**-0.5, abs=0.03)


def test_what_is_not_there_is_one_line(tmp_path):
    for name, said in (("kmnist", "rois-codh/kmnist"), ("omniglot", "brendenlake/omniglot")):
        assert find(name, tmp_path) == []
        with pytest.raises(InputError, match=rf"{name} is not there: looked for .*{said}.*--root FOLDER"):
            other_set(name, (1, 28, 28), 5, tmp_path)
    (tmp_path / "omniglot").mkdir()
    (tmp_path / "omniglot/images_1.zip").write_bytes(b"no archive")
    (tmp_path / "kmnist").mkdir()
    (tmp_path / "kmnist/kmnist-test-imgs.npz").write_bytes(b"no array")
    for name in ("kmnist", "omniglot"):
        with pytest.raises(InputError, match=r"cannot be read .*get it anew") as error:
            other_set(name, (1, 28, 28), 5, tmp_path)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="the kind must be one of kmnist"):
        other_set("letters", (1, 28, 28), 5, tmp_path)


@pytest.fixture(scope="module")
def image_run(tmp_path_factory):
    """A short run on small files of MNIST's layout, and the folder of these."""
    folder = tmp_path_factory.mktemp("image_run")
    root = write_idx(folder / "data")
    settings = ["data=mnist", f"data.root={root}", "data.download=false", "data.cache=null", "method=critic"]
    quiet = ["callbacks.report=null", "logger.wandb=null"]
    run = Run(compose([*settings, *quiet, *QUICK, *SMALL, f"run_dir='{folder / 'run'}'"]))
    run.create()
    run.fit()
    return folder / "run", root


def test_ood_measures_the_energy_against_every_set(open_door, image_run):
    from energy_gan.run.checkpoints import load

    run, root = image_run
    folder = Path("mine")
    folder.mkdir()
    for i in range(12):
        Image.fromarray(RNG.integers(0, 256, (30, 40), np.uint8)).save(folder / f"{i}.png")
    (folder / "bad.png").write_bytes(b"no image")
    given = [run, "--versus", "noise", "constant", "mine", "--n", 40, "--out", "ood.json"]
    status, output, errors = open_door("ood", *given)
    assert status == 0, errors
    kept = json.loads(Path("ood.json").read_text())
    assert list(kept["auroc"]) == ["noise", "constant", "mine"]
    assert "1 files could not be read: bad.png" in output
    assert kept["auroc"]["noise"]["nearest neighbour"] == 1, "noise is far from every image"
    assert f"{kept['auroc']['constant']['E']:.4f}" in output
    held_out = MNIST(str(root), cache=None, download=False)
    held_out.setup()
    few, noise = load(run).energy(held_out.held_out), load(run).energy(
        other_set("noise", (1, 28, 28), 40, root)
    )  # fmt: skip
    whole = auroc(few.numpy(), noise.numpy())
    assert kept["auroc"]["noise"]["E"] == pytest.approx(whole, abs=0.1), "40 of the 50 held out"
    status, _, errors = open_door("ood", *given)
    assert (status, errors.count("\n")) == (2, 1)
    assert "exists already" in errors


def test_without_versus_it_takes_what_is_there(open_door, image_run):
    run, _ = image_run
    write_kmnist(Path("files"))
    status, output, errors = open_door("ood", run, "--root", "files", "--n", 20, "--out", "o.json")
    assert status == 0, errors
    assert "left out: omniglot, not found in" in output
    assert list(json.loads(Path("o.json").read_text())["auroc"]) == [
        "kmnist",
        "noise",
        "gaussian",
        "constant",
    ]


def test_a_folder_may_be_called_own(open_door, image_run):
    Path("own").mkdir()
    for i in range(12):
        Image.fromarray(np.full((30, 40), 20 * i, np.uint8)).save(f"own/{i}.png")
    Path("mine").symlink_to("own")
    given = [image_run[0], "--n", 40, "--versus", "own", "mine", "--out", "ood.json"]
    status, _, errors = open_door("ood", *given)
    assert status == 0, errors
    kept = json.loads(Path("ood.json").read_text())["auroc"]
    assert list(kept) == ["own", "mine"]
    assert kept["own"] == pytest.approx(kept["mine"])


def test_the_seed_is_of_the_choice_and_the_crop_that_of_the_run():
    """A left half that is dark: the centre of it is other than the whole."""
    Path("many").mkdir()
    for i in range(30):
        image = np.full((8, 24), 200, np.uint8)
        image[:, :8], image[0, 12] = 0, i
        Image.fromarray(image).save(f"many/{i}.png")

    def chosen(**settings):
        (names, x), *_ = folder_batches(Path("many"), (1, 8, 8), bad=[], **settings)
        return names, x

    names, of_centre = chosen(crop="centre", most=5, seed=1)
    assert names == chosen(crop="centre", most=5, seed=1)[0]
    assert names != chosen(crop="centre", most=5, seed=2)[0]
    for crop, expected in (("centre", of_centre), ("none", chosen(crop="none", most=5, seed=1)[1])):
        assert torch.equal(other_sets(["many"], (1, 8, 8), 5, Path(), crop, 1, [])["many"], expected)
    assert not torch.equal(of_centre, expected)
    for crop, expected in (("none", "none"), ("centre", "centre"), (108, "centre"), (None, "centre")):
        assert crop_of({"crop": crop}) == expected


@pytest.fixture(scope="module")
def point_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("point_run") / "run"
    few = ["data.n_points=64", "data.n_held_out=64", "callbacks.report=null", "logger.wandb=null", *QUICK]
    run = Run(compose(["data=eight_gaussians", "method=kim_bengio", f"run_dir='{folder}'", *few]))
    run.create()
    run.fit()
    return folder


def test_mistakes_at_ood_are_one_line(open_door, image_run, point_run):
    run, _ = image_run
    Path("empty").mkdir()
    Path("there.json").write_text("{}")
    for arguments, said in (
        ([run, "--versus", "letters"], "--versus letters is no folder and no kind: give a folder of images"),
        ([run, "--versus", "omniglot"], "omniglot is not there: looked for"),
        ([run, "--versus", "empty"], "there is no image that can be read in"),
        ([run, "--n", 5], "--n must be at least 10"),
        ([run, "--seed", -1], "--seed must be at least 0, got -1"),
        ([run, "--out", "there.json"], "exists already"),
        ([run, "--out", "a.csv"], "unknown ending"),
        ([run, "seed=3"], "only trust"),
        (["nowhere"], "nowhere"),
        ([point_run], "was trained on points and offers energy and generator, here it needs images"),
    ):
        status, _, errors = open_door("ood", *arguments)
        assert (status, errors.count("\n")) == (2, 1), (arguments, errors)
        assert said in errors


# ---- folders of one's own


def write_images(folder, n, bright=False, seed=0):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(n):
        image = rng.integers(0, 60, (12, 12)) + (190 if bright else 0)
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{i}.png")


FEW = ["data.shape=[1,8,8]", "data.workers=0", "experiment=critic/small_images", "data.held_out=0.4", *SMALL]
FEW += ["trainer.max_steps=60", *QUICK[1:]]


def test_detect_finds_the_images_of_another_kind(open_door):
    write_images(Path("Ann's normal"), 120)
    write_images(Path("new/b"), 20, seed=1)
    write_images(Path("new/a"), 3, bright=True)
    Path("new/b/torn.png").write_bytes(b"no image")
    status, output, errors = open_door(
        "detect", "--train", "Ann's normal", "--score", "new", "--rate", 0.1, *FEW
    )
    assert status == 0, errors
    scores = pd.read_csv("scores.csv").set_index("file")
    assert list(scores.columns) == ["energy", "anomalous"]
    assert set(scores.index) == {f"a/{i}.png" for i in range(3)} | {f"b/{i}.png" for i in range(20)}
    assert (scores["anomalous"][[f"a/{i}.png" for i in range(3)]] == "yes").all()
    assert (scores["anomalous"] == "yes").sum() <= 3 + 8
    assert "1 files could not be read: b/torn.png" in output
    assert {p.name for p in Path().iterdir()} == {"Ann's normal", "new", "scores.csv"}, "nothing else is left"


def test_detect_with_a_run_that_is_kept(open_door, image_run):
    write_images(Path("normal"), 120)
    write_images(Path("new"), 10, seed=1)
    of = ["--score", "new", "--rate", 0.1]
    kept = ["run_dir=kept", "callbacks.report=null", "logger.wandb=null"]
    status, _, errors = open_door("detect", "--train", "normal", *of, *FEW, *kept)
    assert status == 0, errors
    status, _, errors = open_door("detect", "--run", "kept", *of, "--out", "again.csv")
    assert status == 0, errors
    a, b = pd.read_csv("scores.csv"), pd.read_csv("again.csv")
    np.testing.assert_allclose(a["energy"], b["energy"], rtol=1e-4)
    assert a["anomalous"].tolist() == b["anomalous"].tolist()
    status, output, errors = open_door("detect", "--run", image_run[0], *of, "--out", "digits.csv")
    assert status == 0, errors
    assert "of 10 images of new are anomalous" in output
    assert "by 50 held out" in output


def test_mistakes_with_folders_are_one_line(open_door, image_run, point_run, table):
    write_images(Path("normal"), 40)
    write_images(Path("torn"), 40)
    Path("torn/3.png").write_bytes(b"no image")
    Path("empty").mkdir()
    Path("text").mkdir()
    Path("text/a.txt").write_text("1")
    Path("broken").mkdir()
    Path("broken/a.png").write_bytes(b"no image")
    normal = ["--train", "normal", "--rate", "0.2"]
    for arguments, said in (
        ([*normal, "--score", "empty"], "empty holds no image and 0 other files"),
        ([*normal, "--score", "text"], "text holds no image and 1 other files"),
        ([*normal, "--score", table[0]], "normal is of images and "),
        (["--train", table[0], "--score", "normal"], "is of rows and normal is a folder"),
        ([*normal, "--score", "nowhere"], "normal is of images and nowhere is no folder"),
        (["--train", "empty", "--score", "normal"], "holds 0 images and 0 other files"),
        (["--train", "torn", "--score", "normal", "--rate", 0.2], "3.png cannot be decoded"),
        ([*normal, "--score", "normal", "--rate", 0.01], "at least 99 held-out normal images, there are"),
        ([*normal, "--score", "normal", "data.root=x"], "cannot be given here"),
        ([*normal, "--score", "broken"], "there is no image that can be read in"),
        (["--run", image_run[0], "--score", table[0]], "is no folder: give a folder of images"),
        (["--run", point_run, "--score", "normal"], "is of rows and normal is a folder: give a .csv"),
    ):
        few = FEW if "--train" in arguments else []
        status, _, errors = open_door("detect", *arguments, *few)
        assert (status, errors.count("error:")) == (2, 1), (arguments, errors)
        assert said in errors
    assert not Path("scores.csv").exists()
