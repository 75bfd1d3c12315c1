"""However a run ends, its status is the shell's, one line says what is kept, and that is whole."""

import json
import os
import signal
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from conftest import FIRST
from faults.common import FEW, QUICK, imported, in_child, open_door, same, training
from lightning import Callback, Trainer

from energy_gan.callbacks.checkpoint import SaveCheckpoints
from energy_gan.callbacks.report import Report
from energy_gan.cli import door
from energy_gan.methods.base import Method
from energy_gan.run.run import Run
from energy_gan.system.files import write_text

GIVEN = ["data=eight_gaussians", "method=kim_bengio", *FEW, *QUICK, "trainer.max_steps=20"]


class Send(Callback):
    """Send this process signals at the beginning of step 9."""

    def __init__(self, *signals):
        self.signals = signals

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if pl_module.step == 9:
            for number in self.signals:
                os.kill(os.getpid(), number)


def sent(*signals, more=(), ignored=None):
    """A training that gets these signals, in a process of its own."""

    def work():
        real = Run._trainer

        def trainer(self):
            made = real(self)
            made.callbacks.insert(0, Send(*signals))
            return made

        Run._trainer = trainer
        for number in (signal.SIGINT, signal.SIGHUP):
            how = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if number == ignored else how)
        open_door("train", *GIVEN, "run_dir=run", *more)

    imported(GIVEN)
    return in_child(work)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    ended = in_child(lambda: open_door("train", *GIVEN, f"run_dir={folder}/run"))
    assert ended.status == 0, ended.output
    return training(folder / "run/checkpoints/step_000000020.ckpt")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_run_after_its_step_and_nothing_is_lost(number, undisturbed, open_door):
    ended = sent(number)
    assert ended.status == 128 + number
    kept = "interrupted at step 10: step 10 is kept: go on with `make resume RUN=run`"
    assert ended.output.strip().endswith(kept)
    assert "Traceback" not in ended.output
    assert open_door("resume", "run")[0] == 0
    assert same(undisturbed, training(Path("run/checkpoints/step_000000020.ckpt")))


def test_a_second_ctrl_c_ends_at_once_and_promises_nothing_that_is_not_there():
    ended = sent(signal.SIGINT, signal.SIGINT)
    assert ended.status == 130
    assert ended.output.strip().splitlines()[-1] == "interrupted at step 9: no checkpoint was saved before"


def test_a_signal_that_is_ignored_stays_so():
    """As SIGHUP under nohup."""
    assert sent(signal.SIGHUP, ignored=signal.SIGHUP).status == 0
    assert Path("run/checkpoints/step_000000020.ckpt").is_file()


def test_ctrl_c_without_checkpoints_is_130_too():
    ended = sent(signal.SIGINT, more=["callbacks.checkpoint=null"])
    assert (ended.status, ended.output.strip().splitlines()[-1]) == (130, "interrupted")


def test_while_the_end_is_measured_signals_do_what_they_always_do():
    def work():
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        saves = SaveCheckpoints("checkpoints")
        saves.save = lambda trainer, method: None
        trainer, method = MagicMock(spec=Trainer), MagicMock(spec=Method)
        saves.on_train_start(trainer, method)
        saves.on_train_end(trainer, method)
        os.kill(os.getpid(), signal.SIGHUP)

    assert in_child(work).status == -signal.SIGHUP


def ended_in_its_report(number, given):
    """A training that gets this signal as the report of its end begins."""

    def work():
        real = Report.measure

        def measure(report, model, full=True):
            return os.kill(os.getpid(), number) if full else real(report, model, full)

        Report.measure = measure
        signal.signal(signal.SIGINT, signal.default_int_handler)
        open_door("train", *given)

    return in_child(work)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_end_in_the_last_report_costs_that_report_alone(number, finished_run, open_door):
    given = [*FIRST, "logger.wandb=null", "logger.tensorboard=null", "run_dir=run"]
    ended = ended_in_its_report(number, given)
    assert ended.status == (-number if number == signal.SIGKILL else 128 + number), ended.output
    told = "interrupted at step 20: step 20 is kept: go on with `make resume RUN=run`"
    assert (told in ended.output) == (number == signal.SIGINT)
    kept, whole = (training(run / "checkpoints/step_000000020.ckpt") for run in (Path("run"), finished_run))
    assert all(same(kept[name], whole[name]) for name in ("state_dict", "optimizer_states", "global_step"))
    assert not Path("run/metrics.json").exists()
    again = ["resume", "run"] if number == signal.SIGKILL else ["train", *given, "resume=auto"]
    status, output, errors = open_door(*again)
    assert (status, errors) == (0, "")
    assert "resumed from step 20\n" in output
    found, whole = (json.loads((run / "metrics.json").read_text()) for run in (Path("run"), finished_run))
    assert found["metrics"] == pytest.approx(whole["metrics"], nan_ok=True)
    assert [row["step"] for row in found["history"]] == [10, 20]
    assert open_door(*again)[0] == (2 if number == signal.SIGKILL else 0), "nothing is left to do"


def test_a_report_that_was_cut_is_made_too_where_time_was_up(open_door):
    given = [*FIRST, "trainer.max_steps=1000000", "+trainer.max_time='00:00:00:01'", "run_dir=run"]
    ended = ended_in_its_report(signal.SIGKILL, [*given, "logger.wandb=null", "logger.tensorboard=null"])
    assert ended.status == -signal.SIGKILL, ended.output
    (kept,) = sorted(Path("run/checkpoints").glob("step_*.ckpt"))[-1:]
    status, output, errors = open_door("resume", "run")
    assert (status, errors) == (0, "")
    assert "its trainer.max_time=00:00:00:01 is used up: to go on, give more\n" in output
    report = Path("run/metrics.json")
    assert f"step_{json.loads(report.read_text())['step']:09}.ckpt" == kept.name
    report.write_text(report.read_text().replace('"verdict": "', '"verdict": "once: '))
    assert open_door("resume", "run")[0] == 0
    assert '"verdict": "once: ' in report.read_text(), "what is there is not made again"
    status, output, errors = open_door("resume", "run", "trainer.max_time=null", "trainer.max_steps=1")
    assert status == 2, "it is past that"


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_files_have_the_rights_that_the_umask_leaves(umask, mode):
    before = os.umask(umask)
    try:
        write_text(Path("new/text.txt"), "σ")
    finally:
        os.umask(before)
    assert Path("new/text.txt").stat().st_mode & 0o777 == mode
    assert [path.name for path in Path("new").iterdir()] == ["text.txt"]


def test_a_terminal_without_greek_gets_the_rest(tmp_path):
    def work():
        sys.stdout = Path("out.txt").open("w", encoding="ascii")  # noqa: SIM115
        door(lambda: print("σ of ‖x‖"))
        sys.stdout.close()

    assert in_child(work).status == 0
    assert Path("out.txt").read_text() == "? of ?x?\n"


def test_tensorboard_s_full_disk_is_one_line_that_names_the_file():
    import resource

    class Full(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if pl_module.step == 9:
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        real = Run._trainer

        def trainer(self):
            made = real(self)
            made.callbacks.insert(0, Full())
            return made

        Run._trainer = trainer
        board = "logger.tensorboard={_target_: energy_gan.callbacks.trackers.TensorBoard, run_dir: run}"
        more = ["trainer.log_every_n_steps=1", "trainer.max_steps=2000", board]
        open_door("train", *GIVEN, *more, "run_dir=run")

    imported(GIVEN)
    ended = in_child(work)
    (line,) = [line for line in ended.output.splitlines() if line.strip()]
    assert ended.status == 2
    assert line.startswith("error: run/tensorboard/events.")
    assert line.endswith("cannot be written, File too large: make room, or give logger.tensorboard=null")


@pytest.mark.parametrize("given", ["trainer=cpu", "method=aligned"])
def test_a_group_is_no_setting_of_a_run_that_is_there(open_door, given):
    write_text(
        Path("run/config.yaml"),
        "name: x\nseed: 0\nkind: points\nrun_dir: run\ncallbacks: {}\nlogger: {}\ndata: {_target_: x}\n"
        "trainer: {_target_: x, max_steps: 20}\nmethod: {_target_: x}\n",
    )
    Path("run/checkpoints").mkdir()
    torch.save({}, "run/checkpoints/step_000000010.ckpt")
    status, _, errors = open_door("resume", "run", given, "trainer.max_steps=30")
    name = given.partition("=")[0]
    assert status == 2
    assert errors == (
        f"error: {given} names another group of settings, and run/config.yaml keeps its own: give its keys "
        f"one by one, {name}.KEY=VALUE\n"
    )


def test_a_missing_table_is_named(open_door):
    status, _, errors = open_door("train", "data=points", "data.path=missing.csv", "run_dir=run")
    assert status == 2
    assert errors.startswith("error: missing.csv does not exist (looked in ")
    assert "interpolation" not in errors
