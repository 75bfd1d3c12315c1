"""Divergence planted in data, weights, gradients, energies, the generator and the chains."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from faults.common import FEW, QUICK, Outcome, fresh
from lightning import Callback
from torch import nn

from energy_gan.errors import InputError
from energy_gan.run.compose import compose
from energy_gan.run.run import Run

CHAINS = [
    "method.negatives.memory.chains=64",
    "method.negatives.memory.moved=32",
    "method.negatives.n_steps=2",
]
SMALL = ["method.draws.n=32"]
RUNS = {
    "kim_bengio": ["data=eight_gaussians", "method=kim_bengio", *FEW],
    "aligned": ["data=two_spiral", "method=aligned", *SMALL, *FEW],
    "aligned_chains": ["data=two_spiral", "method=aligned_chains", *SMALL, *CHAINS, *FEW],
    "critic": ["data=digits", "method=critic", "data.batch_size=16"],
}
CAUSE, WITHIN, EVERY = 33, 50, 20
Plant = Callable[[Run, object], None]


class Planted(Callback):
    """Do it before the step CAUSE, or before that and all later ones."""

    def __init__(self, run: Run, plant: Plant, for_ever: bool):
        self.run, self.plant, self.for_ever = run, plant, for_ever

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if pl_module.step == CAUSE or (self.for_ever and pl_module.step > CAUSE):
            self.plant(self.run, batch)


def _in_data(run: Run, batch) -> None:
    batch[0][0] = torch.nan


def _infinite_data(run: Run, batch) -> None:
    batch[0][0] = torch.inf


def _in_weights(part: str) -> Plant:
    def plant(run, batch) -> None:
        weight = next(getattr(run.method, part).parameters())
        weight.data.view(-1)[0] = torch.nan

    return plant


def _in_gradients(part: str) -> Plant:
    def plant(run, batch) -> None:
        weight = list(getattr(run.method, part).parameters())[-1]
        weight.register_hook(lambda gradient: gradient * torch.nan)

    return plant


def _louder(run: Run, batch) -> None:
    for layer in run.method.energy.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 2


def _silent(run: Run, batch) -> None:
    last = [m for m in run.method.generator.modules() if isinstance(m, nn.Linear)][-1]
    last.weight.data.zero_()
    last.weight.register_hook(torch.zeros_like)  # and it stays


def _leaping(run: Run, batch) -> None:
    run.method.negatives.step_size.fill_(1e8)


def _far_away(run: Run, batch) -> None:
    run.method.negatives.memory.places.fill_(150.0)


NOT_FINITE = {
    "nan in data": _in_data,
    "infinity in data": _infinite_data,
    "nan in the energy's weights": _in_weights("energy"),
    "nan in the generator's weights": _in_weights("generator"),
    "nan in the energy's gradients": _in_gradients("energy"),
    "nan in the generator's gradients": _in_gradients("generator"),
}


CHAINED = [*RUNS["aligned_chains"], "method.negatives.target=null"]
FINITE = {
    "the energy's scale": (
        RUNS["kim_bengio"],
        _louder,
        "the mean energy of the .* runs away, .*, since step",
    ),
    "a generator of one point": (
        RUNS["kim_bengio"],
        _silent,
        "spread of the generator's samples is that of a single point, since step",
    ),
    "chains that never move": (CHAINED, _leaping, "the acceptance rate of the chains is zero, since step"),
    "chains beyond all data": (
        CHAINED,
        _far_away,
        "the distance of the chains from the data is 1.. of their standard deviations, since step",
    ),
}


def started(given: list[str], folder: Path | str, *more: str) -> Run:
    """A run in an empty folder, ready to fit."""
    steps = [
        "trainer.max_steps=150",
        f"callbacks.checkpoint.every_n_steps={EVERY}",
        "trainer.log_every_n_steps=50",
    ]
    return Run(compose([*given, *QUICK, *steps, *more, f"run_dir={folder}"]))


def planted(
    names: Iterable[str] = RUNS, cases: Iterable[str] = NOT_FINITE, finite: Iterable[str] = FINITE
) -> Iterator[Outcome]:
    """Each kind of nan in each of the runs, then those that stay finite."""
    waited = []
    for name in names:
        for case in cases:
            run = started(RUNS[name], fresh("run"))
            problem, steps = stopped(run, NOT_FINITE[case], "nan|inf")
            waited.append(steps)
            yield Outcome("not finite", f"{case}, {name}", not problem, problem)
    for case in finite:
        given, plant, said = FINITE[case]
        run = started(given, fresh("run"))
        problem, steps = stopped(run, plant, said, for_ever=True)
        waited.append(steps)
        yield Outcome("diverged, finite", case, not problem, problem)
    print(f"stopped {min(waited)} to {max(waited)} steps after the cause", flush=True)


def stopped(run: Run, plant: Plant, said: str, for_ever: bool = False) -> tuple[str, int]:
    """What is wrong, and the steps from the cause to the stop.

    Nothing is wrong if these are at most WITHIN, the one line says so and all checkpoints are good.
    """
    run.trainer.callbacks.insert(0, Planted(run, plant, for_ever))
    try:
        run.start_again()  # the folder is there, and empty
    except InputError as error:
        found = re.search(r"diverged at step (\d+): .*(" + said + r").*; lower method\.", str(error))
        if not found or "\n" in str(error):
            return f"said {error}", 0
        waited = int(found[1]) - CAUSE
    except Exception as error:
        return f"{type(error).__name__}: {error}", 0
    else:
        return "not noticed", 0
    if waited > WITHIN:
        return f"noticed {waited} steps after the cause", waited
    for path in run.folder.glob("checkpoints/*"):
        state = torch.load(path, weights_only=True)["state_dict"]
        bad = [name for name, value in state.items() if "chains" not in name and not value.isfinite().all()]
        if bad:
            return f"{path.name} holds {bad[0]} that is not finite", waited
    return "", waited
