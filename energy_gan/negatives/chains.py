"""Negatives from chains that go on from step to step, started by the generator."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from energy_gan.generators.base import Draw
from energy_gan.generators.mixture import log_mixture
from energy_gan.generators.output_noise import add_noise
from energy_gan.negatives.base import Negatives, NegativeSampler, ess, systematic
from energy_gan.nn import PerProcess
from energy_gan.samplers.base import Kernel, State, acceptance_rate, adapt, init, run
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Energies, Points


class ChainNegatives(NegativeSampler, PerProcess):
    """Some of many persistent chains, moved by a kernel that leaves P_energy as it is.

    In every training step some chains are chosen, and all of them take n_steps moves. When the energy
    changes under a chain, from E to E', its weight takes what the chain could not follow,

        A ← A + E(x) − E'(x),    so that   E[exp(A) f(x)] = Z' E_{P'}[f]   at all times,

    however slowly the chains mix and however fast the energy learns: without weights an energy digs
    where no chain is, and runs away. Where the weights of the chosen become too uneven, these chains
    are drawn again in proportion to them.

    The chains start as samples of the generator, weighted by its batch's density. A chain whose place or
    energy is no longer finite starts anew, at the weight that belongs to it.

    All of it lies in buffers: a resumed run goes on with the same chains.

    Reference: Efficient Training of Energy-Based Models Using Jarzynski Equality (Carbone et al., 2023),
    https://arxiv.org/abs/2305.19414, for the weights; Training restricted Boltzmann machines using
    approximations to the likelihood gradient (Tieleman, 2008), https://doi.org/10.1145/1390156.1390290,
    for chains that persist; Cooperative Training of Descriptor and Generator Networks (Xie et al.,
    2018), https://arxiv.org/abs/1609.09408, for starting them from a generator.

    Args:
        shape: of one point.
        chains: how many there are, and `moved` how many of them move in a step.
        n_steps: moves in a step.
        weighted: keep the weights; otherwise all count equally, as in the older references.
        least_ess: the effective share of the moved chains, 0 to 1, below which they are drawn again.
        step_size: to begin with; it adapts to an acceptance of `target` if that is not None.
        kernel: MALA if None.
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
    ):
        super().__init__()
        if not 1 <= moved <= chains:
            raise ValueError(f"moved must be 1 to chains={chains}, got {moved}")
        if n_steps < 1 or not step_size > 0:
            raise ValueError(f"n_steps must be at least 1 and step_size positive, got {n_steps}, {step_size}")
        if not 0 <= least_ess <= 1:
            raise ValueError(f"least_ess must be a share from 0 to 1, got {least_ess}")
        self.moved, self.n_steps, self.target = moved, n_steps, target
        self.weighted, self.least_ess, self.kernel = weighted, least_ess, kernel or MALA()
        self.register_buffer("places", torch.full((chains, *shape), torch.nan))  # not started: nan
        self.register_buffer("energies", torch.zeros(chains))  # of each chain when it moved last
        self.register_buffer("log_weights", torch.zeros(chains))
        self.register_buffer("step_size", torch.tensor(float(step_size)))

    @torch.no_grad()
    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None, x: Points) -> Negatives:
        lost = ~(self.places.flatten(1).isfinite().all(1) & self.energies.isfinite())
        if lost.any():
            self._start(energy, draw, lost)
        chosen = torch.randperm(len(self.places), device=self.places.device)[: self.moved]
        state = init(energy, self.places[chosen])
        log_weights = self.log_weights[chosen] + self.energies[chosen] - state.energy
        if self.weighted and ess(log_weights) < self.least_ess * len(chosen):
            kept = systematic(log_weights.softmax(0), len(chosen))
            state = State(*(part[kept] for part in state))
            log_weights = log_weights.logsumexp(0).expand_as(log_weights) - math.log(len(chosen))
        step_size = float(self.step_size)
        for _ in range(self.n_steps):
            state, info = self.kernel.step(energy, state, step_size)
            if self.target is not None:
                step_size = adapt(step_size, acceptance_rate(state, info), self.target, rate=0.1)
        self.places[chosen], self.energies[chosen], self.log_weights[chosen] = *state[:2], log_weights
        self.step_size.fill_(step_size)
        if not self.weighted:
            return Negatives(state.x)
        return Negatives(state.x, log_weights + state.energy - math.log(len(chosen)))

    def chains(self, energy: Callable[[Points], Energies], n: int, rng: torch.Generator) -> dict[str, float]:
        """The acceptance rate of the next move of n chains, none of which is kept; {} before the first."""
        started = self.places[self.places.flatten(1).isfinite().all(1)][:n]
        if not len(started) or not self.energies.any():
            return {}
        step_size = float(self.step_size)
        rate = run(self.kernel, energy, init(energy, started), step_size, 1, rng)[1]
        return {"chains_acceptance": rate, "chains_step_size": step_size}

    def _start(
        self, energy: Callable[[Points], Energies], draw: Draw | None, which: Bool[Tensor, "C"]
    ) -> None:
        """Some chains from the generator, weighted by exp(−E) over the density of its batch.

        Without a generator, N(0, I) takes its place.
        """
        if draw is None:
            origin = torch.zeros_like(self.places[:1])
            draw = Draw(origin.flatten(1), origin, origin, origin.new_ones(1, 1))
        component = torch.randint(len(draw.clean), (int(which.sum()),), device=which.device)
        x = draw.samples[component]
        if draw.scale is not None:
            x = add_noise(draw.clean[component], draw.scale[component])
        self.places[which], self.energies[which] = x, energy(x)
        if self.weighted:
            self.log_weights[which] = -self.energies[which] - log_mixture(x, draw)
