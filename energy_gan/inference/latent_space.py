"""Chains in the latent space of a generator: its samples, moved to where the energy is low.

    U(z) = E(G(z)) / temperature − log p(z)

is an energy of z like any other, so every kernel of this package moves z by it. If z ~ exp(−U), then
x = G(z) follows P_generator(x) exp(−E(x) / temperature), normalised: the generator's law, tilted. At
temperature 1 that is P_energy for a generator that is even over all places it reaches; where generator and
energy agree already, it is sharper than both.

The released code of the reference walks on β E(G(z)), without the prior's term: with_prior=False and
temperature = 1/β here, the step size ε is its α.

Reference: Maximum Entropy Generators for Energy-Based Models (Kumar et al., 2019),
https://arxiv.org/abs/1901.08508, section 3.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.samplers.base import Energy, Kernel, State, init
from energy_gan.samplers.chains import Chains
from energy_gan.shapes import Energies, Latents

TUNED = 256  # chains that find the step size


def latent_energy(
    energy: Energy,
    generator: Generator,
    temperature: float = 1.0,
    with_prior: bool = True,
    reflect: bool = False,
) -> Energy:
    """z ↦ E(G(z)) / temperature − log p(z), for any kernel. G(z) is without the output noise.

    Where the prior has walls U = ∞ outside: MALA and HMC refuse such moves. Langevin cannot, and
    where z has many numbers nearly every long move leaves the box; hence

    Args:
        temperature: of the energy alone, positive.
        with_prior: without it the target is exp(−E(G(z)) / temperature) over all z, as published. It has
            a finite integral only if E grows fast enough along G, and leaves a uniform prior's box.
        reflect: walk on z ↦ U(fold(z)) instead, which is finite everywhere, and `fold` the end: the same
            as mirrors at the walls. U ∘ fold is symmetric in every wall, and so are the kernels, so
            detailed balance of MALA and HMC holds for fold(z) in the box as it does for z.

    Raises:
        InputError: the prior has bits, which no gradient moves; or the temperature is not positive.
        ValueError: a network is in training mode, or reflect is asked for without a uniform prior.
    """
    if generator.prior.bits:
        raise InputError(
            f"the generator's latent holds {generator.prior.bits} bits, which no gradient moves: draw "
            "without SAMPLER, with REFINE=20 for MALA on the points, or train with a normal or uniform prior"
        )
    if not 0 < temperature < math.inf:
        raise InputError(f"the temperature must be positive and finite, got {temperature}")
    walls = generator.prior.walls
    if reflect and not (with_prior and walls):
        raise ValueError("reflect needs walls: a UniformPrior and with_prior=True")
    if any(isinstance(part, nn.Module) and part.training for part in (energy, generator)):
        raise ValueError(
            "energy and generator must be in evaluation mode, .eval(): in training batch norm lets chains "
            "see each other"
        )

    def tilted(latent: Latents) -> Energies:
        latent = fold(latent, walls) if reflect else latent
        energies = energy(generator(latent)) / temperature
        return energies - generator.prior.log_prob(latent) if with_prior else energies

    return tilted


def fold(latent: Latents, walls: tuple[float, float] = (-1.0, 1.0)) -> Latents:
    """Into the box [low, high]ᴷ, by mirrors at its walls: a triangle wave in each number."""
    low, high = walls
    width = high - low
    return high - ((latent - low) % (2 * width) - width).abs()


class Trace(NamedTuple):
    """How chains went, a number for each step, means over the chains."""

    energy: Float[Tensor, "_"]  # E(G(z)); one number more, before the first step
    acceptance_rate: Float[Tensor, "T"]  # the mean probability; 1 for Langevin
    step_size: float

    @classmethod
    def mean(cls, runs: Sequence[tuple[Latents, "Trace"]], n: int) -> "Trace":
        """Of parts of n chains that had the same step size."""
        shares = [len(moved) / n for moved, _ in runs]
        energy = sum(share * trace.energy for share, (_, trace) in zip(shares, runs, strict=True))
        rate = sum(share * trace.acceptance_rate for share, (_, trace) in zip(shares, runs, strict=True))
        return cls(energy, rate, runs[0][1].step_size)


class LatentChains:
    """A kernel at work in the latent space of a generator, with mirrors at the prior's walls.

    Args: as in `latent_energy`.
    """

    def __init__(
        self,
        kernel: Kernel,
        energy: Energy,
        generator: Generator,
        temperature: float = 1.0,
        with_prior: bool = True,
    ):
        self.kernel, self.prior = kernel, generator.prior
        self.temperature, self.with_prior = temperature, with_prior
        self.walls = generator.prior.walls if with_prior else None
        self.target = latent_energy(energy, generator, temperature, with_prior, self.walls is not None)

    def sample(
        self,
        n: int,
        draw: Callable[[int], Latents],
        n_steps: int,
        step_size: float | None = None,
        rng: torch.Generator | None = None,
        at_once: int = 1_024,
    ) -> tuple[Latents, Trace]:
        """Where n chains end that start at latents of the prior, and how they went.

        Args:
            draw: that many latents of the prior.
            step_size: found on 256 of the chains if None.
            at_once: chains that move together, which takes memory.

        Raises:
            InputError: a number is out of its range, or the chains run away.
        """
        if n < 1 or n_steps < 1:
            raise InputError(f"at least 1 sample and 1 step must be asked for, got {n} and {n_steps}")
        if step_size is not None and not 0 < step_size < math.inf:
            raise InputError(f"the step size must be positive and finite, got {step_size}")
        latent = draw(n)
        if step_size is None:
            step_size = self.tune(torch.cat([latent, draw(max(1, TUNED - n))])[:TUNED], rng)
        runs = [self.run(part, step_size, n_steps, rng) for part in latent.split(at_once)]
        return torch.cat([moved for moved, _ in runs]), Trace.mean(runs, n)

    def tune(self, latent: Latents, rng: torch.Generator | None = None, n_steps: int = 80) -> float:
        """The step size that the kernel accepts with its `target_acceptance`, near these latents.

        The chain that finds it adapts ever less, and its last half is averaged: HMC's acceptance falls so
        steeply with the step that a steady rate would swing about the target.
        """
        kernel, log_mean, last = self.kernel, 0.0, n_steps - n_steps // 2
        chains = Chains(kernel.tuned_by, n_steps, 1e-3, kernel.target_acceptance, rate=1.0, settling=20.0)
        for k, step in enumerate(chains.walk(self.target, init(self.target, latent), rng)):
            log_mean += math.log(step.step_size) / last if k >= n_steps - last else 0.0
        return math.exp(log_mean)

    def run(
        self, latent: Latents, step_size: float, n_steps: int, rng: torch.Generator | None = None
    ) -> tuple[Latents, Trace]:
        """Where chains from these latents end after n steps of one size, and how they went.

        Raises:
            InputError: the energies are no longer finite.
        """
        state = init(self.target, latent)
        energies, rates = [self._mean_energy(state)], []
        for step in Chains(self.kernel, n_steps, step_size).walk(self.target, state, rng):
            energies.append(self._mean_energy(step.state))
            rates.append(step.info.acceptance.mean())
        trace = Trace(torch.stack(energies).cpu(), torch.stack(rates).cpu(), step_size)
        if not trace.energy.isfinite().all():
            raise InputError(
                f"the energy along the chains is not finite with step size {step_size:g}: give a smaller one"
            )
        return self._inside(step.state.x), trace

    def _mean_energy(self, state: State) -> Float[Tensor, ""]:
        """The mean of E(G(z)), from what the kernel has computed already."""
        energies = state.energy
        if self.with_prior:
            energies = energies + self.prior.log_prob(self._inside(state.x))
        return self.temperature * energies.mean()

    def _inside(self, latent: Latents) -> Latents:
        return fold(latent, self.walls) if self.walls else latent
