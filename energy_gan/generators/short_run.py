"""A short walk down an energy as the generator: where it starts is its latent."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.output_noise import Scale
from energy_gan.generators.priors import Prior
from energy_gan.samplers.base import gradient
from energy_gan.samplers.chains import Chains
from energy_gan.shapes import Latents, Points


class ShortRun(Generator):
    """x = M_K(z), K steps of Langevin dynamics from x₀ = scale · z, z ~ p(z):

        xₖ₊₁ = xₖ − ε ∇E(xₖ) + √(2ε) ξₖ,   ξₖ ~ N(0, I)

    The law of x is a model of the data in its own right, whatever exp(−E) is: training matches
    E_data[∂E/∂θ] with E[∂E/∂θ] over M_K(z). `draw` takes these steps; G(z) is the walk without its noise, a
    map that is differentiable in z.

    Its network is the energy, which learns as such and by itself: nothing here has weights of its own.

    Reference: Learning Non-Convergent Non-Persistent Short-Run MCMC Toward Energy-Based Model
    (Nijkamp et al., 2019), https://arxiv.org/abs/1904.09770.

    Args:
        shape: of one point.
        energy: E.
        chains: K steps of one size, of a kernel that accepts all.
        prior: p(z), over as many numbers as a point has.
        scale: of the start, positive.
    """

    def __init__(
        self, shape: Sequence[int], energy: nn.Module, chains: Chains, prior: Prior, scale: float = 1.0
    ):
        if prior.latent_dim != math.prod(shape):
            raise ValueError(
                f"the prior must have as many numbers as a point, {math.prod(shape)}, got {prior.latent_dim}"
            )
        if not chains.kernel.accepts_all or chains.target is not None:
            raise ValueError("a short run takes steps of one size, by a kernel that accepts all: Langevin")
        super().__init__(energy, prior)
        self.shape, self.chains, self.scale = tuple(shape), chains, scale
        self.training = energy.training

    def as_points(self, latent: Latents) -> Points:
        """x₀, where the walk begins."""
        return self.scale * latent.unflatten(1, self.shape)

    def moments(self, latent: Latents) -> tuple[Points, Scale | None]:
        """M_K(z) without the walk's noise."""
        x = self.as_points(latent)
        for _ in range(self.chains.n_steps):
            x = self.chains.kernel.drift(x, gradient(self.network, x), self.chains.step_size)
        return x, None

    def draw(self, latent: Latents, rng: torch.Generator | None = None) -> Draw:
        """M_K(z) with the walk's noise, of which there is no other than the samples themselves."""
        samples = self.chains.run(self.network, self.as_points(latent), rng).state.x
        return Draw(latent, samples, samples)

    def calibrate(self, n: int = 16_384, batch_size: int = 1_024, seed: int = 0) -> None:
        """Nothing: what the energy holds is for the energy to measure."""
