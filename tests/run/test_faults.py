"""Nothing is lost: a part of the bench of `make faults`, in seconds, and the laws it rests on."""

import fcntl
import os
import re
import shutil
import warnings
from itertools import islice
from pathlib import Path

import pytest
import torch
from faults import damage, kills, overrides, pictures, planted
from faults.common import same, training
from omegaconf import OmegaConf

from energy_gan.errors import InputError
from energy_gan.run.checkpoints import load, newest
from energy_gan.run.compose import compose, read_config
from energy_gan.run.run import Run

GIVEN = [*damage.GIVEN, "trainer.max_steps=20"]  # checkpoints at 10 and 20


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trained once for all."""
    folder = tmp_path_factory.mktemp("faults") / "run"
    run = Run(compose([*GIVEN, f"run_dir='{folder}'"]))
    run.create()
    run.fit()
    return folder


def all_survived(outcomes):
    tried = list(outcomes)
    assert tried
    assert [o for o in tried if not o.survived] == []


# --- a part of the bench -----------------------------------------------------------------------------------


def test_a_kill_in_the_middle_of_writing_loses_nothing():
    all_survived(kills.while_writing(["half"]))


def test_a_kill_while_decoding_loses_nothing():
    all_survived(kills.cache_kills(2))


def test_a_full_disk_leaves_the_checkpoint_before_whole(trained):
    shutil.copytree(trained, "trained")
    all_survived(islice(damage.full_disk(shares=[0.3]), 1))


def test_damaged_checkpoints_are_fallen_back_from(trained):
    shutil.copytree(trained, "trained")
    all_survived(islice(damage.damaged(n_flips=2, tenths=[0, 9]), 6))


def test_a_stranger_s_files_execute_nothing(trained):
    shutil.copytree(trained, "trained")
    all_survived(damage.strangers(every=5))


def test_what_a_checkpoint_lacks_is_one_line(trained):
    shutil.copytree(trained, "trained")
    all_survived(damage.contents(every=4))


def test_what_diverges_is_noticed_within_50_steps():
    finite = ["the energy's scale", "a generator of one point", "chains beyond all data"]
    all_survived(planted.planted(["kim_bengio"], ["nan in data", "nan in the generator's weights"], finite))


def test_made_up_commands_train_or_end_with_one_line():
    all_survived(overrides.fuzzed(8, seed=1))


def test_damaged_pictures_are_named_or_left_out():
    all_survived(pictures.pictures(n_flips=1))


# --- checkpoints -------------------------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def test_a_damaged_checkpoint_says_which_one_is_taken_instead(trained, capsys):
    shutil.copytree(trained, "run")
    cut(Path("run/checkpoints/step_000000020.ckpt"))
    assert newest(Path("run"))[0].name == "step_000000010.ckpt"
    errors = capsys.readouterr().err
    assert errors == "run: step_000000020.ckpt cannot be read, step_000000010.ckpt is taken instead\n"
    assert same(
        load("run").method.state_dict(), load("run/checkpoints/step_000000010.ckpt").method.state_dict()
    )
    cut(Path("run/checkpoints/step_000000010.ckpt"))
    with pytest.raises(
        InputError, match=r"no checkpoint that can be read, step_000000020.ckpt, step_000000010"
    ):
        load("run")


def test_a_changed_byte_of_a_weight_is_noticed(trained):
    """torch.load itself does not look at the checksums."""
    path = Path(shutil.copy(trained / "checkpoints/step_000000020.ckpt", "changed.ckpt"))
    weight = torch.load(path, weights_only=True)["state_dict"]["energy.linear"].numpy().tobytes()
    contents = path.read_bytes()
    place = contents.index(weight) + len(weight) // 2
    path.write_bytes(contents[:place] + bytes([contents[place] ^ 1]) + contents[place + 1 :])
    torch.load(path, weights_only=True)
    with pytest.raises(InputError, match=r"the checksum of .* is wrong"):
        load(path)


def test_weights_that_are_not_finite_are_not_saved():
    run = planted.started(planted.RUNS["kim_bengio"], "run", "callbacks.divergence=null")
    run.trainer.callbacks.insert(0, planted.Planted(run, planted.NOT_FINITE["nan in data"], for_ever=False))
    run.create()
    with pytest.raises(InputError, match=r"step 40 is not saved: energy.linear is no longer finite"):
        run.fit()
    assert [path.name for path in Path("run/checkpoints").iterdir()] == ["step_000000020.ckpt"]


def test_a_compiler_that_fails_is_one_line(monkeypatch):
    run = planted.started(planted.RUNS["kim_bengio"], "run", "callbacks.divergence=null")
    run.config["compile"] = True

    def failing(*_):
        raise torch._dynamo.exc.BackendCompilerFailed(
            failing, RuntimeError("no compiler\nand much more"), None
        )

    monkeypatch.setattr(run.method, "training_step", failing)
    run.create()
    with pytest.raises(InputError, match=r"torch\.compile failed, train with compile=false: .*no compiler"):
        run.fit()


# --- resume=auto -------------------------------------------------------------------------------------------


def test_the_same_command_again_goes_on(open_door, trained):
    command = [*GIVEN, "run_dir=run", "resume=auto"]
    assert open_door("train", *command)[0] == 0
    last = "checkpoints/step_000000020.ckpt"
    assert same(training(Path("run", last)), training(trained / last))
    status, output, _ = open_door("train", *command)
    assert (status, output) == (0, "run is finished: step 20 of 20\n")
    Path("run", last).unlink()
    Path("run/checkpoints/.step_000000020.ckpt.part").write_bytes(b"of a run that was killed")
    status, output, _ = open_door("train", *command, "callbacks.progress.refresh_rate=0")
    assert status == 0
    assert "resumed from step 10\n" in output
    assert sorted(p.stem for p in Path("run/checkpoints").iterdir()) == ["step_000000010", "step_000000020"]
    assert same(training(Path("run", last)), training(trained / last))


def test_a_folder_of_before_a_setting_goes_on_where_its_default_is_asked_for(open_door, trained):
    shutil.copytree(trained, "run")
    config = OmegaConf.load("run/config.yaml")
    for key in ("compile", "float32_matmul_precision"):
        del config[key]
    del config.method["data_noise"]
    OmegaConf.save(config, "run/config.yaml")
    command = ["train", *GIVEN, "run_dir=run", "resume=auto"]
    assert open_door(*command)[:2] == (0, "run is finished: step 20 of 20\n")
    for other, there in (("compile=true", "False"), ("method.data_noise=0.5", "0.0")):
        status, _, errors = open_door(*command, other)
        assert status == 2
        assert f"another config ({other.replace('true', 'True')}, there {there})" in errors


def test_a_part_that_was_left_out_can_be_put_in_to_go_on(trained):
    assert compose(GIVEN)["method"]["energy_learns"]["schedule"] is None
    cosine = {"_target_": "energy_gan.optim.schedules.cosine", "_partial_": True}
    given = "method.energy_learns.schedule={_target_: energy_gan.optim.schedules.cosine, _partial_: true}"
    assert read_config(trained, [given])["method"]["energy_learns"]["schedule"] == cosine


@pytest.mark.parametrize("left", [[], [".config.ab12.yaml"], ["config.yaml"]])
def test_a_run_that_died_before_its_first_checkpoint_begins_again(open_door, trained, left):
    Path("run").mkdir()
    for name in left:
        shutil.copy(trained / "config.yaml", Path("run") / name)
    status, output, errors = open_door("train", *GIVEN, "run_dir=run", "resume=auto")
    assert (status, errors) == (0, "")
    assert "resumed" not in output
    assert Path("run/checkpoints/step_000000020.ckpt").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resume=auto"], "resume=auto needs the folder .* give run_dir="),
        (["run_dir=run", "resume=yes"], "resume=yes is unknown: give resume=auto"),
        (["run_dir=foreign", "resume=auto"], "is no run's folder .it has mine.txt .* name another"),
        (["run_dir=foreign/mine.txt", "resume=auto"], "is a file: name another"),
        (
            ["run_dir=run", "resume=auto", "seed=3"],
            r"a run of another config \(seed=3, there 0; data.seed=3, there 0; method.seed=3, there 0\)",
        ),
        (["run_dir=run", "resume=auto", "trainer.max_steps=30"], "trainer.max_steps=30, there 20"),
        (["run_dir=run"], "exists already and nothing is overwritten"),
    ],
)
def test_a_folder_that_does_not_fit_is_left_alone(open_door, trained, arguments, message):
    shutil.copytree(trained, "run")
    Path("foreign").mkdir()
    Path("foreign/mine.txt").write_text("mine")
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    status, _, errors = open_door("train", *GIVEN, *arguments)
    assert status == 2
    assert len(errors.strip().splitlines()) == 1
    assert re.search(message, errors), errors
    assert before == {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}


def test_two_processes_never_train_in_one_folder(open_door, trained):
    shutil.copytree(trained, "run")
    Path("run/checkpoints/step_000000020.ckpt").unlink()
    folder = os.open("run", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    status, _, errors = open_door("resume", "run")
    assert status == 2
    assert "another process trains in run now" in errors
    os.close(folder)
    assert open_door("resume", "run")[0] == 0


# --- parts ------------------------------------------------------------------------------------------------


def test_layers_of_no_size_are_one_line_without_torch_s_warning():
    config = compose(["data=digits", "method=gan", "method.energy.features.shape=[0]", "run_dir=run"])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(InputError, match="the values do not go together"):
            Run(config)
    assert not [w for w in seen if "zero-element" in str(w.message)]
