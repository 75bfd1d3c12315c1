"""Notice that training has diverged, name what did, and stop while the last checkpoint is a good one."""

import json
import math
import statistics
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from lightning import Callback, Trainer
from torch import Tensor

from energy_gan.callbacks.checkpoint import SaveCheckpoints, last_step, not_finite
from energy_gan.callbacks.report import N_CHAINS, Report
from energy_gan.errors import InputError
from energy_gan.methods.base import Method
from energy_gan.model import evaluating
from energy_gan.randomness import random_generator
from energy_gan.system.files import write_text

REMEMBERED = 40  # looks that the usual size of the energies is the median of
SMALL = 100.0  # energies up to here run away from nothing, however small they were
UNRESOLVED = 1e9  # float32 has no decimals left, and no differences of energies of order 1
SHOWN = 4  # values in the message
ENERGIES = ("the mean energy of the data", "the mean energy of the negatives")
SPREAD, ACCEPTANCE = "the spread of the generator's samples", "the chains' acceptance rate"
RATES = ("lr", "adam_lr")
RETURNS = "returns.json"  # in the run's folder: one entry for each


class StopDivergence(Callback):
    """End a run that has no way back, with one line: which quantity, since when, and what usually mends it.

    It looks every `every_n_steps` steps, in those that log, and before a checkpoint; between these nothing is
    computed. A run ends

    - at once where a loss, a gradient's norm, an energy or a weight is nan or infinite. Weights are also
      looked at in the steps after which something is measured;
    - where for `patience` looks in a row the mean energies are larger than `runaway` times the usual: the
      median of the last looks, 100 if it is less. An energy is free up to a constant and its scale grows
      as it learns, to thousands on images, so no size by itself is wrong, up to where float32 ends;
    - where for as long all of the generator's samples are one point, or none of the chains' moves is
      accepted.

    After a look that shows one of these last it looks at every step, until one is good or `patience` are
    not: every_n_steps − 1 + patience steps after the cause at the latest, 44 by default. A false alarm would
    need the fault in as many steps in a row: 64 chains of which only 1 % move stand still together 20 times
    with probability 3·10⁻⁶, and energies 1,000 times, or a spread a thousandth, of what is usual are not
    passed through: in sound runs both stay within a factor of four. Before step `every_n_steps` chains find
    their step size and nothing is usual yet: there only what is not finite counts.

    Random numbers and running statistics are left as they were: a run with it is the run without. No
    checkpoint is written while a look was suspicious, so the last one is from before the cause.

    Args:
        every_n_steps: at least 1.
        patience: looks in a row, at least 1.
        runaway: greater than 1.
        collapsed: the standard deviation of samples, the data's being 1, below which they are a point; 0
            leaves this out.
        returns: how often a run, instead of ending, goes back to its last checkpoint, or where there is none
            to its beginning, with all learning rates lower. It needs a folder and is of one process.
        factor: of the learning rates for each return, between 0 and 1, both excluded; they stay lowered.
    """

    def __init__(
        self,
        every_n_steps: int = 25,
        patience: int = 20,
        runaway: float = 1000.0,
        collapsed: float = 0.001,
        returns: int = 0,
        factor: float = 0.5,
    ):
        if every_n_steps < 1 or patience < 1:
            raise ValueError(
                f"every_n_steps and patience must be at least 1, got {every_n_steps} and {patience}"
            )
        if not runaway > 1:
            raise ValueError(f"runaway must be greater than 1, got {runaway}")
        if not 0 <= collapsed < 1:
            raise ValueError(f"collapsed must be at least 0 and less than 1, got {collapsed}")
        if returns < 0 or not 0 < factor < 1:
            raise ValueError(
                f"returns must be at least 0 and factor between 0 and 1, got {returns} and {factor}"
            )
        self.every_n_steps, self.patience = every_n_steps, patience
        self.runaway, self.collapsed = runaway, collapsed
        self.returns, self.factor = returns, factor
        self.what = self.found = ""  # of a divergence: a line without and with the remedies
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

    @property
    def suspicious(self) -> bool:
        """Whether the last look was."""
        return any(self.in_a_row.values())

    def setup(self, trainer: Trainer, pl_module: Method, stage: str) -> None:
        self.what = self.found = ""
        self.folder: Path | None = None
        if self.returns and trainer.world_size > 1:
            raise InputError(
                f"callbacks.divergence.returns={self.returns} is for one process, got {trainer.world_size}: "
                "give 0, and `make resume` with lower learning rates where the run ends"
            )
        self.saved_every: int | None = None
        self.measured_every: set[int] = set()  # steps; what must not meet weights that are not finite
        for callback in trainer.callbacks:
            if isinstance(callback, Report):
                self.measured_every |= {callback.every_n_steps, callback.draw_every_n_steps}
            elif isinstance(callback, SaveCheckpoints):
                self.saved_every, self.folder = callback.every_n_steps, callback.folder

    def on_fit_start(self, trainer: Trainer, pl_module: Method) -> None:
        """Lower the rates that schedules multiply, as often as the run has gone back."""
        if self.folder:
            lowered = self.lowered(self.folder.parent)
            for player in pl_module.players:
                player.rates = [rate * lowered for rate in player.rates]

    def on_train_batch_end(self, trainer: Trainer, pl_module: Method, outputs, batch, batch_idx) -> None:
        step, every = pl_module.step, trainer.log_every_n_steps
        taken = step - 1
        logged = every > 0 and taken % every == 0
        saves = self.saved_every is not None and step % self.saved_every == 0
        if logged or saves or self.suspicious or taken % self.every_n_steps == 0:
            # gradients are those of the step that was taken, values those that it logged
            self.look(pl_module, pl_module.reported if logged else {}, taken, batch[0])
        elif step == trainer.max_steps or any(step % n == 0 for n in self.measured_every):
            self._refuse_weights(pl_module, taken)

    def on_exception(self, trainer: Trainer, pl_module: Method, exception: BaseException) -> None:
        """What failed may have failed because of weights that are not finite; `Run` then says so."""
        if isinstance(exception, Exception) and not isinstance(exception, InputError):
            with suppress(InputError):
                self._refuse_weights(pl_module, pl_module.step)

    # ---- the way back

    def past(self, run: Path) -> list[dict]:
        """The returns of this run's folder so far, each with the factor of its time."""
        try:
            entries = json.loads((run / RETURNS).read_text())
            if all(0 < entry["factor"] < 1 for entry in entries):
                return entries
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError):
            pass
        raise InputError(
            f"{run / RETURNS} is damaged: it says by how much the learning rates were lowered; remove it to "
            "go on with the config's"
        )

    def lowered(self, run: Path) -> float:
        """The factor of the learning rates after all returns."""
        return math.prod((entry["factor"] for entry in self.past(run)), start=1.0)

    def go_back(self, run: Path, step: int) -> str:
        """Note one more return, to this step; what is to be said of it."""
        entries = [*self.past(run), {"to": step, "factor": self.factor, "because": self.what}]
        write_text(run / RETURNS, json.dumps(entries, indent=1) + "\n")
        return (
            f"{self.what}; back to step {step}, with the learning rates times {self.lowered(run):g} "
            f"(return {len(entries)} of {self.returns})"
        )

    # ---- what

    def look(self, method: Method, logged: Mapping[str, float], step: int, points: Tensor) -> None:
        """Take the values of a step, and of a few of its points.

        Raises:
            InputError: by them, the run has diverged.
        """
        measured = method.over_processes(self.measured(method, points[:N_CHAINS]))
        seen = {**logged, **Report.gradient_norms(method), **measured}
        for name, value in seen.items():
            self.values.setdefault(name, deque(maxlen=SHOWN)).append((step, value))
        for name, value in seen.items():
            if not math.isfinite(value):
                raise self._diverged(method, name, f"is {value:g}", step)
        self._refuse_weights(method, step)

        name, size = max(((n, abs(seen[n])) for n in ENERGIES if n in seen), key=lambda item: item[1])
        usual = max(SMALL, statistics.median(self.sizes) if self.sizes else 0.0)
        if not self.sizes:
            usual = max(usual, size)  # where it begins is its own affair
        away = size > min(self.runaway * usual, UNRESOLVED)
        if not away:
            self.sizes.append(size)
        if step < self.every_n_steps:
            return
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
    def measured(self, method: Method, points: Tensor) -> dict[str, float]:
        """Mean energies, the spread of a few samples in the data's standard deviations, acceptance."""
        with evaluating(method.learned.energy) as energy:
            values = {ENERGIES[0]: float(energy(points).mean())}
        with evaluating(method.learned.energy):
            signs = method.vital_signs(N_CHAINS, random_generator(method.step))
        if "energy_negative" in signs:
            values[ENERGIES[1]] = signs["energy_negative"]
        generator = method.learned.generator
        if generator is not None and self.collapsed:
            buffers = {name: buffer.clone() for name, buffer in generator.named_buffers()}
            rng = random_generator(method.step)  # on the CPU, as the priors and the noises take it
            latent = generator.prior.sample(N_CHAINS, rng).to(method.device)
            samples = generator.draw(latent, rng).samples.flatten(1)
            for name, buffer in generator.named_buffers():  # batch norm has taken note of this batch
                buffer.copy_(buffers[name])
            values[SPREAD] = float(samples.std(0).mean())
        if "chains_acceptance" in signs:
            values[ACCEPTANCE] = signs["chains_acceptance"]
        return values

    def _refuse_weights(self, method: Method, step: int) -> None:
        if name := not_finite(method):
            raise self._diverged(method, name, "holds nan or infinity", step)

    # ---- how it is said

    def _diverged(self, method: Method, name: str, what: str, step: int) -> InputError:
        past = ", ".join(f"{value:.4g} at {at}" for at, value in self.values.get(name, ()))
        self.what = f"the run has diverged at step {step}: {name} {what} ({past or self._losses()})"
        self.found = f"{self.what}; {self._remedy(method, name)}; {self._way_back()}"
        return InputError(self.found)

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
