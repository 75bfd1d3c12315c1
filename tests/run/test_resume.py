"""A run that goes back by itself, room on the disk, and what never gets into a run's folder or out of one."""

import json
import re
import shutil
import zipfile
from collections import namedtuple
from functools import cache
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from faults import kills, pictures, planted
from faults.common import same, training
from lightning import Trainer

from energy_gan.callbacks.divergence import ACCEPTANCE, ENERGIES, SPREAD, StopDivergence
from energy_gan.data.folder import Folder
from energy_gan.data.outside import other_set
from energy_gan.errors import InputError
from energy_gan.methods.energy_gan import EnergyGAN
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.run.run import Run, fit

SINGLE = planted.RUNS["kim_bengio"]
SOUND = {ENERGIES[0]: 1.0, ENERGIES[1]: 2.0, SPREAD: 0.9, ACCEPTANCE: 0.6}


# --- divergence that stays finite --------------------------------------------------------------------------


@cache
def defaults():
    return compose([])["callbacks"]["divergence"]


def watched(values, steps=120):
    """The step after which default settings stop a run whose quantities are values(step), or None."""
    callback, step = build(defaults(), "divergence"), 0
    method = MagicMock(spec=EnergyGAN)
    method.named_parameters.return_value, method.players, method.reported = [], [], {}
    method._over_processes = lambda given: given
    method.hparams = {}
    callback.measured = lambda method, points: {**SOUND, **values(step)}
    trainer = MagicMock(spec=Trainer, callbacks=[], log_every_n_steps=50, max_steps=10**6, world_size=1)
    callback.setup(trainer, method, "fit")
    try:
        for step in range(steps):
            method.step = step + 1
            callback.on_train_batch_end(trainer, method, {}, (torch.zeros(2, 2),), 0)
    except InputError:
        return step
    return None


FAULTS = {
    "runaway": {ENERGIES[1]: 1e6},
    "collapsed": {SPREAD: 1e-5},
    "rejected": {ACCEPTANCE: 0.0},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_stays_finite_is_stopped_within_50_steps_whenever_it_begins(fault):
    waits = [
        watched(lambda step, c=cause: FAULTS[fault] if step >= c else {}) - cause for cause in range(20, 56)
    ]
    assert max(waits) <= 44
    assert min(waits) == 19, "never before patience looks in a row"


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_stops_nothing(fault):
    """A fault of 19 steps, at any moment, and the first steps in which chains find their step size."""
    for begin in (0, 6, 7, 25, 26, 40, 50, 60):
        assert watched(lambda step, b=begin: FAULTS[fault] if b <= step < b + 19 else {}) is None
    assert watched(lambda step: FAULTS["rejected"] if step < 25 else {}) is None


# --- going back --------------------------------------------------------------------------------------------


@pytest.fixture
def nan_in_data(monkeypatch):
    """Every trainer that a run makes meets a nan in the data of step 33."""
    real = Run._make_trainer

    def make(self):
        real(self)
        plant = planted.NOT_FINITE["nan in data"]
        self.trainer.callbacks.insert(0, planted.Planted(self, plant, for_ever=False))

    monkeypatch.setattr(Run, "_make_trainer", make)
    return lambda: monkeypatch.setattr(Run, "_make_trainer", real)


def diverging(nan_in_data, *more, mended=True):
    """A run that meets the fault, once if it is mended, whenever it comes by if it is not."""
    run = planted.started(SINGLE, "run", *SHORT, *more)
    if mended:
        nan_in_data()
    run.create()
    run.fit()
    return run


FALLING = "{_target_: energy_gan.optim.schedules.cosine, _partial_: true}"
SHORT = ["trainer.max_steps=60", "callbacks.checkpoint.keep=9", "callbacks.divergence.returns=2"]
SHORT += [f"method.energy_schedule={FALLING}"]
HALVES = ["method.energy_learns.optimizer.lr=0.005", "method.generator_learns.optimizer.lr=0.005"]
LAST = "checkpoints/step_000000060.ckpt"


def test_a_run_that_diverged_goes_back_and_on_with_lower_rates(nan_in_data, capsys):
    run = diverging(nan_in_data)
    said = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(said) == 1
    assert re.fullmatch(
        r"the run has diverged at step 39: .* is nan .*; back to step 20, with the learning rates times 0.5 "
        r"\(return 1 of 2\)",
        said[0],
    )
    assert [player.rates for player in run.method.players] == [[0.005], [0.005]]
    whole = training(Path("run", LAST))
    for kept in (
        40,
        20,
    ):  # killed after the next checkpoint, and before it: the rates are still the lower ones
        Path("run", LAST).unlink()
        Path(f"run/checkpoints/step_{kept + 20:09d}.ckpt").unlink(missing_ok=True)
        assert Run(run.config).resume() == kept
        assert same(whole, training(Path("run", LAST)))
    for name in ("returns.json", "checkpoints/step_000000040.ckpt", LAST):
        Path("run", name).unlink()
    planted.started(SINGLE, "run", *SHORT, *HALVES).resume()  # as one does it by hand
    assert same(whole, training(Path("run", LAST)))


def test_from_the_same_checkpoint_the_rates_fall_further_and_in_the_end_the_run_ends(nan_in_data, capsys):
    with pytest.raises(
        InputError, match=r"diverged at step 39: .*; lower method.energy_learns.optimizer.lr=.*step 20"
    ):
        diverging(nan_in_data, "callbacks.divergence.factor=0.25", mended=False)
    said = capsys.readouterr().err
    assert re.findall(r"back to step (\d+), .* times (\S+) \(return (\d)", said) == [
        ("20", "0.25", "1"),
        ("20", "0.0625", "2"),
    ]
    assert [entry["factor"] for entry in json.loads(Path("run/returns.json").read_text())] == [0.25, 0.25]


def test_without_a_checkpoint_it_goes_back_to_the_beginning(nan_in_data, capsys):
    rarely = "callbacks.checkpoint.every_n_steps=60"
    diverging(nan_in_data, rarely)
    assert "back to step 0, with the learning rates times 0.5 (return 1 of 2)" in capsys.readouterr().err
    other = planted.started(SINGLE, "other", *SHORT, *HALVES, rarely)
    other.create()
    other.fit()
    assert same(training(Path("run", LAST)), training(Path("other", LAST)))


def test_a_run_without_a_folder_ends(nan_in_data):
    x = torch.randn(200, 2)
    more = ["callbacks.divergence.returns=1", "data.batch_size=32", "callbacks.progress.refresh_rate=0"]
    with pytest.raises(InputError, match=r"has diverged at step .* there is no checkpoint from before"):
        fit(x, method="kim_bengio", max_steps=60, overrides=more)
    assert not list(Path().iterdir())


def test_damaged_returns_are_one_line(nan_in_data, open_door):
    run = diverging(nan_in_data)
    Path("run", LAST).unlink()
    for damage in ("[{", "5", '[{"factor": 0}]'):
        Path("run/returns.json").write_text(damage)
        status, _, errors = open_door("resume", run.folder)
        assert status == 2
        assert re.fullmatch(r"error: run/returns.json is damaged: .*remove it .*\n", errors), damage


def test_several_processes_do_not_go_back():
    trainer = MagicMock(spec=Trainer, callbacks=[], world_size=2)
    with pytest.raises(InputError, match=r"callbacks.divergence.returns=1 is for one process, got 2: give 0"):
        StopDivergence(returns=1).setup(trainer, MagicMock(spec=EnergyGAN), "fit")


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
