"""Densities that are stacked: energy and generator are one law by construction.

    the flows    descend   −E[log q_f(x⁺)],   x⁺ of no point of fold f, which says when to stop
    the shares   ascend    Σᵢ log Σₖ wₖ q_{k,f(i)}(xᵢ)          by EM, every so many steps

E(x) = −log p(x) of the weighted sum p, whose samples are drawn exactly. Mixtures of Gaussians and flows have
shares where they are good, and what overfits has none: for tables of a hundred rows or of a million.

Reference: Linearly Combining Density Estimators via Stacking (Smyth & Wolpert, 1999),
https://doi.org/10.1023/A:1007511322260.
"""

import math
from collections.abc import Sequence

import torch

from energy_gan.energies.stacked import PARTS, Stack
from energy_gan.generators.stacked import StackedGenerator
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.players import Player, Terms
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Batch


class Stacked(Method):
    """A stack and how its flows learn.

    Args:
        shape: of one point.
        energy: the stack.
        energy_learns: how its flows learn.
        every: steps from one judgement to the next, at least 1; after the first 20 five times as many.
        patience: judgements without a gain after which a flow rests, at least 1.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        energy: Stack,
        energy_learns: Learns,
        every: int = 10,
        patience: int = 8,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        if every < 1 or patience < 1:
            raise ValueError(f"every and patience must be at least 1, got {every} and {patience}")
        self.energy, self.every, self.patience = energy, every, patience
        self.register_buffer("waited", torch.zeros(energy.folds, dtype=torch.long))
        self.players = [Player("energy", energy.flows, self.energy_terms, energy_learns)]
        self.judges, self.stride = [], 1

    def on_fit_start(self) -> None:
        super().on_fit_start()
        data = self.trainer.datamodule
        x = data.some().to(self.shift.device)
        self.judges, self.stride = self.energy.judges(x), math.ceil(len(data.points) / len(x))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        (player,) = self.players
        for _ in player.moves(self.step):
            if terms := player.terms(batch):
                self.descend(player, terms)
        often = self.step < 20 * self.every  # of few rows a flow learns too much within a few steps
        due = self.step % (self.every if often else 5 * self.every) == 0
        if self.judges and (due or self.step + 1 == self.trainer.max_steps):
            self.judge()
        self.end_step()

    def energy_terms(self, batch: Batch) -> Terms:
        """−E[log q_f(x⁺)] of every flow that has not stopped."""
        index = torch.arange(len(batch.x)) if batch.index is None else batch.index // self.stride
        fold = (index % PARTS).to(batch.x.device)
        learning = [f for f in range(int(self.energy.used)) if self.waited[f] < self.patience]
        seen = {f: batch.x[fold != f] for f in learning}
        return {f"flow_{f}": -self.energy.flows[f].log_prob(x).mean() for f, x in seen.items() if len(x)}

    def judge(self) -> None:
        """Keep the flows that have gained, choose the shares."""
        before = self.energy.likeliest.clone()
        self.report({"out_of_fold": self.energy.judge(self.judges)})
        self.waited.copy_(torch.where(self.energy.likeliest > before, 0, self.waited + 1))

    @property
    def learned(self) -> Learned:
        return Learned(energy=self.energy, generator=StackedGenerator(self.energy))
