"""Negatives from chains: where they start, what they remember from step to step, and how they move."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.short_run import ShortRun
from energy_gan.negatives.base import Negatives, NegativeSampler, Walked
from energy_gan.negatives.memory import Memory
from energy_gan.negatives.starts import Start
from energy_gan.nn import PerProcess
from energy_gan.samplers.base import Kernel
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Energies, Points

TRACED = 2_000  # steps of training


class ChainNegatives(NegativeSampler, PerProcess):
    """Chains that a kernel moves n_steps further on the present energy.

        start             memory             is
        the data          none               contrastive divergence (Hinton, 2002)
        noise             none               short-run (Nijkamp et al., 2019)
        noise or data     persistent         persistent contrastive divergence (Tieleman, 2008)
        noise             buffer             IGEBM (Du & Mordatch, 2019)
        noise, generator  weighted           Jarzynski's weights (Carbone et al., 2023)
        generator         none               cooperative learning (Xie et al., 2018)

    What a memory keeps lies in buffers: a resumed run goes on with the same chains.

    Args:
        start: where chains begin.
        memory: what is left of them for the next step.
        n_steps: moves in a step, at least 1.
        step_size: ε, positive; to begin with, where it adapts.
        target: the acceptance that it adapts to, 0 to 1; None keeps it.
        kernel: MALA if None.
    """

    def __init__(
        self,
        start: Start,
        memory: Memory,
        n_steps: int = 8,
        step_size: float = 0.01,
        target: float | None = None,
        kernel: Kernel | None = None,
    ):
        super().__init__()
        if n_steps < 1 or not step_size > 0:
            raise ValueError(f"n_steps must be at least 1 and step_size positive, got {n_steps}, {step_size}")
        self.start, self.memory, self.needs_generator = start, memory, start.needs_generator
        self.moves = Chains(kernel or MALA(), n_steps, float(step_size), target, rate=0.1)
        if start.keeps_rows and memory.remembers:
            raise ValueError("start.in_order=true needs chains that nobody keeps: give memory a NoMemory")
        self.keeps_rows, self.remembers = start.keeps_rows, memory.remembers
        self.register_buffer("step_size", torch.tensor(float(step_size)))
        self.register_buffer("trace", torch.zeros(TRACED, 2))
        self.register_buffer("noted", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None, x: Points) -> Negatives:
        taken = self.memory.take(energy, lambda n: self.start(n, draw, x))
        walk = self._chains.run(energy, taken.state)
        self.memory.keep(taken, walk.state)
        end, log_weights = walk.state, taken.log_weights
        if log_weights is not None:
            log_weights = log_weights + end.energy - math.log(len(log_weights))
        found = Negatives(
            end.x,
            log_weights,
            before=walk.previous.x,
            step_size=self.step_size.clone(),
            gradient=end.gradient,
        )
        self.step_size.fill_(walk.step_size)
        return found

    def generator(self, energy: nn.Module, shape: Sequence[int]) -> Generator | None:
        """A `ShortRun`, where every step's chains begin at noise and accept all moves."""
        begins = self.start.latents(math.prod(shape))
        if begins is None or self.remembers or not self.moves.kernel.accepts_all:
            return None
        return ShortRun(shape, energy, replace(self._chains, target=None), *begins)

    def remembered(self, n: int) -> Points:
        return self.memory.drawn(n)

    @torch.no_grad()
    def note(self, positive: Float[Tensor, "P"], negatives: Negatives) -> None:
        steepness = negatives.gradient.flatten(1).norm(dim=1).mean()
        self.trace[self.noted % TRACED] = torch.stack([positive.mean() - negatives.mean_energy, steepness])
        self.noted += 1

    @property
    def walked(self) -> Walked:
        noted = int(self.noted)
        oldest_first = self.trace.roll(-noted % TRACED, 0)
        return Walked(self._chains, oldest_first[max(0, TRACED - noted) :], self.memory.some)

    @property
    def _chains(self) -> Chains:
        return replace(self.moves, step_size=float(self.step_size))

    def vital_signs(
        self, energy: Callable[[Points], Energies], last: Negatives | None, n: int, rng: torch.Generator
    ) -> dict[str, float]:
        signs = super().vital_signs(energy, last, n, rng)
        if last is not None:
            signs["chains_distance"] = float(last.samples.flatten(1).abs().amax(1).median())
        return signs

    def chains(self, energy: Callable[[Points], Energies], n: int, rng: torch.Generator) -> dict[str, float]:
        """The acceptance rate of the next move of n chains, none of which is kept; {} before the first."""
        places = self.memory.some(n)
        if not len(places):
            return {}
        tried = replace(self._chains, n_steps=1, target=None).run(energy, places, rng)
        return {
            "chains_acceptance": float(tried.acceptance.mean()),
            "chains_step_size": tried.step_size,
        }
