"""What the tests share: one thread, so that results repeat, and doors opened in this process."""

import importlib
import sys

import numpy as np
import pytest
import torch

torch.set_num_threads(1)
QUICK = [
    "trainer.max_steps=20",
    "trainer.log_every_n_steps=5",
    "callbacks.report.every_n_steps=10",
    "callbacks.report.n_samples=2000",
    "callbacks.report.n_samples_during=1000",
    "callbacks.checkpoint.every_n_steps=10",
    "callbacks.progress.refresh_rate=0",
    "data.batch_size=32",
]


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
    few = ["data.n_points=500", "data.n_held_out=500", "data.density.std=0.2"]
    run = Run(compose(["data=eight_gaussians", "method=kim_bengio", f"run_dir='{folder}'", *few, *QUICK]))
    run.create()
    run.fit()
    return folder


@pytest.fixture
def table(tmp_path):
    """A table of three columns on disk, and its numbers."""
    x = np.random.default_rng(0).normal([5, -3, 100], [1, 0.1, 20], (400, 3)).astype(np.float32)
    path = tmp_path / "points.csv"
    np.savetxt(path, x, delimiter=",", header="length,width,weight", comments="")
    return path, x
