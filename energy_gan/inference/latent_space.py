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
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.mixed_prior import MixedPrior
from energy_gan.generators.priors import UniformPrior
from energy_gan.samplers.base import Energy, Kernel, State, acceptance_rate, adapt, init
from energy_gan.samplers.langevin import Langevin
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Energies, Latents


def latent_energy(
    energy: Energy,
    generator: Generator,
    temperature: float = 1.0,
    with_prior: bool = True,
    reflect: bool = False,
) -> Energy:
    """z ↦ E(G(z)) / temperature − log p(z), for any kernel. G(z) is without the output noise.

    Under a uniform prior U = ∞ outside the box: MALA and HMC refuse such moves. Langevin cannot, and
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
    if isinstance(generator.prior, MixedPrior):
        raise InputError(
            f"the generator's latent holds {generator.prior.bits} bits, which no gradient moves: draw "
            "without SAMPLER, with REFINE=20 for MALA on the points, or train with a normal or uniform prior"
        )
    if not 0 < temperature < math.inf:
        raise InputError(f"the temperature must be positive and finite, got {temperature}")
    if reflect and not (with_prior and isinstance(generator.prior, UniformPrior)):
        raise ValueError("reflect needs walls: a UniformPrior and with_prior=True")
    if any(isinstance(part, nn.Module) and part.training for part in (energy, generator)):
        raise ValueError(
            "energy and generator must be in evaluation mode, .eval(): in training batch norm lets chains "
            "see each other"
        )

    def tilted(latent: Latents) -> Energies:
        latent = fold(latent) if reflect else latent
        energies = energy(generator(latent)) / temperature
        return energies - generator.prior.log_prob(latent) if with_prior else energies

    return tilted


def fold(latent: Latents) -> Latents:
    """Into the box [−1, 1]ᴷ, by mirrors at its walls: a triangle wave of period 4 in each number."""
    return 1 - ((latent + 1) % 4 - 2).abs()


class Trace(NamedTuple):
    """How chains went, a number for each step, means over the chains."""

    energy: Float[Tensor, "_"]  # E(G(z)); one number more, before the first step
    acceptance_rate: Float[Tensor, "T"]  # the mean probability; 1 for Langevin
    step_size: float


def target_acceptance(kernel: Kernel) -> float:
    """0.7 for MALA and HMC; for Langevin, which accepts all, MALA's 0.9: its bias is small at that step.

    In many dimensions and at rest 0.57 is best for MALA and 0.65 for HMC. But E ∘ G is steeper in some
    places than in others, and a step that is refused nearly always in steep ones leaves the chains that
    start there where they are, which no mean shows.

    Reference: Optimal scaling of discrete approximations to Langevin diffusions (Roberts & Rosenthal, 1998),
    https://doi.org/10.1111/1467-9868.00123; Optimal tuning of the hybrid Monte Carlo algorithm (Beskos et
    al., 2013), https://arxiv.org/abs/1001.4460.
    """
    return 0.9 if isinstance(kernel, Langevin) else 0.7


class LatentChains:
    """A kernel at work in the latent space of a generator, with mirrors at a uniform prior's walls.

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
        self.reflect = with_prior and isinstance(generator.prior, UniformPrior)
        self.target = latent_energy(energy, generator, temperature, with_prior, self.reflect)

    def tune(self, latent: Latents, rng: torch.Generator | None = None, n_steps: int = 80) -> float:
        """The step size that the kernel accepts with its `target_acceptance`, near these latents.

        The chain that finds it adapts ever less, and its last half is averaged: HMC's acceptance falls so
        steeply with the step that a steady rate would swing about the target.
        """
        kernel = MALA() if isinstance(self.kernel, Langevin) else self.kernel
        state, step_size, log_mean = init(self.target, latent), 1e-3, 0.0
        for k in range(n_steps):
            state, info = kernel.step(self.target, state, step_size, rng)
            rate = 1 / (1 + k / 20)
            step_size = adapt(step_size, acceptance_rate(state, info), target_acceptance(self.kernel), rate)
            log_mean += math.log(step_size) / (n_steps - n_steps // 2) if k >= n_steps // 2 else 0.0
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
        for _ in range(n_steps):
            state, info = self.kernel.step(self.target, state, step_size, rng)
            energies.append(self._mean_energy(state))
            rates.append(info.acceptance.mean())
        trace = Trace(torch.stack(energies).cpu(), torch.stack(rates).cpu(), step_size)
        if not trace.energy.isfinite().all():
            raise InputError(
                f"the energy along the chains is not finite with step size {step_size:g}: give a smaller one"
            )
        return fold(state.x) if self.reflect else state.x, trace

    def _mean_energy(self, state: State) -> Float[Tensor, ""]:
        """The mean of E(G(z)), from what the kernel has computed already."""
        energies = state.energy
        if self.with_prior:
            energies = energies + self.prior.log_prob(fold(state.x) if self.reflect else state.x)
        return self.temperature * energies.mean()
