"""Who plays, how each side learns, and what the players of one training step share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import torch
from torch import nn

from energy_gan.generators.base import Draw, Generator
from energy_gan.negatives.base import Negatives
from energy_gan.optim.learns import Learns
from energy_gan.randomness import processes, rows
from energy_gan.shapes import Latents, Points, Scalar

Terms = Mapping[str, Scalar]


class Player:
    """One side of the game: what it trains, towards what, and how it learns.

    Args:
        name: "energy", "generator" or of a term; settings and log entries carry it.
        part: the module whose weights are its own.
        terms: the named terms of its loss.
        without: a part of it whose weights are not its own.
    """

    def __init__(
        self,
        name: str,
        part: nn.Module,
        terms: Callable[..., Terms],
        learns: Learns,
        without: nn.Module | None = None,
    ):
        self.name, self.part, self.terms, self.learns = name, part, terms, learns
        others = set(without.parameters()) if without is not None else set()
        self.parameters = [p for p in part.parameters() if p.requires_grad and p not in others]
        if not self.parameters:
            raise ValueError(f"the {name} has no weights to train")
        self.schedule = learns.schedule

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Made when it is first asked for: what is only loaded needs none, and torch's takes a second."""
        optimizer = self.learns.optimizer(self.parameters)
        self.rates = [group["lr"] for group in optimizer.param_groups]
        return optimizer

    def moves(self, step: int) -> range:
        """Its moves in a training step; none while its schedule gives it no rate."""
        rests = step % self.learns.every or not any(group["lr"] for group in self.optimizer.param_groups)
        return range(0 if rests else self.learns.steps)

    @property
    def rests(self) -> bool:
        """Whether it has learned and its schedule gives it no rate any more."""
        return bool(self.optimizer.state) and not any(group["lr"] for group in self.optimizer.param_groups)

    def at(self, progress: float) -> None:
        """Set the learning rates for this share of the training steps."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * (self.schedule(progress) if self.schedule else 1)


@dataclass(frozen=True)
class Draws:
    """The generator's batches in a training step: a node of the config.

    Args:
        n: samples in each move, of all processes together, at least 2; as many as there are points if None.
        spread: latents that cover the prior evenly (`Prior.spread`) or independent ones.
        reuse: what the moves of a step have in common. "latents": each draws from the same (the author's
            code). "forward": one forward for all of them; samples and gradients are those of "latents" while
            the energy moves first, but the generator's own noise, if it has any, is drawn once, and batch
            norm's running averages advance once. With the generator first the energy then learns from the
            samples of before that move. The graph stays in memory throughout the step.
    """

    n: int | None = None
    spread: bool = False
    reuse: Literal["nothing", "latents", "forward"] = "latents"

    def __post_init__(self):
        if self.n is not None and self.n < 2:
            raise ValueError(f"n must be at least 2, got {self.n}")


@dataclass
class Step:
    """What the players of one training step share: the data, the generator's batches, the negatives."""

    x: Points
    generator: Generator
    draws: Draws
    negatives: Negatives | None = None  # of the energy's last move in this step, with their energies
    kept: Draw | Latents | None = field(default=None, repr=False)  # for the next move

    def draw(self) -> Draw:
        """The generator's batch for one move."""
        if self.draws.reuse == "forward":
            if self.kept is None:
                with torch.enable_grad():  # also where the first to ask does not train it
                    self.kept = self.generator.draw(self.latents())
            return self.kept
        if self.draws.reuse == "nothing" or self.kept is None:
            self.kept = self.latents()
        return self.generator.draw(self.kept)

    @torch.no_grad()
    def detached(self) -> Draw:
        """The same for those who do not train it."""
        return self.draw().detached()

    def latents(self) -> Latents:
        prior, n = self.generator.prior, self.draws.n
        draw = partial(prior.spread if self.draws.spread else prior.sample, device=self.x.device)
        return rows(n // processes() if n else len(self.x), draw)
