"""Room on the disk, and what never gets into a run's folder or out of one."""

import re
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from faults import kills, pictures, planted

from energy_gan.data.folder import Folder
from energy_gan.data.outside import other_set
from energy_gan.errors import InputError

SINGLE = planted.RUNS["kim_bengio"]


# --- room --------------------------------------------------------------------------------------------------

Usage = namedtuple("Usage", "total used free")


def free(monkeypatch, size):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, int(size)))


@pytest.mark.parametrize("given", [SINGLE, kills.RUNS["kim_bengio, averaged"]], ids=["plain", "averaged"])
def test_a_run_needs_room_for_its_checkpoints_before_anything_is_written(given, monkeypatch):
    given = (given, "run", "trainer.max_steps=2", "callbacks.checkpoint.every_n_steps=1")
    run = planted.started(*given)
    run.create()
    run.fit()
    size = Path("run/checkpoints/step_000000002.ckpt").stat().st_size
    shutil.rmtree("run")
    free(monkeypatch, 3 * 0.85 * size)  # two are kept, a third is there for a moment
    with pytest.raises(
        InputError, match=r"3 checkpoints of .* need .* and .* has .* free: make room, or give"
    ):
        planted.started(*given)
    assert not list(Path().iterdir())
    free(monkeypatch, 3 * 1.15 * size)
    planted.started(*given).create()
    for k in (1, 2):
        Path("run/checkpoints").mkdir(exist_ok=True)
        Path(f"run/checkpoints/step_{k:09d}.ckpt").touch()
    free(monkeypatch, 1.15 * size)  # those that are there need no more
    planted.started(*given)


# --- what stays outside ------------------------------------------------------------------------------------

CANARY = "c0ffee" * 6 + "abcd"  # as long as a key of W&B


def test_the_key_of_wandb_gets_into_no_file(open_door, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    few = [
        "trainer.max_steps=4",
        "trainer.log_every_n_steps=2",
        "callbacks.report=null",
        "logger.tensorboard=null",
    ]
    status, output, errors = open_door(
        "train", "data=eight_gaussians", "method=kim_bengio", *planted.FEW, *few, "run_dir=run"
    )
    assert status == 0, errors
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("wandb" in path.parts for path in files)
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    assert CANARY not in output + errors


@pytest.mark.parametrize("key", ["logger.wandb.api_key", "+logger.wandb.api_key", "+api_key"])
def test_a_key_on_the_command_line_is_refused_and_not_repeated(key, open_door):
    status, _, errors = open_door("train", f"{key}={CANARY}", "run_dir=run")
    assert status == 2
    assert re.fullmatch(r"error: .*api_key.*\n", errors)
    assert CANARY not in errors
    assert not Path("run").exists()


def test_a_link_out_of_a_folder_of_images_is_followed_only_if_that_is_asked_for():
    folder = pictures._good()
    pictures.fresh("elsewhere")
    Path("elsewhere/secret.png").write_bytes(pictures.encoded("PNG", 9))
    (folder / "inside.png").symlink_to("0.png")
    Folder("images", [3, 8, 8], cache="cache").setup()
    Path("alias").symlink_to("images")  # the folder itself is what the user named
    Folder("alias", [3, 8, 8], cache="cache").setup()
    (folder / "more").symlink_to("../elsewhere")
    message = (
        r"images/more is a link out of images, to .*/elsewhere, and is not followed: .*data.outside=true"
    )
    with pytest.raises(InputError, match=message):
        Folder("images", [3, 8, 8], cache="cache").setup()
    followed = Folder("images", [3, 8, 8], cache="cache", outside=True)
    followed.setup()
    assert len(followed.points) + len(followed.held_out) == 8


def test_an_archive_is_read_in_place_whatever_names_it_holds(tmp_path):
    Path("sets/omniglot").mkdir(parents=True)
    with zipfile.ZipFile("sets/omniglot/images_x.zip", "w") as archive:
        for name in ("../../up.png", "/tmp/root.png", "a/b.png"):
            archive.writestr(zipfile.ZipInfo(name), pictures.encoded("PNG"))
    before = sorted(tmp_path.rglob("*"))
    assert other_set("omniglot", [1, 8, 8], 3, Path("sets")).shape == (3, 1, 8, 8)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/root.png").exists()
    assert not (tmp_path.parent / "up.png").exists()
