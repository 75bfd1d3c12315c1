"""Negatives from chains in the latents of a base: neural transport."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from energy_gan.energies.base import stated
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.transported import Transported
from energy_gan.negatives.base import Negatives, Walked
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.memory import Memory
from energy_gan.negatives.starts import Start
from energy_gan.samplers.base import Kernel
from energy_gan.samplers.transport import Space, pulled_back
from energy_gan.shapes import Energies, Points


class TransportedChains(ChainNegatives):
    """Chains of z on U(z) = f(g(z)) + ½‖z‖², pushed forward to x⁻ = g(z), for an energy f(x) − log q(x) with
    a base q that is the law of g(z), z ~ N(0, I).

    What the memory keeps and the start gives are latents: `FromNoise` begins at samples of the base. All else
    is as in `ChainNegatives`.

    Reference: MCMC Should Mix: Learning Energy-Based Model with Neural Transport Latent Space MCMC
    (Nijkamp et al., 2020), https://arxiv.org/abs/2006.06897.

    Args:
        start, memory, n_steps, step_size, target, kernel: see `ChainNegatives`.
        moves: of a chain that begins at N(0, I), at least 1, to a sample of the trained energy.
    """

    def __init__(
        self,
        start: Start,
        memory: Memory,
        n_steps: int = 1,
        step_size: float = 0.1,
        target: float | None = None,
        kernel: Kernel | None = None,
        moves: int = 12,
    ):
        super().__init__(start, memory, n_steps, step_size, target, kernel)
        if start.needs_generator:
            raise ValueError(
                "chains in a base's latents begin there, not at a generator's samples: give start a FromNoise"
            )
        if moves < 1:
            raise ValueError(f"moves must be at least 1, got {moves}")
        self.n_moves = moves

    @staticmethod
    def space(energy: nn.Module) -> Space:
        """The base's latents, with U.

        Raises:
            ValueError: the energy has no base, or its base no map.
        """
        base, name = stated(energy, "base"), type(energy).__name__
        if base is None:
            raise ValueError(
                "TransportedChains need an energy with a base whose density is known, FlowEnergy as its "
                f"quadratic term: this {name} has none"
            )
        if base.transport is None:
            raise ValueError(
                "TransportedChains need a base with a map from N(0, I), FlowEnergy, and this "
                f"{type(base).__name__} has none: give ChainNegatives, or BaseNegatives and noise_contrast"
            )
        return pulled_back(energy.over_base, base.transport)

    @torch.no_grad()
    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None, x: Points) -> Negatives:
        space = self.space(energy)
        found = super().forward(space.energy, None, space.pull(x))
        z, log_weights = found.samples, found.log_weights
        samples = space.push(z)
        if log_weights is not None:  # beside E instead of U
            log_weights = log_weights + energy(samples) - space.energy(z)
        return Negatives(samples, log_weights, step_size=found.step_size, gradient=found.gradient)

    def generator(self, energy: nn.Module, shape: Sequence[int]) -> Generator:
        """The map, of latents that chains move from N(0, I)."""
        transport = stated(energy, "base").transport
        chains = replace(self._chains, n_steps=self.n_moves, target=None)
        return Transported(shape, energy, transport, chains)

    @property
    def walked(self) -> Walked:
        return super().walked._replace(space=self.space)

    def chains(self, energy: Callable[[Points], Energies], n: int, rng: torch.Generator) -> dict[str, float]:
        return super().chains(self.space(energy).energy, n, rng)
