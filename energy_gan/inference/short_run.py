"""Chains that infer: K moves of a kernel on the posterior, from noise or from where they are told to begin.

    U(z) = −log p(x | z) − log p(z),   z_K ~ r(z | x)

Few moves of Langevin from N(0, I) are a law of their own and not the posterior: on a linear generator they
end too wide and short of the mean. MALA and a warm start come nearer at the same cost.

Reference: Learning Multi-layer Latent Variable Model via Variational Optimization of Short Run MCMC for
Approximate Inference (Nijkamp et al., 2019), https://arxiv.org/abs/1912.01909, section 3.
"""

from dataclasses import replace

import torch

from energy_gan.generators.base import Generator
from energy_gan.inference.base import Inference, Inferred
from energy_gan.nn import PerProcess
from energy_gan.randomness import normal_rows
from energy_gan.samplers.base import Energy
from energy_gan.samplers.chains import Chains
from energy_gan.shapes import Latents, Points


def posterior_energy(generator: Generator, x: Points) -> Energy:
    """z ↦ −log p(x, z), for any kernel: a chain for each row of x."""
    return lambda latent: -generator.log_joint(x, latent)


class ShortRunInference(Inference, PerProcess):
    """z_K of chains that begin at N(0, I), or where they are told to.

    Args:
        chains: kernel, moves and step size. With a target the step size that training has found is used and
            kept; in evaluation it stays.
    """

    def __init__(self, chains: Chains):
        super().__init__()
        self.moves = chains
        self.register_buffer("step_size", torch.tensor(float(chains.step_size)))

    @torch.no_grad()
    def forward(self, generator: Generator, x: Points, start: Latents | None = None) -> Inferred:
        if start is None:
            start = normal_rows(x.new_empty(len(x), generator.prior.latent_dim))
        target = self.moves.target if self.training else None
        chains = replace(self.moves, step_size=float(self.step_size), target=target)
        walk = chains.run(posterior_energy(generator, x), start)
        if target is not None:
            self.step_size.fill_(walk.step_size)
        return Inferred(walk.state.x)

    def chains(
        self, generator: Generator, x: Points, latent: Latents, rng: torch.Generator
    ) -> dict[str, float]:
        step_size = float(self.step_size)
        tried = Chains(self.moves.kernel, 1, step_size).run(posterior_energy(generator, x), latent, rng)
        return {"chains_acceptance": float(tried.acceptance.mean()), "chains_step_size": step_size}
