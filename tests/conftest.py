"""What the tests share: one thread, so that results repeat, and doors opened in this process."""

import atexit
import contextlib
import gc
import importlib
import io
import shutil
import sys
from functools import partial
from pathlib import Path

import budget
import cached
import lightning  # noqa: F401, before energy_gan, whose check of shapes has libraries compiled anew
import numpy as np
import pytest
import sklearn.mixture  # noqa: F401
import torch

torch.set_num_threads(1)
gc.disable()  # until all is collected: imports make hundreds of thousands of objects that stay
QUICK = [
    "trainer.max_steps=20",
    "trainer.log_every_n_steps=5",
    "callbacks.report.every_n_steps=10",
    "callbacks.report.n_samples=2000",
    "callbacks.report.n_samples_during=1000",
    "callbacks.report.chain_steps=20",
    "callbacks.checkpoint.every_n_steps=10",
    "callbacks.progress.refresh_rate=0",
    "data.batch_size=32",
]
FIRST = ["data=eight_gaussians", "method=kim_bengio", *QUICK]
FIRST += ["data.n_points=500", "data.n_held_out=500", "data.density.std=0.2"]


def pytest_configure(config):
    config.pluginmanager.register(budget)
    config.pluginmanager.register(cached)
    config.pluginmanager.register(budget.Budget())


def pytest_collection_finish():
    gc.freeze()
    gc.enable()
    atexit.register(gc.unfreeze)  # or extensions complain of what is alive at the very end


@pytest.fixture(scope="session", autouse=True)
def _coarse_reports():
    """Few samples, maps of few cells, no search for a layout: a report takes longer than a short run."""
    from matplotlib.figure import Figure

    from energy_gan import metrics
    from energy_gan.metrics import classifier, two_samples
    from energy_gan.reports import density, points

    few_kernels = partial(metrics.points.KernelEstimate, max_points=1_000, n_scored=500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics.points, "KernelEstimate", few_kernels)
        patch.setattr(points, "KernelEstimate", few_kernels)
        patch.setattr(points, "MAP_CELLS", 30)
        patch.setattr(points, "KERNEL_MAP_CELLS", 20)
        patch.setattr(points, "SHOWN", 1_000)
        patch.setattr(density, "N_ASSESSED", 2_000)
        patch.setattr(two_samples, "MOST", 24)  # of which a classifier says nothing
        patch.setattr(classifier, "STEPS", 50)
        patch.setattr(Figure, "set_layout_engine", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Every test runs in an empty folder of its own, without anybody's account."""
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def open_door(monkeypatch, capfd):
    """Run a door with arguments as from the command line: (exit status, standard output, standard error)."""

    def run(name, *arguments):
        from energy_gan.cli import door

        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        status = 0
        capfd.readouterr()
        try:
            door(importlib.import_module(f"energy_gan.cli.{name}").main)
        except SystemExit as end:
            status = end.code or 0
        output, errors = capfd.readouterr()
        return status, output, errors

    return run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A short run of the paper's method on a small mixture, trained once for all tests."""
    from energy_gan.run.compose import compose
    from energy_gan.run.run import Run

    folder = tmp_path_factory.mktemp("runs") / "kim_bengio/eight_gaussians/first"
    run = Run(compose([*FIRST, f"run_dir='{folder}'"]))
    run.create()
    run.fit()
    return folder


@pytest.fixture(scope="session")
def resumed_run(finished_run, tmp_path_factory):
    """That run cut after step 10, though it had logged up to 20, and resumed: its folder and its words."""
    from energy_gan.run.compose import read_config
    from energy_gan.run.run import Run

    folder = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("resumed") / "run"))
    (folder / "checkpoints/step_000000020.ckpt").unlink()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        Run(read_config(folder)).resume()
    return folder, said.getvalue()


def written_table(path):
    """Three columns on disk, and their numbers."""
    x = np.random.default_rng(0).normal([5, -3, 100], [1, 0.1, 20], (400, 3)).astype(np.float32)
    np.savetxt(path, x, delimiter=",", header="length,width,weight", comments="")
    return path, x


@pytest.fixture
def table(tmp_path):
    """A table of three columns on disk, and its numbers."""
    return written_table(tmp_path / "points.csv")
