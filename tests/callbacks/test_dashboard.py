"""What a run logs reaches both trackers, the panels show it, and a resumed run is the same run."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import torch
import yaml
from conftest import QUICK
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from energy_gan.callbacks.trackers import histogram
from energy_gan.cli.dashboard import pinned, report, workspace
from energy_gan.reports.panels import PANELS, layout
from energy_gan.run.compose import compose
from energy_gan.run.run import Run
from energy_gan.search import check as sweep_check


def tensorboard(run):
    """The names that TensorBoard shows of a run: its steps."""
    everything = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
    events = EventAccumulator(str(run / "tensorboard"), size_guidance=everything)
    events.Reload()
    read = {"scalars": events.Scalars, "images": events.Images, "histograms": events.Histograms}
    return events, {n: [e.step for e in of(n)] for kind, of in read.items() for n in events.Tags()[kind]}


def wandb(part):
    """The same of one part of an offline run on W&B, and the rows themselves."""
    (file,) = part.glob("*.wandb")
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    steps = {}
    for row in rows:
        for key in {k.removesuffix("._type").removesuffix(".count") for k in row if not k.startswith("_")}:
            steps.setdefault(key, []).append(row["_step"])
    return records, rows, steps


@pytest.fixture(scope="module")
def chains_run(tmp_path_factory):
    """A run with everything that points have to log: chains, an entropy, a likelihood."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    few = ["data.n_points=300", "data.n_held_out=300", "data.density.std=0.2", "trainer.max_steps=6"]
    few += ["method.negatives.memory.chains=64", "method.negatives.memory.moved=32"]
    names = ["data=eight_gaussians", "method=aligned_chains", f"run_dir='{folder}'"]
    run = Run(compose([*names, *QUICK, *few, "callbacks.report.every_n_steps=5"]))
    run.create()
    run.fit()
    return folder


def test_both_trackers_know_the_same_names_at_the_same_steps(finished_run):
    _, by_tensorboard = tensorboard(finished_run)
    (part,) = finished_run.glob("wandb/offline-run-*")
    _, rows, by_wandb = wandb(part)
    for name, steps in by_tensorboard.items():
        assert by_wandb[name] == steps, name
    assert {name.partition(".")[0] for name in by_wandb} - by_tensorboard.keys() == {"trainer/global_step"}
    assert all(row["_step"] == row["trainer/global_step"] for row in rows)
    assert len({row["_step"] for row in rows}) == len(rows)


def test_the_panels_show_what_runs_log(chains_run):
    """Each name is one that some run logs: points with chains, digits with classes, stacked digits, noise."""
    _, points = tensorboard(chains_run)
    logged = set(points) | {"interpolation", "samples_by_energy", "marginals", "reconstruction", "classes"}
    logged |= {"associations"}
    logged |= {"networks", "decision_boundaries", "grids", "latent_map", "latent_energies", "long_chains"}
    logged |= {"samples_by_class", "latents_by_class"}
    for given in (
        ["data=digits", "method=critic"],
        ["data=stacked_mnist", "method=meg"],
        ["data=digits", "method=tilted"],
        ["data=digits", "method=jem"],
        ["data=digits", "method=hypernetwork"],
        ["data=digits", "method=lebm"],
        ["data=python_topics", "method=lebm"],
        ["data=digits", "method=multigrid"],
        ["data=digits", "method=fce"],
        ["data=eight_gaussians", "method=fce"],
    ):
        images = sweep_check.logged_names(compose(given), "val/", here=False)
        logged |= images.during | images.at_end
    logged |= {"train/told", "train/accuracy"}  # the energy of fce rests in the first steps
    few = ["method.step_choice.n=2", "method.step_choice.points=1"]
    coupled = ["method=symbol_vector"]
    for given in (["method=lebm"], coupled, ["method=triangle"], ["method=multigrid"], ["method=sri", *few]):
        config = compose(["data=digits", *given])
        logged |= sweep_check.logged_names(config, "train/", here=False).during
    config = compose(["data=eight_gaussians", "method=nt_ebm"])
    logged |= sweep_check.logged_names(config, "train/", here=False).during
    of_chains = ("chains_acceptance", "chains_step_size")  # see test_latents
    logged |= {f"train/{kind}_{name}" for kind in ("prior", "posterior") for name in of_chains}
    for panel in PANELS:
        assert set(panel.names) <= logged, panel.title


def test_tensorboard_has_the_panels_of_which_a_run_has_something(chains_run):
    events, names = tensorboard(chains_run)
    shown = Layout.FromString(events.Tensors("custom_scalars__config__")[-1].tensor_proto.string_val[0])
    charts = {(c.title, chart.title) for c in shown.category for chart in c.chart}
    assert charts == {(s, title) for s, charts in layout(set(names)).items() for title in charts}
    assert ("training", "acceptance rates") in charts
    assert ("samples", "Fréchet distance") not in charts


def test_acceptance_rates_and_gradient_norms_are_of_the_run(chains_run):
    """The chains' step size is the checkpoint's; the energy's gradient is positive and finite."""
    events, names = tensorboard(chains_run)
    kept = torch.load(chains_run / "checkpoints/step_000000006.ckpt", weights_only=True)["state_dict"]
    step_size = events.Scalars("train/chains_step_size")[-1].value
    assert step_size == pytest.approx(float(kept["negatives.step_size"]), rel=1e-5)
    for name in ("train/chains_acceptance", "val/refine_acceptance"):
        assert names[name] == [5, 6]
        assert all(0 < e.value <= 1 for e in events.Scalars(name))
    assert names["train/gradient_energy"] == names["train/energy_gap"] == [0, 5]
    assert all(0 < e.value < 1e4 for e in events.Scalars("train/gradient_energy"))
    history = json.loads((chains_run / "metrics.json").read_text())["history"]
    assert not any("acceptance" in name or "/gradient" in name for row in history for name in row)


def test_histograms_count_every_value_between_the_same_edges():
    values = np.concatenate(
        [np.random.default_rng(0).normal(-400, 1, 10_000), [np.inf, -np.inf, np.nan, 1e9]]
    )
    counts, edges = histogram(values)
    assert counts.sum() == len(values) - 1  # all but nan
    assert -405 < edges[0] < -402
    assert -398 < edges[-1] < -395
    assert (counts > 0).sum() > 50  # of 64: they resolve the bulk, whatever the outliers
    assert counts[-1] >= 2
    assert histogram(np.full(10, 7.0)).counts.sum() == 10
    assert histogram(np.array([np.nan, np.inf])) is None


def test_both_trackers_get_the_same_histogram(finished_run):
    events, _ = tensorboard(finished_run)
    (part,) = finished_run.glob("wandb/offline-run-*")
    row = wandb(part)[1][-1]
    for name in ("energy/data", "energy/generator", "energy/noise"):
        (kept,) = events.Histograms(name)
        limits, counts = kept.histogram_value.bucket_limit, kept.histogram_value.bucket
        assert limits == pytest.approx(row[f"{name}.bins"])
        assert counts[1:] == row[f"{name}.values"]


def test_run_folder_config_checkpoint_and_tracker_name_each_other(finished_run):
    config = yaml.safe_load((finished_run / "config.yaml").read_text())
    name = config["logger"]["wandb"]["id"]
    (part,) = finished_run.glob(f"wandb/offline-run-*-{name}")
    kept = torch.load(finished_run / "checkpoints/step_000000020.ckpt", weights_only=True)["hyper_parameters"]
    assert kept["logger"]["wandb"]["id"] == name
    assert kept["run_dir"] == config["run_dir"] == str(finished_run)
    records = wandb(part)[0]
    assert next(r["run"] for r in records if r["type"] == "run")["run_id"] == name
    told = {}
    for record in records:
        told |= record.get("config", {}).get("update", {}) if record["type"] == "config" else {}
    assert told["run_dir"] == str(finished_run)
    assert yaml.unsafe_load((finished_run / "tensorboard/hparams.yaml").read_text())["run_dir"] == str(
        finished_run
    )


def test_a_resumed_run_is_the_same_run_and_repeats_no_step(finished_run, resumed_run):
    run, whole = resumed_run[0], tensorboard(finished_run)[1]
    resumed = tensorboard(run)[1]
    for name, steps in whole.items():
        again = [10] if "/" not in name or name.startswith("energy/") else []  # pictures come again
        assert resumed[name] == sorted({*steps, *again}), name
    config = yaml.safe_load((run / "config.yaml").read_text())
    parts = sorted(run.glob("wandb/offline-run-*"))
    assert len(parts) == 2
    assert {part.name.split("-")[-1] for part in parts} == {config["logger"]["wandb"]["id"]}
    assert min(row["_step"] for row in wandb(parts[1])[1]) == 10


def test_runs_have_names_of_their_own_and_an_agent_gives_its_own(monkeypatch):
    def name(given):
        return Run(compose(["data=eight_gaussians", "run_dir=run", *given])).config["logger"]["wandb"]["id"]

    assert name([]) != name([])
    assert name(["logger.wandb.id=mine"]) == "mine"
    monkeypatch.setenv("WANDB_RUN_ID", "agents")
    assert name([]) == "agents"
    assert Run(compose(["run_dir=run", "logger.wandb=null"])).config["logger"]["wandb"] is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_workspace_and_the_report_hold_the_panels():
    """Built offline: what would be sent to W&B."""
    spec = json.loads(workspace("us", "energy_gan")._to_model().spec.model_dump_json(by_alias=True))
    sections = spec["section"]["panelBankConfig"]["sections"]
    shown = {s["name"]: s["panels"] for s in sections if s["panels"]}
    expected = {}
    for panel in PANELS:
        expected.setdefault(panel.section, []).append(panel)
    blocks = report("us", "energy_gan").blocks
    grids = [
        [p._to_model().model_dump(by_alias=True) for p in b.panels] for b in blocks if hasattr(b, "panels")
    ]
    assert [b.text for b in blocks if hasattr(b, "text")] == list(expected)
    for in_report, (name, panels) in zip(grids, expected.items(), strict=True):
        for sent in (shown[name], in_report):
            given = [(p["config"].get("metrics") or p["config"].get("mediaKeys")) for p in sent]
            assert given == [list(panel.names) for panel in panels]
            titles = [p["config"].get("chartTitle") for p in sent]
            assert titles == [panel.title for panel in panels]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "FOLDER=runs does not exist"),
        (["--folder", "."], "FOLDER=. holds no run that TensorBoard can show"),
        (["--project", "us/mine"], "give ONLINE=1 with it"),
        (["--online"], "there is no API key for api.wandb.ai"),
        (["--online", "--project", "a/b/c"], "PROJECT=a/b/c is none"),
        (["--port", "many"], "invalid int value: 'many'"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, open_door, monkeypatch):
    monkeypatch.setenv("NETRC", "nowhere")
    status, _, errors = open_door("dashboard", *arguments)
    assert (status, errors.count("\n")) == (2, 1), errors
    assert said in errors


def test_a_port_is_a_free_one(open_door, finished_run):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, errors = open_door("dashboard", "--folder", finished_run, "--port", port)
    assert (status, errors.count("\n")) == (2, 1), errors
    assert f"PORT={port} is not to be had" in errors
    for wrong in (0, 70_000):
        assert "from 1 to 65535" in open_door("dashboard", "--folder", finished_run, "--port", wrong)[2]


def test_what_runs_have_is_pinned_first_a_curve_for_each_panel():
    """The distance that the run has, not the one without weights; what one run of many has comes last."""
    tags = [["val/frechet_lenet", "val/recall_lenet", "train/energy_gap"]] * 8 + [["val/grid_consistency"]]
    cards = json.loads(unquote(pinned(list(chain(*tags)))).partition("=")[2])
    expected = ["val/frechet_lenet", "val/recall_lenet", "train/energy_gap", "val/grid_consistency"]
    assert [card["tag"] for card in cards] == expected
    assert len(json.loads(unquote(pinned()).partition("=")[2])) == 10


@pytest.mark.slow
def test_tensorboard_answers_until_ctrl_c(finished_run):
    command = [sys.executable, "-m", "energy_gan.cli.dashboard", "--folder", str(finished_run)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert "Ctrl-C ends it" in process.stdout.readline()
        address = process.stdout.readline().strip()
        assert unquote(address).startswith(f"http://localhost:{urlsplit(address).port}/?pinnedCards=[")
        assert address.endswith("#timeseries")
        with urllib.request.urlopen(address.partition("?")[0] + "data/plugins_listing", timeout=20) as answer:
            assert "custom_scalars" in json.load(answer)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
