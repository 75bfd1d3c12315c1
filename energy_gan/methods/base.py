"""The contract of a method: its players, its step, and what it has learned."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from energy_gan.generators.base import Generator
from energy_gan.generators.ensemble import Ensemble
from energy_gan.inference.ranking import Ranking
from energy_gan.methods.lean import Lean
from energy_gan.methods.phases import Phases
from energy_gan.methods.players import Player, Terms
from energy_gan.negatives.base import Walked
from energy_gan.nn import Fitted, Scheduled
from energy_gan.randomness import mixed_seed, set_seed
from energy_gan.shapes import Batch, Points


class Learned(NamedTuple):
    """What a method has learned, in the networks' units; None where it has no such thing.

    energy: x -> E(x) = −log p(x) − log Z: it claims to be a density.
    ranking: x -> a number that is high where x is unlikely, and claims no density; an energy ranks by itself.
    generator: with its prior; `draw(latent)` gives samples.
    inference: x -> z.
    classes: x -> logits.
    networks: those that a generator of weights makes, which are no points.
    noise: σ of the noise that the points get in training before the energy sees them.
    walked: the chains that its negatives come from.
    constant: log Z of the energy, where the method learns it.
    shades: of a pixel, where images get noise that fills these in training.
    """

    energy: nn.Module | None = None
    ranking: Ranking | None = None
    generator: Generator | None = None
    inference: nn.Module | None = None
    classes: nn.Module | None = None
    networks: Ensemble | None = None
    noise: float = 0.0
    walked: Walked | None = None
    constant: Tensor | None = None
    shades: int | None = None


OFFERS = ("energy", "ranking", "generator", "inference", "classes", "networks")


class Method(Lean, ABC):
    """Players in alternation, on standardised points. A subclass gives `training_step` and `learned`.

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
    second_derivatives = False  # whether training takes those of the energy

    def __init__(self, shape: Sequence[int], seed: int = 0):
        super().__init__()
        self.shape, self.seed = tuple(shape), seed
        self.reported: dict[str, float] = {}
        self.register_buffer("shift", torch.zeros(self.shape))
        self.register_buffer("scale", torch.ones(self.shape))

    @abstractmethod
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Every player's moves, then `end_step`."""

    @property
    @abstractmethod
    def learned(self) -> Learned:
        """What there is to use of it."""

    def on_fit_start(self) -> None:
        super().on_fit_start()
        data = self.trainer.datamodule
        self.shift.copy_(data.shift)
        self.scale.copy_(data.scale)
        self.scheduled = [part for part in self.modules() if isinstance(part, Scheduled)]
        if not all(part.fitted for part in self.modules() if isinstance(part, Fitted)):
            self.fit_parts(data.some().to(self.shift.device))

    def fit_parts(self, x: Points) -> None:
        """Fit the parts that are fitted to data, on standardised points.

        A resumed run has them from its checkpoint.
        """
        for part in self.modules():
            if isinstance(part, Fitted) and not part.fitted:
                part.fit(x, self.seed)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
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

    def report(self, values: Terms) -> None:
        """Note values for the log, in those steps that are logged."""
        if self.logs_now:
            self.reported |= {f"train/{name}": value.item() for name, value in values.items()}

    def report_means(self, found: Phases) -> None:
        """Note the mean energies of both phases."""
        if self.logs_now:
            self.report(found.means)

    def end_step(self) -> None:
        """Log what was reported, count one step. Last in a training step."""
        if self.logs_now:
            self.reported = self.over_processes(self.reported)
            for logger in self.loggers:
                logger.log_metrics(self.reported, step=self.step)
        self.count_step()

    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        """What only the method knows of its last step, for those who watch it: "energy_negative", the mean
        over the negatives; "chains_acceptance" and "chains_step_size" of n of the chains it keeps, tried;
        "chains_distance", the median over the chains of the greatest |x|, in standardised units.
        """
        return {}

    def compile_networks(self, backend: str = "inductor") -> None:
        """Let torch.compile fuse the networks, for the steps of training alone.

        Not an energy of which second derivatives are taken: compiled code has none.
        """
        if self.learned.energy is not None and not self.second_derivatives:
            self.learned.energy.compile(backend=backend)
        for generator in self._generators():
            generator.network.compile(backend=backend)

    def calibrate(self) -> None:
        """Make what was trained ready for evaluation: batch norm's statistics for the present weights."""
        for generator in self._generators():
            generator.calibrate()

    def _generators(self) -> Iterator[Generator]:
        """Of points, or of networks."""
        if self.learned.generator is not None:
            yield self.learned.generator
        if self.learned.networks is not None:
            yield self.learned.networks.generator
