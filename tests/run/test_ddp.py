"""Several processes train as one: the same gradients, the same weights, everything written once."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import QUICK

from energy_gan.randomness import processes, rows, sharing
from energy_gan.run.compose import compose
from energy_gan.run.run import Run

PATIENCE = 60  # seconds; a process whose companion died ends long before
TOGETHER = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
FEW = ["data.n_points=500", "data.n_held_out=500", "data.density.std=0.2"]
# the losses of these are means over the batch, without batch norm or weights that couple its points
UNCOUPLED = {
    "kim_bengio": [
        "data=four_spin",
        "method=kim_bengio",
        "method.generator.batch_norm=false",
        "method.terms.entropy=null",
    ],
    "output noise, latents spread": [
        "data=four_spin",
        "method=kim_bengio",
        "network=pieces",
        "method.terms.entropy=null",
        "method.generator.prior.learned_shares=false",
        "method.draws.spread=true",
        "method.draws.n=48",
        "method.draws.reuse=nothing",
        "method.energy_learns.steps=2",
    ],
    "critic": [
        "data=digits",
        "method=critic",
        "method.generator.batch_norm=false",
        "method.terms.entropy=null",
    ],
}


def train(overrides, steps):
    """A run that writes nothing."""
    config = compose(
        [*overrides, f"trainer.max_steps={steps}", "trainer.log_every_n_steps=1", "data.batch_size=32"]
    )
    trainer = config["trainer"] | {"enable_checkpointing": False, "enable_progress_bar": False}
    run = Run(config | {"run_dir": ".", "callbacks": {}, "logger": {}, "trainer": trainer})
    run.fit()
    return run


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def in_two(function, *arguments):
    """function(rank, *arguments) in two processes that find each other as torchrun's do; not yet joined."""
    port = free_port()

    def work(rank):
        os.environ |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "GROUP_RANK": "0",
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "TORCHELASTIC_RUN_ID": "test",
        }
        function(rank, *arguments)

    fork = multiprocessing.get_context("fork")  # torch and Lightning are there already
    workers = [fork.Process(target=work, args=(rank,), daemon=True) for rank in range(2)]
    for worker in workers:
        worker.start()
    return workers


def ended(workers):
    """Their exit codes; the test fails if one of them still runs."""
    until = time.monotonic() + PATIENCE
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
    codes = [worker.exitcode for worker in workers]
    for worker in workers:
        worker.kill()
    assert None not in codes, f"a process was still waiting after {PATIENCE} s"
    return codes


def found(run):
    """The gradients of the last moves, the weights, and what was logged."""
    gradients = {name: weight.grad for name, weight in run.method.named_parameters()}
    weights = {name: weight.detach() for name, weight in run.method.named_parameters()}
    return {"gradients": gradients, "weights": weights, "reported": run.method.reported}


def save_all(rank, recipes):
    together = {name: found(train([*given, *TOGETHER], steps)) for name, (given, steps) in recipes.items()}
    torch.save(together, f"found_{rank}.pt")


def test_two_processes_descend_the_gradient_of_one():
    recipes = {name: (given, 1) for name, given in UNCOUPLED.items()}
    coupled = ["data=four_spin", "method=kim_bengio"]  # its batch norm is over each process's slice
    assert ended(in_two(save_all, recipes | {"200 steps": (coupled, 200)})) == [0, 0]
    first, second = (torch.load(f"found_{rank}.pt", weights_only=True) for rank in range(2))
    for name, (given, steps) in recipes.items():
        alone = found(train(given, steps))
        for weight, gradient in alone["gradients"].items():
            torch.testing.assert_close(
                first[name]["gradients"][weight],
                gradient,
                rtol=1e-5,
                atol=1e-6,
                msg=lambda said, name=name, weight=weight: f"{name}, {weight}: {said}",
            )
        assert first[name]["reported"].keys() == alone["reported"].keys()
        for entry, value in alone["reported"].items():
            assert first[name]["reported"][entry] == pytest.approx(value, rel=1e-4, abs=1e-5), entry
    for name in first:
        for weight, value in first[name]["weights"].items():
            assert torch.equal(value, second[name]["weights"][weight]), f"{name}, {weight} differ"


def interrupt_and_resume(rank):
    """4 steps at once, and 2 more from the checkpoint of the second: what each process has in the end."""
    small = ["data.batch_size=32", "data.n_points=500"]
    chains = ["method.negatives.memory.chains=64", "method.negatives.memory.moved=16", "method.draws.n=32"]
    per_point = ["method.inference.chains.n_steps=2", "data.n_points=64"]  # each is seen twice
    for name, given in (("aligned_chains", chains), ("abp", per_point)):
        config = compose(
            ["data=four_spin", f"method={name}", *small, *given, *TOGETHER, f"run_dir=run_{name}"]
        )
        config |= {
            "logger": {},
            "callbacks": {"checkpoint": config["callbacks"]["checkpoint"] | {"every_n_steps": 2}},
        }
        config["trainer"] |= {"max_steps": 4, "enable_progress_bar": False}
        states = []
        for checkpoint in (None, f"run_{name}/checkpoints/step_000000002.ckpt"):
            run = Run(config)
            run.trainer.fit(run.method, run.data, ckpt_path=checkpoint, weights_only=checkpoint and True)
            states.append(run.method.state_dict())
        torch.save(states, f"states_{name}_{rank}.pt")


def states_of(name):
    return (torch.load(f"states_{name}_{rank}.pt", weights_only=True) for rank in range(2))


def test_a_resumed_process_goes_on_with_its_own_chains_and_everybody_s_latents():
    assert ended(in_two(interrupt_and_resume)) == [0, 0]
    for name in ("aligned_chains", "abp"):
        for through, resumed in states_of(name):
            for key, value in through.items():
                torch.testing.assert_close(resumed[key], value, rtol=0, atol=0, equal_nan=True, msg=key)
    first, second = states_of("abp")
    latents = first[0]["memory._extra_state"]
    assert torch.equal(latents, second[0]["memory._extra_state"])
    assert latents[:, -1].sum() == 64, "all points are known to all"
    first, second = states_of("aligned_chains")
    chains = first[0]["negatives.memory.places"], second[0]["negatives.memory.places"]
    assert not torch.equal(*(part.nan_to_num() for part in chains))


def die(rank, how):
    run = Run(
        compose(["data=four_spin", "method=kim_bengio", *TOGETHER, "trainer.max_steps=100000", "run_dir=."])
        | {"callbacks": {}, "logger": {}}
    )
    step = run.method.training_step

    def last_step(batch, batch_idx):
        if rank == 1 and run.method.step == 3:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("a fault of this process alone")
        step(batch, batch_idx)

    run.method.training_step = last_step
    run.fit()


@pytest.mark.parametrize("how", ["raises", "killed"])
def test_a_process_that_dies_takes_the_others_down(how):
    codes = ended(in_two(die, how))
    assert codes[0] != 0
    assert codes[1] == (-signal.SIGKILL if how == "killed" else 1)


def terminated(rank, which):
    method = ["data=four_spin", "method=kim_bengio", *TOGETHER, "trainer.max_steps=100000", "run_dir=."]
    config = compose(method)
    kept = {"checkpoint": config["callbacks"]["checkpoint"]}
    run = Run(config | {"callbacks": kept, "logger": {}})
    step = run.method.training_step

    def asked(batch, batch_idx):
        if run.method.step == 3 and rank in which:
            os.kill(os.getpid(), signal.SIGTERM)
        step(batch, batch_idx)

    run.method.training_step = asked
    run.fit()


@pytest.mark.parametrize("which", [(0, 1), (1,)])
def test_sigterm_of_one_process_ends_all_at_the_same_step_and_saves_it(which):
    assert ended(in_two(terminated, which)) == [143, 143]
    (path,) = Path("checkpoints").iterdir()
    assert torch.load(path, weights_only=True)["global_step"] == 10


@pytest.mark.slow
def test_torchrun_on_two_machines_trains_one_run():
    """Two launchers, as on two machines; each starts one process."""
    given = ["data=eight_gaussians", "method=kim_bengio", *FEW, *QUICK, "logger.wandb=null", "run_dir=run"]
    given += ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2"]
    launcher = ["torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"]
    launcher += [f"--rdzv-endpoint=localhost:{free_port()}", "--rdzv-id=test", "-m", "energy_gan.cli.train"]
    command = [sys.executable, "-m", *launcher, *given]
    machines = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [machine.communicate(timeout=4 * PATIENCE)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    assert "".join(said).count("verdict") == 1
    assert json.loads(Path("run/metrics.json").read_text())["step"] > 0


@pytest.mark.slow
def test_the_command_starts_both_and_writes_everything_once(finished_run):
    given = ["data=eight_gaussians", "method=kim_bengio", *FEW, *QUICK, *TOGETHER, "logger.wandb=null"]
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, "-m", "energy_gan.cli.train", *given],
        capture_output=True,
        text=True,
        env=environment,
        timeout=4 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in Path().glob("runs/*/*/*/config.yaml"))
    assert done.stdout.count("verdict") == 1
    assert "Traceback" not in done.stderr
    assert len(list(folder.glob("tensorboard/events*"))) == 1
    together, alone = (json.loads((run / "metrics.json").read_text()) for run in (folder, finished_run))
    assert together["metrics"].keys() == alone["metrics"].keys()
    assert together["yardsticks"] == alone["yardsticks"]
    assert [row["step"] for row in together["history"]] == [row["step"] for row in alone["history"]]


def test_what_is_shared_is_one_draw_and_the_rest_is_each_ones_own():
    torch.manual_seed(5)
    expected = torch.randn(6, 2), torch.rand(4)
    drawn = []
    for rank in range(2):
        torch.manual_seed(5)
        with sharing(rank, 2):
            assert processes() == 2
            first, own = rows(3, lambda n: torch.randn(n, 2)), torch.randn(3)
            drawn.append((first, rows(2, torch.rand), own))
    assert torch.equal(torch.cat([first for first, _, _ in drawn]), expected[0])
    assert torch.equal(torch.cat([second for _, second, _ in drawn]), expected[1])
    assert not torch.isclose(drawn[0][2], drawn[1][2]).any()
    assert processes() == 1
    assert len(rows(3, torch.rand)) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=99"], "trainer.devices=99 processes"),
        ([*TOGETHER, "data.batch_size=33"], "data.batch_size=33 cannot be shared out evenly among 2"),
        ([*TOGETHER, "method.draws.n=33"], "method.draws.n=33 cannot be shared out evenly among 2"),
        (["trainer=ddp", "trainer.strategy.timeout_minutes=0.0"], "timeout_minutes must be positive, got 0"),
        (["trainer=ddp", "trainer.num_nodes=2"], "name the one folder"),
        pytest.param(
            ["trainer=gpu"],
            "(trainer.accelerator=gpu, trainer.devices=1; torch sees 0 GPUs): trainer=cpu needs none",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_what_cannot_be_had_is_one_line(open_door, tmp_path, given, said):
    status, output, errors = open_door("train", "data=four_spin", "method=kim_bengio", *given)
    assert (status, output) == (2, "")
    assert said in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())
