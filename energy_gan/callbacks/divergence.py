"""Notice that training has diverged, name what did, and stop while the last checkpoint is a good one."""

import math
import statistics
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import torch
from lightning import Callback, Trainer

from energy_gan.callbacks.checkpoint import SaveCheckpoints, last_step, not_finite
from energy_gan.callbacks.report import N_CHAINS, Report
from energy_gan.errors import InputError
from energy_gan.methods.base import Method
from energy_gan.model import evaluating
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.randomness import random_generator

REMEMBERED = 40  # looks that the usual size of the energies is the median of
SMALL = 100.0  # energies up to here run away from nothing, however small they were
UNRESOLVED = 1e9  # float32 has no decimals left, and no differences of energies of order 1
SHOWN = 4  # values in the message
ENERGIES = ("train/energy_positive", "train/energy_negative")
SPREAD, ACCEPTANCE = "the spread of the generator's samples", "the chains' acceptance rate"
RATES = ("lr", "adam_lr")


class StopDivergence(Callback):
    """End a run that has no way back, with one line: which quantity, since when, and what usually mends it.

    It looks at the values that a step logs, so in the steps that log, and at least every `every_n_steps`;
    between these nothing is computed. A run ends

    - at once where a loss, a gradient's norm, an energy or a weight is nan or infinite. Weights are also
      looked at in the steps after which something is measured or saved;
    - where for `patience` looks in a row the mean energies are larger than `runaway` times the usual: the
      median of the last looks, 100 if it is less. An energy is free up to a constant and its scale grows
      as it learns, to thousands on images, so no size by itself is wrong, up to where float32 ends;
    - where for as long all of the generator's samples are one point, or none of the chains' moves is
      accepted.

    Random numbers and running statistics are left as they were: a run with it is the run without.

    Args:
        every_n_steps: at least 1.
        patience: looks in a row, at least 1.
        runaway: greater than 1.
        collapsed: the standard deviation of samples, the data's being 1, below which they are a point; 0
            leaves this out.
    """

    def __init__(
        self, every_n_steps: int = 50, patience: int = 5, runaway: float = 1000.0, collapsed: float = 0.001
    ):
        if every_n_steps < 1 or patience < 1:
            raise ValueError(
                f"every_n_steps and patience must be at least 1, got {every_n_steps} and {patience}"
            )
        if not runaway > 1:
            raise ValueError(f"runaway must be greater than 1, got {runaway}")
        if not 0 <= collapsed < 1:
            raise ValueError(f"collapsed must be at least 0 and less than 1, got {collapsed}")
        self.every_n_steps, self.patience = every_n_steps, patience
        self.runaway, self.collapsed = runaway, collapsed
        self.found = ""
        self._forget()

    def _forget(self) -> None:
        self.values: dict[str, deque[tuple[int, float]]] = {}  # step and value
        self.sizes: deque[float] = deque(maxlen=REMEMBERED)  # of the energies, while they do not run away
        self.in_a_row: dict[str, int] = {}

    def state_dict(self) -> dict:
        return {
            "values": {name: list(seen) for name, seen in self.values.items()},
            "sizes": list(self.sizes),
            "in_a_row": dict(self.in_a_row),
        }

    def load_state_dict(self, state_dict: dict) -> None:
        self._forget()
        self.sizes.extend(state_dict["sizes"])
        self.values = {name: deque(seen, SHOWN) for name, seen in state_dict["values"].items()}
        self.in_a_row = dict(state_dict["in_a_row"])

    # ---- when

    def setup(self, trainer: Trainer, pl_module: Method, stage: str) -> None:
        self.found = ""
        self.folder: Path | None = None
        self.rhythms = {self.every_n_steps}  # of what must not meet weights that are not finite
        for callback in trainer.callbacks:
            if isinstance(callback, Report):
                self.rhythms |= {callback.every_n_steps, callback.draw_every_n_steps}
            elif isinstance(callback, SaveCheckpoints):
                self.rhythms.add(callback.every_n_steps)
                self.folder = callback.folder

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        taken, every = pl_module.step - 1, trainer.log_every_n_steps
        logged = every > 0 and taken % every == 0
        # gradients are those of the step that was taken, values those that it logged
        if logged or taken % self.every_n_steps == 0:
            self.look(pl_module, pl_module.reported if logged else {}, taken)
        if pl_module.step == trainer.max_steps or any(pl_module.step % n == 0 for n in self.rhythms):
            self._refuse_weights(pl_module, taken)

    def on_exception(self, trainer: Trainer, pl_module: Method, exception: BaseException) -> None:
        """What failed may have failed because of weights that are not finite; `Run` then says so."""
        if isinstance(exception, Exception) and not isinstance(exception, InputError):
            try:
                self._refuse_weights(pl_module, pl_module.step)
            except InputError as error:
                self.found = str(error)

    # ---- what

    def look(self, method: Method, logged: Mapping[str, float], step: int) -> None:
        """Take the values of a step.

        Raises:
            InputError: by them, the run has diverged.
        """
        seen = {**logged, **Report.gradient_norms(method), **method._over_processes(self.measured(method))}
        for name, value in seen.items():
            self.values.setdefault(name, deque(maxlen=SHOWN)).append((step, value))
        for name, value in seen.items():
            if not math.isfinite(value):
                raise self._diverged(method, name, f"is {value:g}", step)
        self._refuse_weights(method, step)

        energies = {name: abs(seen[name]) for name in ENERGIES if name in seen}
        if energies:
            name, size = max(energies.items(), key=lambda item: item[1])
            usual = max(SMALL, statistics.median(self.sizes) if self.sizes else 0.0)
            if not self.sizes:
                usual = max(usual, size)  # where it begins is its own affair
            away = size > min(self.runaway * usual, UNRESOLVED)
            if not away:
                self.sizes.append(size)
            self._count(
                method, "runaway", away, name, f"runs away, {size / usual:.0f} times what was usual", step
            )
        if SPREAD in seen:
            point = seen[SPREAD] < self.collapsed
            self._count(method, "collapsed", point, SPREAD, "is that of a single point", step)
        if ACCEPTANCE in seen:
            self._count(method, "rejected", seen[ACCEPTANCE] == 0, ACCEPTANCE, "is zero", step)

    def _count(self, method: Method, kind: str, holds: bool, name: str, what: str, step: int) -> None:
        self.in_a_row[kind] = self.in_a_row.get(kind, 0) + 1 if holds else 0
        if self.in_a_row[kind] >= self.patience:
            raise self._diverged(method, name, what, step)

    @torch.no_grad()
    def measured(self, method: Method) -> dict[str, float]:
        """The spread of a few samples, in the data's standard deviations, and the chains' acceptance rate."""
        values: dict[str, float] = {}
        generator, negatives = getattr(method, "generator", None), getattr(method, "negatives", None)
        if generator is not None and self.collapsed:
            buffers = {name: buffer.clone() for name, buffer in generator.named_buffers()}
            rng = random_generator(method.step)  # on the CPU, as the priors and the noises take it
            latent = generator.prior.sample(N_CHAINS, rng).to(method.device)
            samples = generator.draw(latent, rng).samples.flatten(1)
            for name, buffer in generator.named_buffers():  # batch norm has taken note of this batch
                buffer.copy_(buffers[name])
            values[SPREAD] = float(samples.std(0).mean())
        if isinstance(negatives, ChainNegatives):
            with evaluating(method.energy) as energy:
                rate = negatives.acceptance(energy, N_CHAINS, random_generator(method.step))
            if rate is not None:
                values[ACCEPTANCE] = rate
        return values

    def _refuse_weights(self, method: Method, step: int) -> None:
        if name := not_finite(method):
            raise self._diverged(method, name, "holds nan or infinity", step)

    # ---- how it is said

    def _diverged(self, method: Method, name: str, what: str, step: int) -> InputError:
        past = ", ".join(f"{value:.4g} at {at}" for at, value in self.values.get(name, ()))
        return InputError(
            f"the run has diverged at step {step}: {name} {what} ({past or self._losses()}); "
            f"{self._remedy(method, name)}; {self._way_back()}"
        )

    def _way_back(self) -> str:
        step = last_step(self.folder) if self.folder else None
        if step is None:
            return "there is no checkpoint from before"
        return f"step {step}, from before, is kept: go on with `make resume RUN={self.folder.parent} ARGS=…`"

    def _losses(self) -> str:
        last = [f"{name} {seen[-1][1]:.4g}" for name, seen in self.values.items()]
        return f"seen last: {', '.join(last[:SHOWN])}" if last else "nothing was logged before"

    def _remedy(self, method: Method, name: str) -> str:
        config = (method.hparams.get("method") if hasattr(method, "hparams") else None) or {}
        if name == SPREAD:
            return _lower(config, "generator") + " or raise method.entropy_weight"
        if name == ACCEPTANCE:
            return (
                _lower(config, "energy") + ", method.negatives.step_size, or give method.negatives.target=0.7"
            )
        player = "generator" if "generator" in name else "entropy" if name.startswith("entropy") else "energy"
        more = ", raise method.penalty_weight (with a method.penalty), or give that optimizer a weight_decay"
        return _lower(config, player) + more * (player == "energy")


def _lower(config: Mapping, player: str) -> str:
    """Which learning rates to lower, with their present values."""
    optimizer = config.get(f"{player}_optimizer")
    rates = [
        f"method.{player}_optimizer.{key}={value:g}"
        for key, value in (optimizer.items() if isinstance(optimizer, Mapping) else ())
        if key in RATES and isinstance(value, int | float)
    ]
    return f"lower {' and '.join(rates) or f'the learning rate of the {player}'}"
