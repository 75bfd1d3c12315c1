"""Negatives from chains that go on from step to step, started by the generator."""

import math
from collections.abc import Callable, Sequence

import torch

from energy_gan.generators.base import Draw
from energy_gan.generators.mixture import log_mixture
from energy_gan.generators.output_noise import add_noise
from energy_gan.negatives.base import Negatives, NegativeSampler, ess, systematic
from energy_gan.samplers.base import Kernel, State, adapt, init
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Energies, Points


class ChainNegatives(NegativeSampler):
    """Some of many persistent chains, moved by a kernel that leaves P_energy as it is.

    In every training step some chains are chosen, and all of them take n_steps moves. When the energy
    changes under a chain, from E to E', its weight takes what the chain could not follow,

        A ← A + E(x) − E'(x),    so that   E[exp(A) f(x)] = Z' E_{P'}[f]   at all times,

    however slowly the chains mix and however fast the energy learns: without weights an energy digs
    where no chain is, and runs away. Where the weights of the chosen become too uneven, these chains
    are drawn again in proportion to them.

    The chains start as samples of the generator, weighted by its batch's density. Later, a share of the
    chosen may start from it anew, with the mean weight; that is exact only as far as the two agree.

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
        restart: the share of the moved chains that starts anew, 0 to 1.
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
        restart: float = 0.0,
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
        for name, share in (("restart", restart), ("least_ess", least_ess)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be a share from 0 to 1, got {share}")
        self.moved, self.n_steps, self.restart, self.target = moved, n_steps, restart, target
        self.weighted, self.least_ess, self.kernel = weighted, least_ess, kernel or MALA()
        self.register_buffer("chains", torch.full((chains, *shape), torch.nan))  # not started: nan
        self.register_buffer("energies", torch.zeros(chains))  # of each chain when it moved last
        self.register_buffer("log_weights", torch.zeros(chains))
        self.register_buffer("step_size", torch.tensor(float(step_size)))

    @torch.no_grad()
    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None) -> Negatives:
        if self.chains.isnan().any():
            self._start(energy, draw)
        chosen = torch.randperm(len(self.chains), device=self.chains.device)[: self.moved]
        state = init(energy, self.chains[chosen])
        log_weights = self.log_weights[chosen] + self.energies[chosen] - state.energy
        if self.weighted and ess(log_weights) < self.least_ess * len(chosen):
            kept = systematic(log_weights.softmax(0), len(chosen))
            state = State(*(part[kept] for part in state))
            log_weights = log_weights.logsumexp(0).expand_as(log_weights) - math.log(len(chosen))
        state = self._restarted(energy, state, draw)
        step_size = float(self.step_size)
        for _ in range(self.n_steps):
            state, info = self.kernel.step(energy, state, step_size)
            if self.target is not None:
                step_size = adapt(step_size, float(info.acceptance.mean()), self.target, rate=0.1)
        self.chains[chosen], self.energies[chosen], self.log_weights[chosen] = *state[:2], log_weights
        self.step_size.fill_(step_size)
        if not self.weighted:
            return Negatives(state.x)
        return Negatives(state.x, log_weights + state.energy - math.log(len(chosen)))

    def _start(self, energy: Callable[[Points], Energies], draw: Draw | None) -> None:
        """All chains from the generator, weighted by exp(−E) over the density of its batch.

        Without a generator, N(0, I) takes its place.
        """
        if draw is None:
            origin = torch.zeros_like(self.chains[:1])
            draw = Draw(origin.flatten(1), origin, origin, origin.new_ones(1, 1))
        component = torch.randint(len(draw.clean), (len(self.chains),), device=self.chains.device)
        if draw.scale is None:
            self.chains.copy_(draw.samples[component])
        else:
            self.chains.copy_(add_noise(draw.clean[component], draw.scale[component]))
        self.energies.copy_(energy(self.chains))
        if self.weighted:
            self.log_weights.copy_(-self.energies - log_mixture(self.chains, draw))

    def _restarted(self, energy: Callable[[Points], Energies], state: State, draw: Draw | None) -> State:
        """A share of the chains at new samples of the generator."""
        fresh = torch.rand(len(state.x), device=state.x.device) < self.restart
        if draw is None or not fresh.any():
            return state
        x = state.x.clone()
        x[fresh] = draw.samples[torch.randint(len(draw.samples), (int(fresh.sum()),), device=x.device)]
        return init(energy, x)
