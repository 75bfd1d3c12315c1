"""Cooperative learning: the generator proposes, chains of the energy revise, the generator learns from that.

    x̂ = G(z)                                    proposes
    x̃ = K steps of a kernel on E, from x̂        revises
    E descends E[E(x⁺)] − E[E(x̃)],  G descends E‖x̃ − G(z)‖² / 2σ²

The chains' work is thereby not lost from one step to the next: the generator remembers it.

Reference: Cooperative Training of Descriptor and Generator Networks (Xie et al., 2018),
https://arxiv.org/abs/1609.09408.
"""

import math
from collections.abc import Callable

import torch

from energy_gan.errors import InputError
from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.inference.latent_space import fold
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.langevin import Langevin
from energy_gan.shapes import Energies, Latents, Negatives, Points, Scalar


class Teaching(GeneratorTerm):
    """−mean ‖x̃ − G(z)‖² / 2σ², of samples without output noise.

    The x̃ are the energy's negatives, row by row those that its chains made of the generator's batch; or, with
    chains of the term's own, what these make of the batch with the present energy. Then the energy may learn
    from other negatives, from weighted persistent chains for example, and become a density.

    By latent steps z follows x̃ before the generator learns from the pair: Langevin steps of size ε on

        U(z) = −log p(z) + ‖x̃ − G(z)‖² / 2σ²

    The reference's σ is 0.3, its δ = 0.1 is ε = δ²/2 here, and its code takes none of these steps.

    Args:
        sigma: σ, in standardised units, positive.
        latent_steps: how many, 0 or more.
        latent_step_size: ε of these, positive.
        chains: a kernel with its number of steps; None takes the energy's negatives.
        weight: as in `GeneratorTerm`.
    """

    def __init__(
        self,
        sigma: float = 0.3,
        latent_steps: int = 0,
        latent_step_size: float = 0.005,
        chains: Chains | None = None,
        weight: float = 1.0,
    ):
        super().__init__(weight)
        if not 0 < sigma < math.inf or not 0 < latent_step_size < math.inf or latent_steps < 0:
            raise ValueError(
                "sigma and latent_step_size must be positive and latent_steps at least 0, "
                f"got {sigma}, {latent_step_size} and {latent_steps}"
            )
        self.sigma, self.chains = sigma, chains
        self.latent_steps, self.latent_step_size = latent_steps, latent_step_size
        self.needs_negatives = self.needs_rows = chains is None

    def learns_from(
        self, energy: Callable[[Points], Energies], draw: Draw, negatives: Negatives | None
    ) -> Negatives | None:
        if self.chains is None:
            return negatives
        return Negatives(self.chains.run(energy, draw.samples.detach()).state.x)

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives) -> Scalar:
        revised, proposed = negatives.samples, draw.clean
        if self.latent_steps:
            proposed = generator(self.follow(generator, draw.latent, revised))
        return -draw.mean(self.distances(revised, proposed))

    def distances(self, revised: Points, proposed: Points) -> Energies:
        """‖x̃ − G(z)‖² / 2σ²."""
        return (revised - proposed).flatten(1).square().sum(1) / (2 * self.sigma**2)

    def follow(self, generator: Generator, latent: Latents, revised: Points) -> Latents:
        """z some Langevin steps further towards p(z | x̃), with mirrors at the prior's walls."""
        prior = generator.prior
        if prior.bits:
            raise InputError(
                f"latent_steps must be 0 where the latent holds bits, which no gradient moves: {prior.bits}"
            )

        def inside(z: Latents) -> Latents:
            return fold(z, prior.walls) if prior.walls else z

        def posterior(z: Latents) -> Energies:
            return self.distances(revised, generator(inside(z))) - prior.log_prob(inside(z))

        chains = Chains(Langevin(), self.latent_steps, self.latent_step_size)
        with torch.no_grad():
            return inside(chains.run(posterior, latent).state.x)
