"""What every method shares: players that take turns, one step counter, logging on a gate.

Lightning counts every optimizer's step; here one batch is one step, whatever the number of
players and of their moves. `trainer.global_step` is that count: the x axis of all that is logged,
and what `max_steps`, checkpoints and the order of the batches go by.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from lightning import Callback, LightningModule
from lightning.pytorch.plugins import Precision
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn
from torch.optim import Optimizer

from energy_gan.generators.base import Generator
from energy_gan.nn import Fitted, Scheduled
from energy_gan.numerics.ppca import evenly
from energy_gan.randomness import mixed_seed, set_seed
from energy_gan.shapes import Energies, Points, Scalar

Terms = Mapping[str, Scalar]
MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]
Schedule = Callable[[float], float]  # of progress, see energy_gan/optim/schedules.py
F = TypeVar("F")


def plain(function: F) -> F:
    """A config's partial as Python's own: Hydra's asks at every call, for a millisecond, whether it may.

    It may: its target was checked when it was built.
    """
    if not isinstance(function, partial):
        return function
    return partial(function.func, *function.args, **function.keywords)


@dataclass
class Player:
    """One side of the game: what it trains, towards what, by which optimizer, how often in a step.

    Args:
        name: "energy", "generator" or "entropy"; settings and log entries carry it.
        part: the module whose weights are its own.
        terms: the named terms of its loss.
        make_optimizer: applied to the weights.
        schedule: the factor of the learning rates by progress; 1 throughout if None.
        n_steps: moves in each training step that it moves in, at least 1.
        every: training steps from one of these to the next, at least 1.
    """

    name: str
    part: nn.Module
    terms: Callable[..., Terms]
    make_optimizer: MakeOptimizer | None
    schedule: Schedule | None = None
    n_steps: int = 1
    every: int = 1

    def __post_init__(self):
        for name, value in (("steps", self.n_steps), ("every", self.every)):
            if value < 1:
                raise ValueError(f"{self.name}_{name} must be at least 1, got {value}")
        self.parameters = [p for p in self.part.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError(f"the {self.name} has no weights to train")
        if self.make_optimizer is None:
            raise ValueError(f"{self.name}_optimizer must be given where the {self.name} learns, got None")
        self.optimizer = self.make_optimizer(self.parameters)
        self.schedule = plain(self.schedule)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    def at(self, progress: float) -> None:
        """Set the learning rates for this share of the training steps."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * (self.schedule(progress) if self.schedule else 1)


class Learned(NamedTuple):
    """What a method has learned, in the networks' units; None where it has no such thing.

    energy: x -> E(x) = −log p(x) − log Z: it claims to be a density.
    ranking: x -> a number that is high where x is unlikely, and claims no density.
    generator: with its prior; `draw(latent)` gives samples.
    inference: x -> z.
    classes: x -> logits.
    noise: σ of the noise that the points get in training before the energy sees them.
    """

    energy: Callable[[Points], Energies] | None = None
    ranking: Callable[[Points], Energies] | None = None
    generator: Generator | None = None
    inference: nn.Module | None = None
    classes: nn.Module | None = None
    noise: float = 0.0


OFFERS = ("energy", "ranking", "generator", "inference", "classes")


class Method(LightningModule, ABC):
    """Players in alternation, on standardised points. A subclass gives `training_step`.

    Args:
        shape: of one point.
        seed: with the step, it fixes every random number of training.

    Attributes:
        players: in their order of play.
        shift, scale: the standardisation u = (x − shift) / scale that the networks live behind.
        reported: the values of the last step that was logged.
        logs_now: true in those steps whose values are logged; never if log_every_n_steps is 0.
    """

    players: Sequence[Player]
    logs_now = False

    def __init__(self, shape: Sequence[int], seed: int = 0):
        super().__init__()
        self.automatic_optimization = False
        self.shape, self.seed = tuple(shape), seed
        self.reported: dict[str, float] = {}
        self.unheard = False  # see manual_backward
        self.register_buffer("shift", torch.zeros(self.shape))
        self.register_buffer("scale", torch.ones(self.shape))

    @property
    def step(self) -> int:
        """Training steps taken."""
        return self.trainer.global_step

    def configure_optimizers(self):
        return [player.optimizer for player in self.players]

    def on_fit_start(self) -> None:
        self.scheduled = [module for module in self.modules() if isinstance(module, Scheduled)]
        self.unheard = self._unheard()
        data = self.trainer.datamodule
        self.shift.copy_(data.shift)
        self.scale.copy_(data.scale)
        for part in self.modules():  # a resumed run has them from its checkpoint
            if isinstance(part, Fitted) and not part.fitted:
                part.fit(data.standardise(evenly(data.points)).to(self.shift.device), self.seed)

    def on_train_start(self) -> None:
        # fused optimizers take for granted that their state lies in memory as the weight does; that of a
        # checkpoint may come from a run with another setting of channels_last
        for weight, state in (item for player in self.players for item in player.optimizer.state.items()):
            for name, value in state.items():
                if value.shape == weight.shape and value.stride() != weight.stride():
                    state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)

    def on_train_batch_start(self, batch, batch_idx: int) -> None:
        step, every, last = self.step, self.trainer.log_every_n_steps, self.trainer.max_steps
        self.logs_now = every > 0 and step % every == 0
        set_seed(mixed_seed(self.seed, step))
        progress = step / last if last > 0 else 1.0
        for part in (*self.scheduled, *self.players):
            part.at(min(1.0, progress))

    def descend(self, player: Player, terms: Terms) -> None:
        """One move along −∇(sum of the terms). Only the player's own weights get a gradient."""
        for weight in player.parameters:
            weight.grad = None  # as zero_grad does, which takes a twentieth of a small step for its profiling
        self.manual_backward(sum(terms.values()), inputs=player.parameters)
        player.optimizer.step()
        self.report(terms)

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning's, without its round of all callbacks before and after where none of them listens.

        At every move of small networks, that round would take a tenth of the time.
        """
        if self.unheard:
            loss.backward(*args, **kwargs)
        else:
            super().manual_backward(loss, *args, **kwargs)

    def _unheard(self) -> bool:
        """Whether a backward pass is nobody's but torch's: one device, no scaled loss, no hook around it."""
        strategy, precision = self.trainer.strategy, self.trainer.precision_plugin
        listeners = [(callback, Callback) for callback in self.trainer.callbacks] + [(self, LightningModule)]
        return (
            type(strategy) is SingleDeviceStrategy
            and type(precision).backward is Precision.backward
            and getattr(precision, "scaler", None) is None
            and not any(
                is_overridden(hook, listener, parent)
                for listener, parent in listeners
                for hook in ("on_before_backward", "on_after_backward", "backward")
                if hasattr(parent, hook)
            )
        )

    def report(self, values: Terms) -> None:
        """Note values for the log, in those steps that are logged."""
        if self.logs_now:
            self.reported |= {f"train/{name}": value.item() for name, value in values.items()}

    @property
    @abstractmethod
    def learned(self) -> Learned:
        """What there is to use of it."""

    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        """What only the method knows of its last step, for those who watch it: "energy_negative", the mean
        over the negatives; "chains_acceptance" and "chains_step_size" of n of the chains it keeps, tried.
        """
        return {}

    def compile_networks(self, backend: str = "inductor") -> None:
        """Let torch.compile fuse the networks, for the steps of training alone."""
        raise NotImplementedError

    def calibrate(self) -> None:
        """Make what was trained ready for evaluation, where that takes more than a switch."""

    def end_step(self) -> None:
        """Log what was reported, count one step. Last in a training step."""
        if self.logs_now:
            self.reported = self._over_processes(self.reported)
            for logger in self.loggers:
                logger.log_metrics(self.reported, step=self.step)
        # The optimizers were stepped past Lightning, which would have counted each; it counts one.
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()

    def _over_processes(self, values: dict[str, float]) -> dict[str, float]:
        """The means over the processes that take the step together, each of which saw its slice."""
        if self.trainer.world_size == 1 or not values:
            return values
        means = self.trainer.strategy.reduce(torch.tensor(list(values.values()), device=self.device))
        return dict(zip(values, means.tolist(), strict=True))
