"""The doors as somebody with images uses them: what they make, and what a mistake costs."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import QUICK
from PIL import Image

from energy_gan.metrics import inception
from energy_gan.reports.summary import summary
from energy_gan.run.checkpoints import load

SMALL = [
    "callbacks.report.n_samples=300",
    "callbacks.report.n_samples_during=100",
    "method.energy.features.hidden=[32,32]",
    "method.generator.hidden=[32,32]",
]


@pytest.fixture(scope="module")
def image_run(tmp_path_factory):
    """A short run on scikit-learn's digits, trained once for all tests; Inception is not looked for."""
    from energy_gan.run.compose import compose
    from energy_gan.run.run import Run

    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "_downloaded", lambda url, path: False)
        patch.setattr(torch.hub, "get_dir", lambda: str(folder / "hub"))
        given = [f"run_dir='{folder / 'run'}'", f"callbacks.report.features='{folder / 'features'}'"]
        run = Run(compose(["data=digits", *given, *QUICK, *SMALL]))
        run.create()
        run.fit()
    return folder / "run"


def test_a_run_on_images_leaves_numbers_and_pictures(image_run):
    report = json.loads((image_run / "metrics.json").read_text())
    assert report["name"] == "critic/digits", "the default for images"
    assert {
        "frechet_lenet", "recall_lenet", "class_smallest_share", "class_kl", "nearest_train_ratio",
        "energy_gap", "energy_held_out", "drift",
    } <= report["metrics"].keys()  # fmt: skip
    assert not any("inception" in name for name in report["metrics"]), "its weights were not there"
    assert report["yardsticks"].keys() == {"held-out data", "pixel Gaussian", "mixture of PPCA"}
    assert report["yardsticks"]["held-out data"]["frechet_lenet"] < report["metrics"]["frechet_lenet"]
    assert [row["step"] for row in report["history"]] == [10, 20]
    assert re.search(r"20 moves of MALA", report["verdict"])
    assert {p.stem for p in (image_run / "figures").iterdir()} == {
        "samples", "interpolation", "samples_by_energy", "held_out_by_energy", "nearest_neighbours",
        "energy_histograms", "curves",
    }  # fmt: skip


def test_the_summary_says_what_to_do_with_images(image_run):
    assert "INPUT=folder" in summary(image_run)
    assert "N=1000 OUT=samples.png" in summary(image_run)


def test_energies_are_of_images_between_0_and_1(image_run):
    """E_x(x) = E_u(2x − 1) + Σ log ½."""
    model = load(image_run)
    x = torch.rand(5, 1, 8, 8)
    u_energy = model.method.energy(2 * x - 1).detach()
    torch.testing.assert_close(model.energy(x), u_energy + 64 * np.log(0.5), rtol=1e-5, atol=1e-3)
    pixels = (x * 255).byte()
    torch.testing.assert_close(model.energy(pixels), model.energy(pixels.float() / 255))
    samples = model.sample(50)
    assert samples.min() >= 0
    assert samples.max() <= 1


def test_samples_become_a_picture_a_folder_or_an_array(image_run, open_door):
    assert open_door("sample", image_run, "--n", 9, "--out", "grid.png")[0] == 0
    assert Image.open("grid.png").size == (3 * (24 + 2) + 2, 3 * (24 + 2) + 2), "8 pixels, enlarged thrice"
    assert open_door("sample", image_run, "--n", 3, "--out", "each")[0] == 0
    assert [Image.open(f).size for f in sorted(Path("each").iterdir())] == [(8, 8)] * 3
    assert open_door("sample", image_run, "--n", 3, "--out", "array.npy")[0] == 0
    assert np.load("array.npy").shape == (3, 1, 8, 8)
    first = np.asarray(Image.open("each/00000.png").convert("L")) / 255
    np.testing.assert_allclose(first, np.load("array.npy")[0, 0], atol=0.5 / 255 + 1e-6)
    assert open_door("interpolate", image_run, "--rows", 2, "--columns", 5)[0] == 0
    assert Image.open("interpolation.png").size == (5 * 26 + 2, 2 * 26 + 2)


def test_the_pixels_of_both_ends_stand_below_a_path(image_run, open_door):
    arguments = ["--rows", 2, "--columns", 3, "--cross-fade"]
    assert open_door("interpolate", image_run, *arguments, "--out", "paths.png")[0] == 0
    pixels = np.asarray(Image.open("paths.png").convert("L")) / 255
    rows = [pixels[2 + 26 * k : 26 + 26 * k] for k in range(4)]
    left, middle, right = (slice(2 + 26 * k, 26 + 26 * k) for k in range(3))
    for path, mixed in (rows[:2], rows[2:]):
        np.testing.assert_allclose(path[:, left], mixed[:, left])
        np.testing.assert_allclose(mixed[:, middle], (path[:, left] + path[:, right]) / 2, atol=1 / 128)


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """A walk of three steps, trained for two, without a report."""
    from energy_gan.run.compose import compose
    from energy_gan.run.run import Run

    folder = tmp_path_factory.mktemp("short") / "run"
    small = ["method.energy.energy.features.hidden=[32,32]", "method.negatives.n_steps=3"]
    small += ["method.inference.n_steps=2", "trainer.max_steps=2", "callbacks.report=null", "logger={}"]
    run = Run(compose(["data=digits", "method=short_run", f"run_dir='{folder}'", *small]))
    run.create()
    run.fit()
    return folder


def test_images_are_reconstructed_beside_their_starts(short_run, open_door):
    status, output, errors = open_door("reconstruct", short_run, "--n", 9)
    assert status == 0, errors
    assert re.search(r"9 images, in \[0, 1\]: mean squared error 0\.\d+, of their mean 0\.\d+;", output)
    assert Image.open("reconstruction.png").size == (24 * 26 + 2, 2 * 26 + 2), "eight triples in a line"
    assert open_door("reconstruct", short_run, "--n", 3, "--free", "--out", "free.npy")[0] == 0
    held_out = load(short_run).reconstruct(torch.from_numpy(np.load("free.npy"))).points
    assert held_out.shape == (3, 1, 8, 8)


def test_images_of_a_folder_and_of_a_file_are_reconstructed(short_run, open_door):
    assert open_door("sample", short_run, "--n", 3, "--out", "mine")[0] == 0
    Path("mine/broken.png").write_bytes(b"no image")
    status, output, errors = open_door("reconstruct", short_run, "--input", "mine", "--out", "all.npy")
    assert status == 0, errors
    assert "1 files could not be read: broken.png" in output
    assert np.load("all.npy").shape == (3, 1, 8, 8)
    one = "mine/00001.png"
    assert open_door("reconstruct", short_run, "--input", one, "--out", "one.csv")[0] == 0
    assert pd.read_csv("one.csv").shape == (1, 64)


def test_paths_lead_from_image_to_image(short_run, image_run, open_door):
    """Both ends of a path are what the generator makes of what is inferred of the images beside them."""
    assert open_door("sample", short_run, "--n", 3, "--out", "mine")[0] == 0
    status, output, errors = open_door("interpolate", short_run, "--input", "mine", "--columns", 4)
    assert status == 0, errors
    assert output.startswith("2 paths of 4 images")
    assert Image.open("interpolation.png").size == (6 * 26 + 2, 2 * 26 + 2)
    two = ["mine/00000.png", "mine/00001.png"]
    given = ["--input", *two, "--columns", 3, "--out", "two.png"]
    status, _, errors = open_door("interpolate", short_run, *given)
    assert status == 0, errors
    model = load(short_run)
    x = torch.stack([torch.from_numpy(np.asarray(Image.open(f).convert("L"))[None] / 255) for f in two])
    paths = model.interpolate_between(x[:1].float(), x[1:].float(), 3)
    for end, image in ((0, x[:1]), (-1, x[1:])):
        torch.testing.assert_close(paths[:, end], model.reconstruct(image.float()).points, atol=1e-3, rtol=0)
    shown = np.asarray(Image.open("two.png").convert("L"))[2:26, 28:52] / 255
    np.testing.assert_allclose(shown[1::3, 1::3], paths[0, 0, 0].clamp(0, 1), atol=0.01)
    for arguments, message in (
        ([image_run, "--input", "mine", "--out", "i.png"], "here it needs inference"),
        (
            [short_run, "--input", two[0], "--out", "i.png"],
            "a path leads from image to image, and --input has 1",
        ),
        (
            [short_run, "--input", two[0], "absent.png", "--out", "i.png"],
            "absent.png does not exist: give images",
        ),
    ):
        status, _, errors = open_door("interpolate", *arguments)
        assert status == 2
        assert message in errors
        assert errors.count("\n") == 1, errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["OTHER"], "offers energy and generator, here it needs inference"),
        (["RUN", "--input", "absent"], "absent is no folder: give a folder of images"),
        (["RUN", "--input", "text.png"], "text.png is no image that can be read"),
        (["RUN", "--out", "r.txt"], "OUT=r.txt has an unknown ending"),
        (["RUN", "--n", "0"], "--n must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_reconstructed_is_one_line(short_run, image_run, open_door, arguments, message):
    Path("text.png").write_text("no image")
    runs = {"RUN": short_run, "OTHER": image_run}
    status, _, errors = open_door("reconstruct", *(runs.get(a, a) for a in arguments))
    assert status == 2
    assert re.search(message, errors), errors
    assert len(errors.strip().splitlines()) == 1, errors


@pytest.fixture(scope="module")
def grids_run(tmp_path_factory):
    """Energies on three grids, trained for two steps of short walks, without a report."""
    from energy_gan.run.compose import compose
    from energy_gan.run.run import Run

    folder = tmp_path_factory.mktemp("grids") / "run"
    few = ["trainer.max_steps=2", "callbacks.report=null", "logger={}", "data.batch_size=16"]
    few += [f"method.grids.{name}.negatives.n_steps=3" for name in ("coarse", "middle", "fine")]
    run = Run(compose(["data=digits", "method=multigrid", f"run_dir='{folder}'", *few]))
    run.create()
    run.fit()
    return folder


def test_hidden_pixels_are_filled_in_beside_yardsticks(grids_run, open_door):
    status, output, errors = open_door("inpaint", grids_run, "--n", 6, "--mask", "pepper")
    assert status == 0, errors
    assert re.search(
        r"6 images, 38 of 64 pixels filled in; their mean \|error\|: one walk 0\.\d+, the mean of 4 walks "
        r"0\.\d+, mixture of \d+ PPCA 0\.\d+, mean image 0\.\d+ -> inpainting.png",
        output,
    )
    assert Image.open("inpainting.png").size == (2 * 8 * 26 + 2, 3 * 26 + 2), "two images in a line"
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :4] = 255
    Image.fromarray(mask).save("mask.png")
    assert open_door("inpaint", grids_run, "--n", 3, "--mask", "mask.png", "--out", "f.npy")[0] == 0
    filled = torch.from_numpy(np.load("f.npy"))
    held_out = load(grids_run).inpaint(filled, torch.from_numpy(mask == 0))
    assert torch.equal(held_out[..., 4:], filled[..., 4:])


@pytest.mark.parametrize(
    ("run", "arguments", "message"),
    [
        ("grids", ["--mask", "blok"], "MASK=blok is no mask and no file: give block, doodle, pepper"),
        ("grids", ["--mask", "small.png"], "MASK=small.png is 5×5 and the images 8×8"),
        ("grids", ["--mask", "text.png"], "MASK=text.png is no picture that can be read"),
        ("grids", ["--mask", "black.png"], "MASK=black.png hides nothing"),
        ("grids", ["--input", "empty"], "empty holds no image"),
        ("short", [], "no generator from coarse to fine to fill in images with: train METHOD=multigrid"),
    ],
)
def test_what_cannot_be_filled_in_is_one_line(grids_run, short_run, open_door, run, arguments, message):
    Path("text.png").write_text("no image")
    Path("empty").mkdir()
    Image.new("L", (5, 5), 255).save("small.png")
    Image.new("L", (8, 8)).save("black.png")
    status, _, errors = open_door("inpaint", {"grids": grids_run, "short": short_run}[run], *arguments)
    assert status == 2
    assert re.search(message, errors), errors
    assert len(errors.strip().splitlines()) == 1, errors


def test_a_folder_of_images_is_scored(image_run, open_door):
    assert open_door("sample", image_run, "--n", 4, "--out", "mine")[0] == 0
    Path("mine/deeper").mkdir()
    Image.new("RGB", (30, 20), "red").save("mine/deeper/red.jpg")
    Path("mine/broken.png").write_bytes(b"no image")
    status, output, errors = open_door("energy", image_run, "--input", "mine", "--out", "energies.csv")
    assert status == 0, errors
    assert "1 files could not be read: broken.png" in output
    table = pd.read_csv("energies.csv")
    assert len(table) == 5
    assert table.energy.is_monotonic_increasing
    pixels = torch.from_numpy(
        np.asarray(Image.open("mine/00002.png").convert("L"))[None, None] / np.float32(255)
    )
    scored = table.set_index("file").energy["00002.png"]
    assert scored == pytest.approx(load(image_run).energy(pixels).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "RUN", "--out", "there.png"], "OUT=there.png exists already"),
        (["sample", "RUN", "--out", "there"], "OUT=there exists already"),
        (["interpolate", "RUN", "--columns", "1"], "--columns must be at least 2, got 1"),
        (
            ["interpolate", "RUN", "--out", "there.csv"],
            "OUT=there.csv has an unknown ending: give one of .png",
        ),
        (["energy", "RUN", "--input", "table.csv"], "no folder: give a folder of images"),
        (["energy", "RUN", "--input", "there"], "there holds no image and 0 other files"),
        (["energy", "RUN", "--input", "there", "--out", "e.npy"], "there is a table, .csv or .parquet"),
        (["data", "data=two_spiral"], "data=two_spiral is no image set and needs no decoding"),
        (["features", "data=two_spiral"], "data=two_spiral"),
    ],
)
def test_a_mistake_is_one_line(image_run, open_door, arguments, message):
    Path("there").mkdir()
    Path("there.png").write_bytes(b"mine")
    status, _, errors = open_door(*(image_run if a == "RUN" else a for a in arguments))
    assert status == 2
    assert re.search(message, errors), errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert Path("there.png").read_bytes() == b"mine"


def test_points_are_no_images(finished_run, open_door):
    status, _, errors = open_door("interpolate", finished_run)
    assert status == 2
    assert "was trained on points, and here it needs images" in errors
    assert open_door("sample", finished_run, "--out", "samples.png")[0] == 2
