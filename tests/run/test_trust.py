"""A stranger's file runs nothing, writes nothing and reads no secret: one line, whatever the route."""

import copy
import inspect
import json
import os
import pickle
import shutil
import zipfile
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from faults import damage

from energy_gan import objectives
from energy_gan.callbacks.report import Report
from energy_gan.data.schema import Schema
from energy_gan.data.table_files import read_table
from energy_gan.errors import InputError
from energy_gan.optim import schedules
from energy_gan.run.build import build
from energy_gan.run.buildable import FUNCTIONS, buildable, locate, named
from energy_gan.run.checkpoints import load
from energy_gan.run.compose import compose, read_config
from energy_gan.run.contents import check_fits
from energy_gan.run.run import Run
from energy_gan.samplers.mala import MALA
from energy_gan.search.file import read
from energy_gan.search.trials import Search

TOUCH = {"_target_": "os.system", "command": "touch canary"}
CLI = "lightning.pytorch.cli.instantiate_class"
SAVE = "energy_gan.callbacks.checkpoint"
INIT = {"class_path": "os.system", "init_args": {"command": "touch canary"}}
CREATE = "${oc.create:{_target_: %s}}"
LAST = "checkpoints/step_000000020.ckpt"
SECRET = "c0ffee" * 6


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trained once for all."""
    folder = tmp_path_factory.mktemp("trust") / "run"
    run = Run(compose([*damage.GIVEN, "trainer.max_steps=20", f"run_dir='{folder}'"]))
    run.create()
    run.fit()
    return folder


@pytest.fixture
def run(trained, monkeypatch):
    """A copy of it here, from which a stranger's is made."""
    monkeypatch.setenv("SECRET", SECRET)
    read_config(Path(shutil.copytree(trained, "run")))
    return Path("run")


def written(tree):
    return yaml.dump(tree, Dumper=yaml.CSafeDumper)


def put(tree, key, value):
    """The tree with a value at a dotted key."""
    *way, last = key.split(".")
    node = tree
    for name in way:
        node[name] = dict(node.get(name) or {})
        node = node[name]
    node[last] = value
    return tree


def refused(work, *given):
    """It ends in one line, and no file is new or another one after it."""
    before = {p: (p.lstat().st_size, p.lstat().st_mtime_ns) for p in Path().rglob("*")}
    with pytest.raises(InputError) as error:
        work(*given)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1500
    assert SECRET not in str(error.value)
    assert before == {p: (p.lstat().st_size, p.lstat().st_mtime_ns) for p in Path().rglob("*")}
    return str(error.value)


# --- what a config names -----------------------------------------------------------------------------------

MODULES = {"_target_": "torch.nn.ModuleList"}
NODES = {
    # of the issue
    "a door of Lightning's": {"_target_": CLI, "args": [], "init": INIT},
    "an interpolation in a mode": {"_target_": "torch.nn.Upsample", "mode": CREATE % "sympy.sympify, a: 1"},
    "torch.load by interpolation": {"_target_": "torch.nn.Upsample", "mode": CREATE % "torch.load, f: x"},
    "savetxt by interpolation": {"_target_": "torch.nn.Upsample", "mode": CREATE % "numpy.savetxt, fname: x"},
    "trust in a file": {"_target_": "energy_gan.load", "path": "run", "trust": ["sympy"]},
    "our train": {"_target_": "energy_gan.cli.train.main"},
    "our fit": {"_target_": "energy_gan.fit", "x": [[0.0, 0.0]], "run_dir": "canary"},
    "an environment variable": {"_target_": "torch.nn.Upsample", "mode": "${oc.env:SECRET}"},
    # functions
    "a shell": TOUCH,
    "a shell through us": {"_target_": "energy_gan.system.files.os.system", "command": "touch canary"},
    "a shell through torch": {"_target_": "torch.nn.modules.module.os.system", "command": "touch canary"},
    "eval": {"_target_": "builtins.eval", "source": "open('canary', 'w')"},
    "Hydra": {"_target_": "hydra.utils.instantiate", "config": TOUCH},
    "our build": {"_target_": "energy_gan.run.build.build", "node": TOUCH, "key": "method"},
    "our named": {"_target_": "energy_gan.run.buildable.named", "path": "os.system"},
    "our load by its home": {"_target_": "energy_gan.run.checkpoints.load", "path": "run"},
    "our writer": {"_target_": "energy_gan.system.files.write_text", "path": "canary", "text": "x"},
    "a function of torch.nn": {"_target_": "torch.nn.utils.parameters_to_vector", "parameters": []},
    "torch.nn.init": {"_target_": "torch.nn.init.ones_", "tensor": 1},
    "torch.load": {"_target_": "torch.load", "f": "canary", "weights_only": False},
    "torch.hub": {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "x", "source": "local"},
    "a private function of objectives": {"_target_": "energy_gan.objectives.partial"},
    "a method of a class": {"_target_": "energy_gan.methods.energy_gan.EnergyGAN.load_from_checkpoint"},
    # classes
    "a run": {"_target_": "energy_gan.run.run.Run", "config": {}},
    "a search": {"_target_": "energy_gan.search.trials.Search", "sweep": None, "folder": "canary"},
    "an unpickler": {"_target_": "energy_gan.data.cifar10._Arrays", "file": "canary"},
    "a profiler": {"_target_": "lightning.pytorch.profilers.PyTorchProfiler", "dirpath": "canary"},
    "a lambda callback": {"_target_": "lightning.pytorch.callbacks.LambdaCallback", "on_fit_start": TOUCH},
    "a saving callback": {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": "canary"},
    "a logger": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "canary"},
    "a command line": {"_target_": "lightning.pytorch.cli.LightningCLI"},
    "an averaged model": {"_target_": "torch.optim.swa_utils.AveragedModel", "model": MODULES},
    "parallel": {"_target_": "torch.nn.parallel.DataParallel", "module": MODULES},
    # places that are not theirs
    "our tracker as a part": {"_target_": "energy_gan.callbacks.trackers.TensorBoard", "run_dir": "canary"},
    "our saver as a part": {
        "_target_": "energy_gan.callbacks.checkpoint.SaveCheckpoints",
        "folder": "canary",
    },
    "our data as a part": {"_target_": "energy_gan.data.digits.Digits", "cache": "canary"},
    "a trainer as a part": {"_target_": "lightning.pytorch.Trainer", "default_root_dir": "canary"},
    # forms
    "in a list": [TOUCH],
    "in a list of lists": [[[TOUCH]]],
    "a partial": {**TOUCH, "_partial_": True},
    "an argument of a part": {**MODULES, "modules": [TOUCH]},
    "an argument of a partial": {"_target_": "torch.nn.Linear", "_partial_": True, "device": TOUCH},
    "Hydra's arguments": {"_target_": "torch.nn.Sequential", "_args_": [TOUCH]},
    "Hydra's conversion": {"_target_": "torch.nn.ReLU", "_convert_": "all"},
    "Hydra's recursion": {"_target_": "torch.nn.ReLU", "_recursive_": False},
    "a defaults list": {"defaults": ["/etc/passwd"], "_target_": "torch.nn.ReLU"},
    "a number for a name": {"_target_": 5},
    "a list for a name": {"_target_": ["os", "system"]},
    "a dotted end": {"_target_": "torch.nn."},
    "a dotted beginning": {"_target_": ".os.system"},
    "a path for a name": {"_target_": "torch.nn/../../os.system"},
    "a name with a new line": {"_target_": "torch.nn.ReLU\nos.system"},
    "a name that only begins alike": {"_target_": "energy_gans.Energy"},
    "a model registry": {"_target_": "lightning.pytorch.Trainer", "model_registry": "stranger/model"},
    "a key of thousands of digits": {"_target_": "torch.nn.Upsample", "size": 10**4000},
    "a key with ${": {"_target_": "torch.nn.ReLU", "${oc.env:SECRET}": 1},
}
PLACES = (
    "method.energy",
    "method.objective",
    "logger.tensorboard",
    "callbacks.x",
    "data.density",
    "trainer.x",
)


@pytest.mark.parametrize("case", NODES)
def test_a_stranger_s_config_builds_nothing_else(case, run):
    """Wherever it stands in the config of a run's folder, and in a checkpoint."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    for place in PLACES:
        changed = put(copy.deepcopy(config), place, NODES[case])
        Path("run/config.yaml").write_text(written(changed))
        if case == "our tracker as a part" and place == "logger.tensorboard":
            assert "is not in the run's own folder" in refused(lambda: Run(read_config(run)))
        elif (case, place) != ("our saver as a part", "callbacks.x"):
            refused(lambda: Run(read_config(run)))
    checkpoint = torch.load(run / LAST, weights_only=True)
    put(checkpoint, "hyper_parameters.method.energy", NODES[case])
    torch.save(checkpoint, "stranger.ckpt")
    refused(load, "stranger.ckpt")


@pytest.mark.parametrize("part", ["method", "data", "trainer"])
@pytest.mark.parametrize("node", [{}, {"energy": MODULES}, {"a": {"b": {}}}], ids=["{}", "part", "tree"])
def test_a_part_that_is_no_call_is_refused(part, node, run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    Path("run/config.yaml").write_text(written({**config, part: node}))
    assert f"{part} has no _target_" in refused(lambda: Run(read_config(run)))
    checkpoint = torch.load(run / LAST, weights_only=True)
    checkpoint["hyper_parameters"]["method"] = node
    torch.save(checkpoint, "stranger.ckpt")
    assert "method has no _target_" in refused(load, "stranger.ckpt")


PATHS = {
    "the report's folder": ("callbacks.report.folder", "../elsewhere"),
    "the checkpoints' folder": ("callbacks.checkpoint.folder", "/tmp/elsewhere"),
    "the checkpoints' folder, from within": ("callbacks.checkpoint.folder", "run/../elsewhere"),
    "TensorBoard's folder": ("logger.tensorboard.run_dir", "elsewhere"),
    "the trainer's folder": ("trainer.default_root_dir", "s3://stranger/bucket"),
    "the cache": ("data.cache", "/tmp/elsewhere"),
    "the features": ("callbacks.report.features", "../elsewhere"),
}


@pytest.mark.parametrize("case", PATHS)
def test_a_run_is_written_into_its_own_folder(case, run):
    given = ["data=digits", "method=gan", "run_dir=run", "data.cache=data/cache"]
    shutil.rmtree(run)
    run.mkdir()
    config = compose(given)
    Path("run/config.yaml").write_text(written(config))
    assert read_config(run)["run_dir"] == "run"
    Path("run/config.yaml").write_text(written(put(config, *PATHS[case])))
    refused(lambda: Run(read_config(run)))
    key, value = PATHS[case]
    if key in ("data.cache", "callbacks.report.features"):  # what the user himself says is done
        assert read_config(run, [f"{key}={value}"])


@pytest.mark.parametrize("link", ["checkpoints", "figures", "tensorboard", "metrics.json", "a/b/c"])
def test_a_link_in_a_run_s_folder_leads_nowhere(link, run):
    Path("elsewhere").mkdir()
    target = run / link
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(Path("elsewhere").absolute())
    assert "is a link out of the run's folder" in refused(read_config, run)


# --- YAML --------------------------------------------------------------------------------------------------

LAUGHS = "a: &a [x]\n" + "\n".join(
    f"{b}: &{b} [{', '.join(9 * [f'*{a}'])}]" for a, b in pairwise("abcdefghi")
)
YAML = {
    "nine levels of aliases": LAUGHS,
    "merged aliases": "a: &a {x: 1}\nb: &b {<<: [*a, *a]}\nc: {<<: [*b, *b]}",
    "a Python tag": "x: !!python/object/apply:os.system ['touch canary']",
    "a Python name": "x: !!python/name:os.system",
    "a Python object": "x: !!python/object/new:type {args: [x, [], {}]}",
    "a path": "x: !!python/object/apply:pathlib.Path ['canary']",
    "bytes": "x: !!binary aGVsbG8=",
    "a set": "x: !!set {a, b}",
    "a date": "x: !!timestamp 2001-01-01",
    "no date": "x: !!timestamp yesterday",
    "no truth": "x: !!bool perhaps",
    "deep": "x: " + "[" * 5000 + "]" * 5000,
    "long": "x: " + "y" * 10**6,
    "thousands of digits": "x: " + "9" * 5000,
    "hundreds of digits": "x: " + "9" * 500,
    "thousands of digits in another base": "x: 0x" + "f" * 5000,
    "an interpolation": "x: ${oc.env:SECRET}",
    "an interpolation in a key": "${oc.env:SECRET}: 1",
    "numbers as keys": "x: {1: 2}",
    "a list": "[1, 2]",
    "nothing": "",
    "bad UTF-8": b"x: \xff\xfe",
    "control characters": b"x: \x00",
    "two documents": "--- 1\n--- 2",
    "twice the same key": "run_dir: a\nrun_dir: b",
    "a defaults list": "defaults: [/etc/passwd]",
    "Hydra's own settings": "hydra: {searchpath: [file:///tmp]}",
}


@pytest.mark.parametrize("case", YAML)
def test_a_stranger_s_yaml_is_plain(case, run):
    text = YAML[case] if isinstance(YAML[case], bytes) else YAML[case].encode()
    whole = (run / "config.yaml").read_bytes()
    for contents in (text, whole + b"\n" + text) if text else (text,):
        Path("run/config.yaml").write_bytes(contents)
        refused(lambda: Run(read_config(run)))
    Path("mine.yaml").write_bytes(text)
    refused(read, "mine.yaml")


@pytest.mark.parametrize(
    "key", ["method", "data", "trainer", "callbacks", "logger", "run_dir", "seed", "kind"]
)
def test_a_config_is_whole(key, run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    for value in (None, 5, [], "x"):
        Path("run/config.yaml").write_text(written(config | {key: value}))
        if (key, value) not in (("run_dir", "x"), ("seed", 5)):
            refused(lambda: Run(read_config(run)))
    del config[key]
    Path("run/config.yaml").write_text(written(config))
    said = refused(lambda: Run(read_config(run)))
    assert ("is of an older layout" in said) == (key == "kind")


# --- sweeps ------------------------------------------------------------------------------------------------

START = ["${env}", "${interpreter}", "-m", "energy_gan.cli.train", "data=rings"]
SWEEP = {"method": "random", "parameters": {"seed": {"values": [1, 2]}}}
WORDS = {
    "trust": "trust=[sympy]",
    "trust in quotes": "'trust=[sympy]'",
    "trust added": "+trust=[sympy]",
    "an environment variable": "logger.wandb.project=${oc.env:SECRET}",
    "Hydra's search path": "hydra.searchpath=[file:///tmp]",
    "a place to write": "callbacks.report.folder=/tmp/elsewhere",
    "a cache": "data.cache=/tmp/elsewhere",
}


@pytest.mark.parametrize("case", WORDS)
def test_a_stranger_s_sweep_says_nothing_of_that(case):
    command = [*START, WORDS[case], "${args_no_hyphens}"]
    Path("mine.yaml").write_text(written(SWEEP | {"command": command}))
    refused(read, "mine.yaml")
    key, _, value = WORDS[case].strip("'").partition("=")
    plain = SWEEP | {"command": [*START, "${args_no_hyphens}"]}
    Path("mine.yaml").write_text(written(plain | {"parameters": {key: {"values": [value]}}}))
    refused(read, "mine.yaml")


@pytest.mark.parametrize("values", [{"trust": "[sympy]"}, {"seed": "${oc.env:SECRET}"}, 5])
def test_a_stranger_s_trial_is_not_started(values):
    plain = SWEEP | {"command": [*START, "${args_no_hyphens}"]}
    Path("mine.yaml").write_text(written(plain))
    Path("trials").mkdir()
    Path("trials/trial_001.json").write_text(json.dumps({"number": 1, "values": values}))
    search = Search(read("mine.yaml"), Path("trials"))
    refused(search._read)


# --- data --------------------------------------------------------------------------------------------------


def bomb_npy(path):
    np.save(path, np.array([damage.Bomb()], dtype=object), allow_pickle=True)


def bomb_npz(path):
    with path.open("wb") as file:
        np.savez(file, x=np.array([damage.Bomb()], dtype=object))


def bomb_pickle(path):
    path.write_bytes(pickle.dumps(damage.Bomb()))


def bomb_parquet(path):
    """Columns of bytes, and metadata that names a pickled type, as pyarrow once unpickled it."""
    import pyarrow
    from pyarrow import parquet

    field = pyarrow.field("a", pyarrow.binary()).with_metadata(
        {
            b"ARROW:extension:name": b"arrow.py_extension_type",
            b"ARROW:extension:metadata": pickle.dumps(damage.Bomb()),
        }
    )
    rows = pyarrow.table([pyarrow.array([b"x"] * 50)], schema=pyarrow.schema([field]))
    parquet.write_table(rows, path)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x.npy", bomb_npy),
        ("x.npy", bomb_npz),
        ("x.npy", bomb_pickle),
        ("x.csv", bomb_pickle),
        ("x.parquet", bomb_pickle),
        ("x.parquet", bomb_parquet),
    ],
)
def test_a_stranger_s_table_unpickles_nothing(name, make):
    make(Path(name))
    refused(lambda: Schema.of(read_table(name)))


def test_a_stranger_s_cache_is_made_anew():
    """A manifest that fits beside an array of objects."""
    config = compose(["data=digits", "method=gan", "run_dir=run", "data.cache=cache"])["data"]
    data = build(config, "data")
    data.setup()
    points = torch.as_tensor(data.points[:]).clone()
    array = next(Path("cache").glob("*train*.npy"))
    array.unlink()  # it is mapped
    bomb_npy(array)
    again = build(config, "data")
    again.setup()
    assert not Path("canary").exists()
    assert torch.equal(points, torch.as_tensor(again.points[:]))


# --- checkpoints -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../up", "/tmp/root", "..\\up", "archive/../../up"])
def test_names_in_a_checkpoint_s_archive_lead_nowhere(name, run):
    """They are read in place: the checkpoint is refused, or is what it was."""
    with zipfile.ZipFile(run / LAST) as old, zipfile.ZipFile("stranger.ckpt", "w") as new:
        for entry in old.namelist():
            new.writestr(entry, old.read(entry))
        new.writestr(name, b"x")
    before = sorted(Path().absolute().parent.rglob("*"))
    with suppress(InputError):
        load("stranger.ckpt")
    assert sorted(Path().absolute().parent.rglob("*")) == before
    assert not Path("/tmp/root").exists()


ABSENT = object()
CONTENTS = {
    "no method": ("hyper_parameters.method", None),
    "no hyper-parameters": ("hyper_parameters", ABSENT),
    "another version": ("pytorch-lightning_version", "0.1"),
    "no version": ("pytorch-lightning_version", ABSENT),
    "a version that is none": ("pytorch-lightning_version", [1]),
    "no optimizers": ("optimizer_states", ABSENT),
    "too few optimizers": ("optimizer_states", []),
    "optimizers of nothing": ("optimizer_states", [{}, {}]),
    "optimizers of text": ("optimizer_states", "x"),
    "callbacks of text": ("callbacks", "x"),
    "a callback of text": ("callbacks.Report", "x"),
    "no loops": ("loops", {}),
    "loops of text": ("loops.fit_loop", "x"),
    "loops of halves": ("loops.fit_loop", {"state_dict": {}}),
    "a step that is none": ("global_step", "20"),
    "a step before the first": ("global_step", -1),
    "a step beyond all": ("global_step", 2**70),
    "an epoch that is none": ("epoch", None),
    "weights of nothing": ("state_dict", {}),
    "weights of text": ("state_dict", {"energy.linear": "x"}),
    "one weight more": ("state_dict.x", torch.zeros(2)),
    "columns that are none": ("hyper_parameters.columns", 5),
    "a kind that is none": ("hyper_parameters.kind", 5),
    "a seed that is none": ("hyper_parameters.seed", "x"),
    "a tensor in the config": ("hyper_parameters.x", torch.zeros(2)),
    "an interpolation anywhere": ("hyper_parameters.logger.wandb.project", "${oc.env:SECRET}"),
    "a number without end": ("hyper_parameters.seed", 10**5000),
    "an average alone": ("current_model_state", {}),
}
WEIGHTS = {
    "nan": lambda w: w * float("nan"),
    "infinite": lambda w: w + float("inf"),
    "int8": lambda w: w.to(torch.int8),
    "int64": lambda w: w.to(torch.int64),
    "complex": lambda w: w.to(torch.complex64),
    "sparse": lambda w: w.to_sparse(),
    "of another shape": lambda w: w[..., None],
}
TO_GO_ON = (
    "too few optimizers",
    "optimizers of nothing",
    "no loops",
    "loops of",
)


def resumed(run):
    Run(read_config(run, ["trainer.max_steps=30"])).resume()


@pytest.mark.parametrize("case", CONTENTS)
def test_a_checkpoint_is_looked_at_once(case, run, capsys):
    checkpoint = torch.load(run / LAST, weights_only=True)
    key, value = CONTENTS[case]
    if value is ABSENT:
        del checkpoint[key]
    elif key == "state_dict.x":
        checkpoint["state_dict"]["x"] = value
    else:
        put(checkpoint, key, value)
    for path in run.glob("checkpoints/*"):
        torch.save(checkpoint, path)
    if not case.startswith(TO_GO_ON):
        refused(load, run / LAST)
    refused(resumed, run)


def test_what_a_callback_kept_is_of_its_form(run):
    """The report's history, and nothing else under its name."""
    again = Run(read_config(run))
    again.trainer.callbacks.append(Report("run"))
    checkpoint = torch.load(run / LAST, weights_only=True)
    checkpoint["callbacks"]["Report"] = {"history": [], "seconds": 1.0}
    check_fits(again.method, checkpoint, run / LAST, again.trainer)
    for wrong in ({}, {"history": 5, "seconds": 1.0}, {"history": []}):
        checkpoint["callbacks"]["Report"] = wrong
        with pytest.raises(InputError, match="callbacks"):
            check_fits(again.method, checkpoint, run / LAST, again.trainer)


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_are_what_the_networks_hold(case, run):
    checkpoint = torch.load(run / LAST, weights_only=True)
    checkpoint["state_dict"] = {
        k: WEIGHTS[case](w) if w.is_floating_point() else w for k, w in checkpoint["state_dict"].items()
    }
    for path in run.glob("checkpoints/*"):
        torch.save(checkpoint, path)
    refused(load, run / LAST)
    refused(resumed, run)


def test_a_checkpoint_of_before_says_so(run):
    checkpoint = torch.load(run / LAST, weights_only=True)
    del checkpoint["hyper_parameters"]["kind"]
    torch.save(checkpoint, run / LAST)
    assert "is of an older layout" in refused(load, run)
    assert "is of an older layout" in refused(load, run / LAST)


# --- the rule itself ---------------------------------------------------------------------------------------


def test_every_pure_function_is_on_the_list():
    """A new objective or schedule has to be put there."""
    for module in (objectives, schedules):
        own = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
        public = {f"{f.__module__}.{f.__name__}" for f in own if not f.__name__.startswith("_")}
        assert public <= FUNCTIONS
    for name in FUNCTIONS:
        assert buildable(named(name), "method")


def test_a_name_does_not_count_but_what_it_leads_to():
    assert locate("energy_gan.sampling.MALA", "method.kernel") is MALA
    with pytest.raises(InputError, match="is nothing that a config builds there"):
        locate("energy_gan.sampling.MALA", "data.density")
    with pytest.raises(InputError, match="is nothing that a config builds there"):
        locate("energy_gan.model.Model", "method.energy")


def test_trust_is_of_the_package_and_no_other():
    assert locate("os.path.join", "method.energy", ["posixpath", "os"])
    for trust in (["posix"], ["o"], ["os.pat"]):
        with pytest.raises(InputError, match=r"is not trusted: .*trust=\[os\]"):
            locate("os.path.join", "method.energy", trust)
    with pytest.raises(InputError, match="is nothing that a config builds there"):
        locate("os.path.join", "method.energy", ["os.path"])  # which posixpath defines


def test_nobody_s_environment_is_read(run):
    assert os.environ["SECRET"] == SECRET
    refused(read_config, run, ["logger.wandb=${oc.env:SECRET}"])
