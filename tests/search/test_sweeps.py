"""Sweeps: every file fits its experiment, a search survives being killed, W&B's agent trains our runs."""

import gzip
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from energy_gan.errors import InputError
from energy_gan.reports import images
from energy_gan.run.compose import compose
from energy_gan.search import agent
from energy_gan.search import check as sweep_check
from energy_gan.search import file as sweep_file
from energy_gan.search.check import check_all, check_experiment, in_short
from energy_gan.search.file import extremes, names, read, short_names
from energy_gan.search.picture import picture
from energy_gan.search.results import command_of
from energy_gan.search.trial import Trial
from energy_gan.search.trials import Search

TRIAL = [
    "data=eight_gaussians", "data.density.std=0.2", "data.n_points=300", "data.n_held_out=300",
    "data.batch_size=32", "method=kim_bengio", "trainer.max_steps=20", "trainer.log_every_n_steps=5",
    "callbacks.report.n_samples=1000", "callbacks.report.n_samples_during=1000",
    "callbacks.report.every_n_steps=10", "callbacks.checkpoint.every_n_steps=10",
]  # fmt: skip
SHORT = [word for word in TRIAL if word.startswith(("data.n", "data.batch", "trainer", "callbacks.check"))]
MEASURED = [word for word in TRIAL if word.startswith("callbacks.report")]
RANGES = {
    "method.terms.entropy.weight": {"distribution": "log_uniform_values", "min": 0.01, "max": 10.0},
    "method.energy.experts": {"values": [4, 8]},
}


def written(path="mine.yaml", overrides=TRIAL, **changes):
    """A small sweep file; None takes a key out."""
    start = ["${env}", "${interpreter}", "-m", "energy_gan.cli.train"]
    spec = {
        "command": [*start, *overrides, "${args_no_hyphens}"],
        "method": "bayes",
        "metric": {"name": "val/sliced_w2", "goal": "minimize"},
        "parameters": RANGES,
    }
    spec = {key: value for key, value in (spec | changes).items() if value is not None}
    Path(path).write_text(yaml.safe_dump(spec))
    return path


# ---- the files


LARGE = [name for name in names() if name.startswith("celeba")]  # networks of published size


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in names()]
)
def test_every_sweep_fits_the_experiment_it_names(name):
    """Its form, each parameter at its extreme values, and its metric, which is logged during a run."""
    sweep = read(name)
    assert sweep.name == sweep.spec["name"] == name
    config = check_all(sweep, here=False)
    for key in sweep.spec["parameters"]:
        node = config
        for word in key.split("."):
            node = node[word]
        assert not isinstance(node, dict)
    assert sweep.command("python", {"seed": 1})[-1] == "seed=1"


def test_the_shipped_sweeps_search_in_all_three_ways():
    assert {read(name).spec["method"] for name in names()} == {"bayes", "random", "grid"}


def test_a_range_ends_where_w_and_b_ends():
    assert extremes("a", {"min": 2, "max": 5}) == [2, 5]
    assert extremes("a", {"min": 0.5, "max": 2.0}) == [0.5, 2.0]
    assert extremes("a", {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}) == [1e-4, 0.1]
    assert extremes("a", {"values": [[8, 8], [16]]}) == [[8, 8], [16]]
    low, high = extremes("a", {"distribution": "normal", "mu": 0.0, "sigma": 1.0})
    assert (low, high) == pytest.approx((-2.326, 2.326))


def test_parameters_are_named_by_the_shortest_end_of_their_keys():
    keys = ["method.energy_learns.optimizer.lr", "method.generator_learns.optimizer.lr", "seed", "data.seed"]
    assert list(short_names(keys).values()) == [
        "energy_learns.optimizer.lr",
        "generator_learns.optimizer.lr",
        "seed",
        "data.seed",
    ]


def test_the_best_command_is_one_that_make_takes():
    sweep = read("two_spiral_entropy")
    command = command_of(sweep, {"method.terms.entropy.weight": 0.5, "method.energy.features.hidden": [8, 8]})
    assert command == (
        "make train DATA=two_spiral METHOD=kim_bengio ARGS='trainer.max_steps=2000 "
        "callbacks.report.every_n_steps=250 method.terms.entropy.weight=0.5 "
        "method.energy.features.hidden=[8,8]'"
    )


# ---- what is wrong with a file


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": None}, "method: bayes needs a metric"),
        (
            {"method": "random", "metric": None, "early_terminate": {"type": "hyperband", "min_iter": 2}},
            "metric",
        ),
        ({"method": "anneal"}, "schema"),
        ({"parameters": {}}, "schema"),
        ({"parameters": {"seed": {"min": 5, "max": 2}}}, "min 5 is not less than max 2"),
        ({"parameters": {"seed": {"min": "1e-4", "max": 1.0}}}, "YAML reads 1e-4 as text, write 1.0e-04"),
        ({"parameters": {"method": {"parameters": {"seed": {"value": 1}}}}}, "write method.seed"),
        ({"parameters": {"method.penalty": {"values": [None, 1]}}}, "None cannot reach a run"),
        ({"parameters": {"name": {"values": ["a=b"]}}}, "'a=b' cannot reach a run"),
        ({"parameters": {"seed": 3}}, "says no range"),
        (
            {"method": "grid", "parameters": {"method.terms.entropy.weight": {"min": 0.1, "max": 1.0}}},
            "values: […]",
        ),
        ({"command": ["python", "train.py"]}, "must run energy_gan.cli.train"),
        ({"command": ["energy_gan.cli.train", "${args}", "${args_no_hyphens}"]}, "${args}"),
        ({"run_cap": 0}, "run_cap=0"),
    ],
)
def test_a_file_of_the_wrong_form_is_one_line(changes, said, open_door):
    status, _, errors = open_door("sweep", written(**changes), "--local")
    assert status == 2
    assert said in errors
    assert errors.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (
            {"method.energy.expert": {"values": [4]}},
            "method.energy.expert is not a key of the config, did you mean",
        ),
        ({"method.energy.experts": {"min": 1.5, "max": 8.5}}, "valid integer"),
        (
            {"method.terms.entropy.weight": {"min": -1.0, "max": 1.0}},
            "method.terms.entropy: weight must be a number of at least 0",
        ),
        ({"data": {"values": ["two_spiral", "rings"]}}, "write data=… into the command"),
        ({"run_dir": {"values": ["a", "b"]}}, "run_dir is chosen for each trial"),
    ],
)
def test_a_parameter_that_does_not_fit_is_one_line(parameters, said, open_door):
    status, _, errors = open_door("sweep", written(parameters=parameters), "--local")
    assert status == 2
    assert said in errors
    assert errors.count("\n") == 1
    assert not Path("runs").exists()


def test_a_metric_that_is_never_logged_is_found_before_the_first_trial(open_door):
    for name in ("val/sliced_w3", "val/frechet_inception", "train/energy_gapp", "sliced_w2"):
        status, _, errors = open_door("sweep", written(metric={"name": name}), "--local")
        assert status == 2
        assert f"metric {name} is never logged" in errors
        assert errors.count("\n") == 1
    assert not Path("runs").exists()


def test_a_metric_of_the_end_cannot_end_a_trial_early():
    late = {"name": "val/auc_data_generator"}
    check_all(read(written(metric=late)))
    with pytest.raises(InputError, match="at the end of a run only"):
        check_all(read(written(metric=late, early_terminate={"type": "hyperband", "min_iter": 1})))


@pytest.mark.slow
def test_only_measurements_in_tensorboards_files_can_end_a_trial_early_here():
    """A running trial's curve of train/… has more points than an ended one's; W&B's server has both whole."""
    rule = {"type": "hyperband", "min_iter": 1}
    trained = read(written(metric={"name": "train/entropy"}, early_terminate=rule))
    with pytest.raises(InputError, match="early_terminate needs a val/… metric"):
        check_all(trained)
    check_all(trained, here=False)
    measured = read(written(early_terminate=rule))
    check_all(measured)
    without = ["logger.tensorboard=null"]
    with pytest.raises(InputError, match=r"logger\.tensorboard is null"):
        check_all(measured.with_overrides(without))
    check_all(measured.with_overrides(without), here=False)
    check_all(read(written()).with_overrides(without))


@pytest.mark.parametrize(
    ("metric", "told", "short"),
    [
        ("val/sliced_w2", [], True),
        ("train/energy_gap", [], True),
        ("val/sliced_w2", ["callbacks.report.short=false"], False),
        ("val/auc_data_energy", [], False),  # comes with a full measuring only
        ("val/sliced_w2", ["callbacks.report=null"], False),
    ],
)
def test_trials_are_measured_in_short_where_that_tells_their_metric(metric, told, short):
    overrides = [word for word in TRIAL if not (told and word.startswith("callbacks.report."))] + told
    sweep = read(written(metric={"name": metric, "goal": "minimize"}, overrides=overrides))
    found = in_short(sweep, compose([*overrides, "run_dir=run"]))
    assert ("callbacks.report.short=true" in found.command("python", {})) == short
    assert "short=true" not in command_of(found, {"method.energy.experts": 4})
    assert found.spec | {"command": 0} == sweep.spec | {"command": 0}


def test_what_training_logs_can_be_searched_by():
    sweep = read(written(metric={"name": "train/entropy", "goal": "maximize"}))
    assert sweep.maximise
    check_all(sweep)


def test_what_labels_teach_can_be_searched_by():
    jem = compose(["data=digits", "method=jem", "run_dir=run"])
    assert "train/cross_entropy" in sweep_check.logged_names(jem, "train/").during
    assert {"val/accuracy", "val/auroc_noise"} <= sweep_check.logged_names(jem, "val/").during


@pytest.mark.slow
def test_names_of_image_runs_go_by_features_and_classes(monkeypatch):
    """Inception's are there where its weights are; the classifier's where the set has classes."""
    monkeypatch.setattr(images, "inception_or_none", lambda: None)
    mnist, celeba = (check_experiment(read(n)) for n in ("mnist_experts", "celeba_ddp"))
    logged = sweep_check.logged_names(mnist, "val/")
    assert {"val/frechet_lenet", "val/class_kl", "val/energy_gap"} <= logged.during
    assert {"val/nearest_train_ratio", "val/drift"} <= logged.at_end - logged.during
    assert not any("inception" in name for name in logged.at_end)
    with pytest.raises(InputError, match="metric val/frechet_inception is never logged"):
        sweep_check.check_metric(read("celeba_ddp"), celeba)
    monkeypatch.setattr(images, "inception_or_none", lambda: SimpleNamespace(name="inception"))
    sweep_check.check_metric(read("celeba_ddp"), celeba)


def test_unknown_names_and_missing_keys_are_one_line(open_door, monkeypatch):
    monkeypatch.setenv("NETRC", "nowhere")
    for door, arguments, said in (
        ("sweep", ["nonsense"], "choose one of aligned_two_spiral, "),
        ("sweep", [], "two_spiral_entropy"),
        ("sweep", ["two_spiral_entropy"], "there is no API key for api.wandb.ai"),
        ("sweep", [written(), "--local", "--n-trials", "0"], "--n-trials must be at least 1, got 0"),
        ("sweep", [written(), "seed"], "'seed' is no setting"),
        ("agent", ["us/energy_gan/s1"], "there is no API key"),
        ("agent", ["us/s1"], "give ENTITY/PROJECT/ID"),
        ("agent", [], "give SWEEP_ID="),
        ("agent", ["us/energy_gan/s1", "--gpus", "all"], "GPUS=0,1"),
    ):
        status, _, errors = open_door(door, *arguments)
        assert (status, errors.count("\n")) == (2, 1), errors
        assert said in errors


# ---- on this machine


@pytest.mark.slow
def test_a_search_ends_with_a_table_a_command_and_a_picture(open_door):
    path = written("few.yaml", run_cap=3, overrides=[*TRIAL, "logger.wandb=null"])
    status, output, errors = open_door("sweep", path, "--local", "--jobs", 1)
    assert status == 0, errors
    folder = Path("runs/sweeps/few")
    trials = [json.loads((folder / f"trial_00{n}.json").read_text()) for n in (1, 2, 3)]
    for trial in trials:
        config = yaml.safe_load((folder / f"trial_00{trial['number']}/config.yaml").read_text())
        report = json.loads((folder / f"trial_00{trial['number']}/metrics.json").read_text())
        assert (
            config["method"]["terms"]["entropy"]["weight"] == trial["values"]["method.terms.entropy.weight"]
        )
        assert config["method"]["energy"]["experts"] == trial["values"]["method.energy.experts"]
        assert trial["metric"] == report["metrics"]["sliced_w2"]
        assert (report["verdict"], report["n_samples"]) == (None, 1000), "a trial is measured in short"
        assert (trial["state"], trial["step"], len(trial["history"])) == ("finished", 20, 2)
    best = min(trials, key=lambda trial: trial["metric"])
    rows = re.findall(r"^ *(\d{3}) ", output, re.M)
    assert rows[0] == f"{best['number']:03d}"
    assert sorted(rows) == ["001", "002", "003"]
    assert f"method.terms.entropy.weight={best['values']['method.terms.entropy.weight']}" in output
    assert (folder / "sweep.png").stat().st_size > 20_000

    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.json")}
    assert open_door("sweep", path, "--local")[0] == 0, "nothing is left to do"
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.json")} == before

    other = written("few.yaml", run_cap=3, parameters={"seed": {"values": [1, 2]}})
    status, _, errors = open_door("sweep", other, "--local")
    assert status == 2
    assert "holds trials of another sweep" in errors


def found(folder, metrics, **changes):
    """A search that has finished trials with these metrics, which trained nothing."""
    search = Search(read(written(**changes)), folder)
    with search.open():
        for metric in metrics:
            trial = search._propose(None)
            trial.state, trial.metric, trial.history = "finished", metric, [metric]
            search._keep(trial)
    return search


@pytest.mark.parametrize("removed", [2, 3])
def test_a_trial_whose_file_was_removed_is_replaced_and_no_other(tmp_path, removed):
    """Its number is not given again: its run may still be there."""
    search = found(tmp_path / "here", [1.0, 2.0, 3.0])
    for trial in search.trials:
        search.run_of(trial).mkdir()
    damaged = tmp_path / f"here/trial_{removed:03d}.json"
    damaged.write_text(damaged.read_text()[:20])
    with pytest.raises(InputError, match=f"trial_{removed:03d}.json is damaged: remove it"), search.open():
        pass
    damaged.unlink()
    kept = {path: path.read_text() for path in sorted((tmp_path / "here").glob("trial_*.json"))}
    with search.open():
        fourth = search._propose(3)
        assert fourth.number == 4
        assert search._propose(3) is None, "there are as many as there were"
        search.running[4] = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
        search.running[4].wait()
        assert list(search._ended()) == [fourth]
    assert fourth.state == "failed"
    assert {path: path.read_text() for path in kept} == kept


@pytest.mark.parametrize("method", ["random", "bayes", "grid"])
def test_listed_values_reach_a_trial_as_they_stand_in_the_file(tmp_path, method):
    listed, single = [0.99995, 0.12345678], 0.7654321
    parameters = {"method.terms.entropy.weight": {"values": listed}, "data.density.std": {"value": single}}
    search = found(tmp_path / "here", [1.0, 2.0], method=method, parameters=parameters)
    for trial in search.trials:
        assert trial.values["method.terms.entropy.weight"] in listed
        assert trial.values["data.density.std"] == single
        assert f"data.density.std={single}" in search._command(trial, tmp_path / "run")
    picture(search.trials, search.sweep)


def test_a_value_drawn_from_a_range_has_4_digits(tmp_path):
    search = found(tmp_path / "here", [1.0, 2.0], method="random")
    for trial in search.trials:
        assert re.fullmatch(r"0?\.?0*[\d.]{1,5}", str(trial.values["method.terms.entropy.weight"]))


def test_a_search_in_which_nothing_varies_has_a_picture_of_its_trials(tmp_path):
    search = found(tmp_path / "here", [1.0, 2.0], method="random", parameters={"seed": {"value": 1}})
    drawn = picture(search.trials, search.sweep)
    (axes,) = drawn.axes
    assert axes.get_xlabel() == "trial"
    drawn.savefig(tmp_path / "sweep.png")


def test_a_search_over_one_parameter_has_the_metric_against_it_and_no_empty_panel(tmp_path):
    one = {"method.energy.experts": {"values": [4, 8, 16]}}
    search = found(tmp_path / "here", [1.0, 2.0, 0.5], method="random", parameters=one)
    panels = picture(search.trials, search.sweep).axes
    assert [axes.get_xlabel() for axes in panels] == ["trial", "experts"]
    assert all(axes.has_data() for axes in panels)


STUB = '''
"""A search whose trials only wait and write down a number."""
import sys
from pathlib import Path
from energy_gan.search.file import read
from energy_gan.search.trials import Search

TRAIN = """
import json, pathlib, sys, time
run, weight = pathlib.Path(sys.argv[1]), float(sys.argv[2])
with open("started", "a") as file:
    file.write(run.name + " ")
time.sleep(0.7)
run.mkdir(exist_ok=True)
history = [{"step": 5, "sliced_w2": weight}, {"step": 9, "sliced_w2": weight / 2}]
if weight > FAILS:
    sys.exit("too great")
(run / "metrics.json").write_text(json.dumps({"step": 9, "seconds": 0.7, "history": history}))
"""

class Waiting(Search):
    def _command(self, trial, run):
        if (run / "metrics.json").is_file():
            return super()._command(trial, run)
        code = TRAIN.replace("FAILS", sys.argv[2])
        return [sys.executable, "-c", code, str(run), str(trial.values["method.terms.entropy.weight"])]

search = Waiting(read("mine.yaml"), Path("here"))
with search.open():
    for trial in search.run(6, 2):
        print(trial.name, trial.state, flush=True)
'''


@pytest.fixture
def stub():
    """Starts a search of six trials that train nothing, in a process group of its own."""
    written(method="random")
    Path("stub.py").write_text(STUB)
    started = []

    def start(fails="1e9"):
        command = [sys.executable, "stub.py", "", fails]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def ended(process):
    return process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [True, False])
def test_a_killed_search_goes_on_with_every_trial_once(stub, whole_group):
    """Also where only the search was killed, and its trials still run."""
    process, told = stub(), set()
    while not told >= {"trial_001 finished\n", "trial_002 finished\n"}:  # in any order
        told.add(process.stdout.readline())
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    output, errors = ended(stub())
    assert not errors
    states = [json.loads(p.read_text()) for p in sorted(Path("here").glob("trial_*.json"))]
    assert [s["number"] for s in states] == [1, 2, 3, 4, 5, 6]
    assert {s["state"] for s in states} == {"finished"}
    assert all(s["metric"] == s["values"]["method.terms.entropy.weight"] / 2 for s in states)
    assert len({s["values"]["method.terms.entropy.weight"] for s in states}) == 6
    assert "trial_001" not in output, "what had finished is not repeated"
    assert Path("started").read_text().split().count("trial_001") == 1
    assert Path("started").read_text().split().count("trial_002") == 1


@pytest.mark.slow
def test_two_searches_do_not_share_a_folder(stub):
    with Search(read("mine.yaml"), Path("here")).open():
        assert "another process works in here" in ended(stub())[1]
    assert not ended(stub())[1], "the folder is free again"


@pytest.mark.slow
def test_failed_trials_are_kept_and_three_without_a_success_end_the_search(stub):
    _, errors = ended(stub(fails="0"))
    assert re.search(r"the first [34] trials failed, the last with: too great", errors)
    states = [json.loads(p.read_text())["state"] for p in Path("here").glob("trial_*.json")]
    assert states.count("failed") >= 3
    assert "finished" not in states


@pytest.mark.slow
def test_a_search_that_is_ended_ends_its_trials(stub):
    process = stub()
    while not Path("started").is_file():
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    ended(process)
    left = subprocess.run(["ps", "-eo", "pgid"], capture_output=True, text=True, check=True).stdout.split()
    assert str(process.pid) not in left


def test_a_trial_cut_short_goes_on_if_something_was_saved(tmp_path):
    search = Search(read(written()), tmp_path / "here")
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    trial = Trial(1, {"seed": 1})
    assert search._command(trial, run)[2] == "energy_gan.cli.train"
    assert not run.exists(), "nothing was saved"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/step_000000010.ckpt").touch()
    assert search._command(trial, run)[2:] == ["energy_gan.cli.resume", str(run)]


def test_a_trial_cut_short_goes_on_with_the_packages_that_it_began_with(tmp_path):
    """What trust= names is in no config, so the command has to say it again."""
    sweep = read(written()).with_overrides(["trust=[ours,theirs]"])
    search, run, trial = Search(sweep, tmp_path / "here"), tmp_path / "run", Trial(1, {"seed": 1})
    trusted = ["trust=[ours]", "trust=[theirs]"]
    assert "trust=[ours,theirs]" in search._command(trial, run)
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/step_000000010.ckpt").touch()
    assert search._command(trial, run)[2:] == ["energy_gan.cli.resume", str(run), *trusted]


def test_a_hopeless_trial_is_ended_early(tmp_path):
    """By W&B's rule: at the measurement after min_iter the better 1/eta go on. The curve is the run's own."""
    from torch.utils.tensorboard import SummaryWriter

    rule = {"type": "hyperband", "min_iter": 1, "eta": 2}
    search = Search(read(written(early_terminate=rule)), tmp_path / "here")
    with search.open():
        for number, value in ((1, 1.0), (2, 0.5), (3, 9.0)):
            trial = search._propose(None)
            assert trial.number == number
            with SummaryWriter(str(search.run_of(trial) / "tensorboard")) as writer:
                for step in (10, 20, 30):
                    writer.add_scalar("val/sliced_w2", value, step)
            trial.history, trial.metric, trial.state = [value] * 3, value, "finished"
        trial.state, trial.history, trial.metric = "running", [], None
        search.running[3] = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        search._stop_early()
    assert not search.running
    assert (trial.state, trial.step, trial.metric) == ("stopped", 30, 9.0)
    assert json.loads((tmp_path / "here/trial_003.json").read_text())["state"] == "stopped"


@pytest.mark.parametrize("name", [name for name in names() if "early_terminate" in read(name).spec])
def test_a_shipped_sweep_ends_trials_after_the_measurements_that_its_comment_says(name):
    """A trial that is the worst from the n-th measurement on is ended at the next of those in the comment."""
    comment = re.search(r"early_terminate: # after (\d+) and (\d+) measurements", shipped(name).read_text())
    said = [int(number) for number in comment.groups()]
    sweep, engine = read(name), sweep_file.engine()

    def run(label, state, history):
        rows = [{sweep.metric: value} for value in history]
        return engine.SweepRun(name=label, state=state, config={}, sampledHistory=rows)

    def ended(n, worse_from):
        history = [0.5 if k < worse_from else 9.0 for k in range(1, n + 1)]
        curves = [run(f"trial_{k}", "finished", [1.0 + k] * said[1]) for k in range(6)]
        return bool(engine.stop_runs(sweep.searched, [*curves, run("trial_9", "running", history)]))

    assert [n for n in range(1, said[0] + 1) if ended(n, 1)] == [said[0]]
    assert not ended(said[1] - 1, 2)


def shipped(name):
    return next(
        folder / f"{name}.yaml" for folder in sweep_file.FOLDERS if (folder / f"{name}.yaml").is_file()
    )


# ---- with W&B's agent


@pytest.mark.parametrize(
    ("entity", "environment", "whose"),
    [("lab", None, "lab"), ("lab", "mine", "lab"), (None, "mine", "mine"), (None, None, "us")],
)
def test_a_sweep_is_registered_with_the_entity_of_its_file(entity, environment, whose, monkeypatch, capsys):
    import wandb

    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    if environment:
        monkeypatch.setenv("WANDB_ENTITY", environment)
    registered, served = [], []
    monkeypatch.setattr(wandb, "sweep", lambda spec, **given: registered.append(given) or "s1")
    monkeypatch.setattr(wandb, "Api", lambda: SimpleNamespace(default_entity="us"))
    monkeypatch.setattr(agent, "serve", served.append)
    agent.register(read(written(entity=entity, project="two")))
    assert registered == [{"entity": entity, "project": "two"}]
    assert served == [f"{whose}/two/s1"]
    assert f"make agent SWEEP_ID={whose}/two/s1" in capsys.readouterr().out


class WandB(ThreadingHTTPServer):
    """As much of W&B's server as its agent and a run need, until it dies."""

    daemon_threads = True

    def __init__(self, spec, commands):
        self.spec, self.commands, self.buckets, self.dead = spec, list(commands), {}, False
        super().__init__(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Connections that break are none of our business."""

    def die(self):
        self.dead = True
        self.shutdown()
        self.server_close()

    def answer(self, question, given):
        if question == "Viewer":
            viewer = {"id": "u", "entity": "us", "username": "us", "email": "", "flags": "{}"}
            return {"viewer": {**viewer, "teams": {"edges": []}}}
        if question == "SweepWithRuns":
            sweep = {"id": "s", "name": "s1", "config": self.spec, "runs": {"edges": []}}
            return {"project": {"sweep": sweep}}
        if question == "CreateAgent":
            return {"createAgent": {"agent": {"id": "a"}}}
        if question == "Heartbeat":
            commands = [self.commands.pop(0)] if given["runState"] == "{}" and self.commands else []
            return {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(commands)}}
        if question == "UpsertBucket":
            self.buckets.setdefault(given["name"] or "", {}).update(json.loads(given["config"] or "{}"))
            project = {"id": "p", "name": "energy_gan", "entity": {"id": "e", "name": "us"}}
            bucket = {"id": "b", "name": given["name"], "displayName": "", "project": project}
            bucket |= {"config": given["config"], "sweepName": given["sweep"], "historyLineCount": 0}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if question == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        return {}


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing is printed."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.dead:
            self.close_connection = True
            return
        answer = {}
        if self.path.startswith("/graphql"):
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            asked = json.loads(body)
            question = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])[1]
            answer = {"data": self.server.answer(question, asked.get("variables") or {})}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET = do_POST  # noqa: N815


@pytest.mark.slow
def test_w_and_bs_agent_trains_with_the_swept_values_and_outlives_its_server():
    """Two commands from a shipped file; the server dies while the second run trains."""
    spec = read("two_spiral_entropy").with_overrides([*SHORT, *MEASURED]).spec
    values = [
        {"method.terms.entropy.weight": 0.25, "method.energy.experts": 4},
        {"method.terms.entropy.weight": 2.5, "method.energy.experts": 16},
    ]
    commands = [
        {
            "type": "run",
            "program": "-",
            "run_id": f"run{n}",
            "args": {k: {"value": v} for k, v in given.items()},
        }
        for n, given in enumerate(values)
    ]
    server = WandB(yaml.safe_dump(spec), commands)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    environment |= {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "k" * 40, "OMP_NUM_THREADS": "1"}
    environment |= {"WANDB__GRAPHQL_RETRY_MAX": "1", "WANDB__FILE_STREAM_RETRY_MAX": "1"}  # not for minutes
    door = [sys.executable, "-m", "energy_gan.cli.agent", "us/energy_gan/s1", "--patience", "1"]
    with Path("output").open("w") as output:
        process = subprocess.Popen(
            door, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            while "run1" not in server.buckets and process.poll() is None:
                time.sleep(0.2)
            server.die()
            status = process.wait(120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    said = Path("output").read_text()
    assert status == 2, said
    assert "error: W&B has not answered for 1 s" in said.splitlines()[-1]
    runs = sorted(Path("runs/kim_bengio/two_spiral").iterdir())
    assert len(runs) == 2
    for run, given, name in zip(runs, values, ("run0", "run1"), strict=True):
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["method"]["terms"]["entropy"]["weight"] == given["method.terms.entropy.weight"]
        assert config["method"]["energy"]["experts"] == given["method.energy.experts"]
        assert (
            server.buckets[name]["method.terms.entropy.weight"]["value"]
            == given["method.terms.entropy.weight"]
        )
        assert torch.load(run / "checkpoints/step_000000020.ckpt", weights_only=True)["global_step"] == 20
        assert json.loads((run / "metrics.json").read_text())["step"] == 20
        assert list(run.glob(f"wandb/*run-*-{name}/*.wandb"))
    uploaded = server.buckets["run0"]["method"]["value"]
    assert (
        uploaded["terms"]["entropy"]["weight"]
        == server.buckets["run0"]["method.terms.entropy.weight"]["value"]
    )


def test_silence_is_counted_from_the_last_answer(monkeypatch):
    now = iter([0.0, 65.0, 400.0, 465.0, 530.0])  # answered between the second and the third
    monkeypatch.setattr(agent, "time", SimpleNamespace(monotonic=lambda: next(now)))
    silence, complaint = agent.Silence(180.0), logging.makeLogRecord({})
    for _ in range(4):
        silence.emit(complaint)
    with pytest.raises(SystemExit):
        silence.emit(complaint)
    assert silence.ended


@pytest.mark.parametrize("least", [4, 50])
def test_a_rule_that_never_ends_a_trial_is_refused(least):
    """A trial of 2,000 steps is measured at 500, 1,000, 1,500 and at its end, when it is over anyway."""
    rule = {"type": "hyperband", "min_iter": least}
    many = ["trainer.max_steps=2000", "callbacks.report.every_n_steps=500"]
    sweep = read(written(early_terminate=rule)).with_overrides(many)
    with pytest.raises(InputError, match=rf"min_iter={least} ends no trial .*=2000 is measured 4 times"):
        check_all(sweep)
    check_all(read(written(early_terminate=rule | {"min_iter": 3})).with_overrides(many))
