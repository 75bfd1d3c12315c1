"""Negatives from chains of a kernel that leaves P_energy as it is."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from energy_gan.generators.base import Draw
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.negatives.memory import Memory, NoMemory, PersistentChains
from energy_gan.negatives.starts import FromGenerator, Start
from energy_gan.nn import PerProcess
from energy_gan.samplers.base import Kernel
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Energies, Points


class ChainNegatives(NegativeSampler, PerProcess):
    """Some of many persistent chains, n_steps of a kernel further on; or chains that begin in every step.

    The weights of persistent chains keep

        E[exp(A) f(x)] = Z' E_{P'}[f]   for the present energy E' at all times,

    however slowly the chains mix and however fast the energy learns: without weights an energy digs
    where no chain is, and runs away.

    All of it lies in buffers: a resumed run goes on with the same chains.

    Reference: Efficient Training of Energy-Based Models Using Jarzynski Equality (Carbone et al., 2023),
    https://arxiv.org/abs/2305.19414, for the weights; Training restricted Boltzmann machines using
    approximations to the likelihood gradient (Tieleman, 2008), https://doi.org/10.1145/1390156.1390290,
    for chains that persist; Cooperative Training of Descriptor and Generator Networks (Xie et al.,
    2018), https://arxiv.org/abs/1609.09408, for starting them from a generator.

    Args:
        shape: of one point.
        chains: how many there are, and `moved` how many of them move in a step. 0: none persists, and those
            that move begin in every step.
        n_steps: moves in a step.
        weighted: keep the weights; otherwise all count equally, as in the older references.
        least_ess: the effective share of the moved chains, 0 to 1, below which they are drawn again.
        step_size: to begin with; it adapts to an acceptance of `target` if that is not None.
        kernel: MALA if None.
        start: where chains begin; `FromGenerator` if None.
    """

    def __init__(
        self,
        shape: Sequence[int],
        chains: int = 2048,
        moved: int = 512,
        n_steps: int = 8,
        weighted: bool = True,
        least_ess: float = 0.5,
        step_size: float = 0.01,
        target: float | None = 0.7,
        kernel: Kernel | None = None,
        start: Start | None = None,
    ):
        super().__init__()
        if weighted and not chains:
            raise ValueError("weighted must be false where no chain persists (chains=0), got true")
        if n_steps < 1 or not step_size > 0:
            raise ValueError(f"n_steps must be at least 1 and step_size positive, got {n_steps}, {step_size}")
        self.weighted, self.start = weighted, start or FromGenerator()
        self.moves = Chains(kernel or MALA(), n_steps, float(step_size), target, rate=0.1)
        self.memory: Memory = NoMemory(moved)
        if chains:
            self.memory = PersistentChains(shape, chains, moved, weighted, least_ess)
        self.keeps_rows = self.start.keeps_rows and not chains
        self.register_buffer("step_size", torch.tensor(float(step_size)))

    @torch.no_grad()
    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None, x: Points) -> Negatives:
        taken = self.memory.take(energy, lambda n: self.start(n, draw, x))
        walk = replace(self.moves, step_size=float(self.step_size)).run(energy, taken.state)
        self.memory.keep(taken, walk.state)
        self.step_size.fill_(walk.step_size)
        x, energies, _ = walk.state
        return Negatives(x, taken.log_weights + energies - math.log(len(x)) if self.weighted else None)

    def chains(self, energy: Callable[[Points], Energies], n: int, rng: torch.Generator) -> dict[str, float]:
        """The acceptance rate of the next move of n chains, none of which is kept; {} before the first."""
        places, step_size = self.memory.some(n), float(self.step_size)
        if not len(places):
            return {}
        tried = Chains(self.moves.kernel, 1, step_size).run(energy, places, rng)
        return {"chains_acceptance": float(tried.acceptance.mean()), "chains_step_size": step_size}
