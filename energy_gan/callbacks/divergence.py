"""Notice that training has diverged, name what did, and stop while the last checkpoint is a good one."""

import math
import re
import statistics
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from lightning import Callback, Trainer
from torch import Tensor

from energy_gan.callbacks.checkpoint import SaveCheckpoints, Watch, not_finite
from energy_gan.callbacks.report import N_CHAINS, Report
from energy_gan.errors import InputError
from energy_gan.methods.base import Method
from energy_gan.model import evaluating
from energy_gan.randomness import filled, random_generator
from energy_gan.run.checkpoints import way_on

SMALL, UNRESOLVED = 100.0, 1e9  # below, nothing runs away; above, float32 knows no differences of order 1
ENERGY, RATE = "the mean energy of the", "the acceptance rate of the"  # … of what follows
SPREAD = "the spread of the generator's samples"
DISTANCE, FAR = "the distance of the", 100.0  # … chains from the data, in standard deviations of these
MENDS = (
    (ENERGY, "raise", r"penalty\.weight|weight_decay"),
    (SPREAD, "raise", r"entropy\.weight"),
    (RATE, "lower", "step_size"),
    (DISTANCE, "lower", "step_size"),
)


class StopDivergence(Callback, Watch):
    """End a run that has no way back, with one line: which quantity, since when, and what usually mends it.

    At once where a loss, a gradient's norm, an energy or a weight is nan or infinite; and where in `patience`
    looks in a row the energies run away from their usual size (the median of the last looks), the generator's
    samples are one point, some chains accept no move, or half of them are far beyond all data. It looks every
    `every_n_steps` steps, in those that log, before something is measured or saved, and at every step after
    one of these. In the first `every_n_steps` steps chains find their step size: only what is not finite
    counts.

    Args:
        every_n_steps, patience: at least 1.
        runaway: how many times the usual size, greater than 1.
        collapsed: the standard deviation, the data's being 1, below which samples are a point; 0: none is.
    """

    def __init__(
        self, every_n_steps: int = 25, patience: int = 20, runaway: float = 1000.0, collapsed: float = 0.001
    ):
        if every_n_steps < 1 or patience < 1 or not runaway > 1 or not 0 <= collapsed < 1:
            good = "every_n_steps and patience must be at least 1, runaway above 1, collapsed in [0, 1)"
            raise ValueError(f"{good}, got {every_n_steps}, {patience}, {runaway} and {collapsed}")
        self.every_n_steps, self.patience = every_n_steps, patience
        self.runaway, self.collapsed = runaway, collapsed

    @property
    def suspicious(self) -> bool:
        return any(self.in_a_row.values())

    def setup(self, trainer: Trainer, pl_module: Method, stage: str) -> None:
        saves = [c for c in trainer.callbacks if isinstance(c, SaveCheckpoints)]
        reports = [c for c in trainer.callbacks if isinstance(c, Report)]
        self.before = {c.every_n_steps for c in saves + reports} | {c.draw_every_n_steps for c in reports}
        self.folder = saves[0].folder if saves else None
        self.sizes = deque(maxlen=40)  # of the energies, in the last looks at which they did not run away
        self.in_a_row, self.found = {}, ""  # suspicious looks by their kind; what the run ends with

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        step, every = pl_module.step, trainer.log_every_n_steps
        taken = step - 1  # gradients are those of the step that was taken, values those that it logged
        logged, due = every > 0 and taken % every == 0, any(step % n == 0 for n in self.before)
        if logged or due or self.suspicious or taken % self.every_n_steps == 0 or step == trainer.max_steps:
            measured = self.measured(pl_module, batch[0][:N_CHAINS])
            if trainer.world_size > 1:  # each has seen its slice
                means = trainer.strategy.reduce(torch.tensor([*measured.values()], device=pl_module.device))
                measured = dict(zip(measured, means.tolist(), strict=True))
            reported = pl_module.reported if logged else {}
            self.look(pl_module, {**reported, **Report.gradient_norms(pl_module), **measured}, taken)

    def on_exception(self, trainer: Trainer, pl_module: Method, exception: BaseException) -> None:
        """What failed may have failed because of weights that are not finite; `Run` then says so."""
        if isinstance(exception, Exception) and not isinstance(exception, InputError):
            with suppress(InputError):
                self.look(pl_module, {}, pl_module.step)

    @torch.no_grad()
    def measured(self, method: Method, points: Tensor) -> dict[str, float]:
        """Mean energies, acceptance rates, the spread of a few samples in the data's standard deviations."""
        learned, values = method.learned, {}
        if learned.shades is not None:  # on the edge of its shades an image is none that was trained on
            points = filled(points, learned.shades, torch.full_like(points, 0.5))
        with evaluating(method):
            if learned.energy is not None:
                values[f"{ENERGY} data"] = float(learned.energy(points).mean())
            for name, value in method.vital_signs(N_CHAINS, random_generator(method.step)).items():
                if name.startswith("energy_"):
                    values[f"{ENERGY} {name.removeprefix('energy_')}s"] = value
                elif name.endswith("_acceptance"):
                    values[f"{RATE} {name.removesuffix('_acceptance')}"] = value
                elif name.endswith("_distance"):
                    values[f"{DISTANCE} {name.removesuffix('_distance')}"] = value
        if learned.generator is not None and self.collapsed:
            buffers = {name: buffer.clone() for name, buffer in learned.generator.named_buffers()}
            rng = random_generator(method.step)  # on the CPU, as priors and noises take it
            latent = learned.generator.prior.sample(N_CHAINS, rng).to(method.device)
            values[SPREAD] = float(learned.generator.draw(latent, rng).samples.flatten(1).std(0).mean())
            for name, buffer in learned.generator.named_buffers():  # batch norm has noted this batch
                buffer.copy_(buffers[name])
        return values

    def look(self, method: Method, seen: Mapping[str, float], step: int) -> None:
        """Take the values of a step; InputError if by them the run has diverged."""
        ends = [(name, f"is {value:g}") for name, value in seen.items() if not math.isfinite(value)]
        ends += [(name, "holds nan or infinity") for name in [not_finite(method)] if name]
        wrong = {n: (n, "is zero") for n, rate in seen.items() if n.startswith(RATE) and rate == 0}
        far = {n: v for n, v in seen.items() if n.startswith(DISTANCE) and v > FAR}
        wrong |= {n: (n, f"from the data is {v:.3g} of their standard deviations") for n, v in far.items()}
        if seen.get(SPREAD, self.collapsed) < self.collapsed:
            wrong[SPREAD] = SPREAD, "is that of a single point"
        if sizes := {name: abs(value) for name, value in seen.items() if name.startswith(ENERGY)}:
            name = max(sizes, key=sizes.get)
            usual = max(SMALL, statistics.median(self.sizes or [sizes[name]]))  # wherever it begins
            if sizes[name] > min(self.runaway * usual, UNRESOLVED):
                wrong[ENERGY] = name, f"runs away, {sizes[name] / usual:.0f} times what was usual"
            else:
                self.sizes.append(sizes[name])
        if step >= self.every_n_steps:
            self.in_a_row = {kind: self.in_a_row.get(kind, 0) + 1 for kind in wrong}
        since = {kind: step - n + 1 for kind, n in self.in_a_row.items() if n >= self.patience}
        ends += [(wrong[kind][0], f"{wrong[kind][1]}, since step {first}") for kind, first in since.items()]
        for name, what in ends[:1]:
            mend = remedy(method.hparams.get("method") or {}, [p.name for p in method.players], name)
            kept = way_on(self.folder, "…")
            self.found = f"the run has diverged at step {step}: {name} {what}; {mend}; {kept}"
            raise InputError(self.found)


def remedy(config: Mapping, players: Sequence[str], quantity: str) -> str:
    """Which settings of the method to change: rates of the players that the quantity names, and others."""

    def named(pattern: str) -> list[str]:
        return [f"{k}={v:g}" for k, v in _numbers(config, "method") if re.search(rf"\b({pattern})$", k)]

    blamed = [name for name in players if name in quantity] or players
    rates = [rate for name in blamed for rate in named(rf"{name}([._]\w+)*\.(adam_)?lr")]
    mends = [f"lower {' and '.join(rates or [f'the learning rate of the {name}' for name in blamed])}"]
    for start, how, setting in MENDS:
        mends += [f"{how} {found}" for found in named(setting) if quantity.startswith(start)]
    return ", or ".join(mends)


def _numbers(node: Any, key: str) -> Iterator[tuple[str, float]]:
    if isinstance(node, Mapping):
        yield from (found for name, value in node.items() for found in _numbers(value, f"{key}.{name}"))
    elif isinstance(node, int | float):
        yield key, node
