"""The contract of a generator: x = G(z), z ~ p(z). Ancestral sampling in one pass (section 3.2).

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from energy_gan.errors import InputError
from energy_gan.generators.output_noise import FixedNoise, OutputNoise, Scale, add_noise, noise_log_prob
from energy_gan.generators.priors import NormalPrior, Prior
from energy_gan.nn import eagerly, widened
from energy_gan.randomness import normal_rows, random_generator
from energy_gan.shapes import Energies, Latents, Points, Scalar


class Draw(NamedTuple):
    """One batch of the generator, shared by whoever needs it.

    `samples` are `clean` = G(z) with the output noise of scale `scale` added; where samples have no noise
    they are the same and `scale` is None. `log_shares` is log p(z) as far as the prior learns it. Since the
    latents were drawn from that very prior, each counts as much as any other; only the gradient of a
    mean over the batch has a part that goes through their shares, see `weights`.
    """

    latent: Latents
    clean: Points
    samples: Points
    scale: Scale | None = None
    log_shares: Energies | None = None
    log_prob: Callable[[Points], Energies] | None = None  # the generator's, where it is known exactly

    @property
    def log_weights(self) -> Energies:
        """log wᵢ, all equal to −log B, but differentiable in the prior's shares."""
        if self.log_shares is None:
            return self.clean.new_full((len(self.latent),), -math.log(len(self.latent)))
        return (self.log_shares - self.log_shares.detach()).log_softmax(0)

    def detached(self) -> "Draw":
        """The same numbers without the graph that made them."""
        held = {name: value for name, value in self._asdict().items() if isinstance(value, Tensor)}
        return self._replace(**{name: value.detach() for name, value in held.items()})

    def mean(self, values: Energies) -> Scalar:
        """The mean of a value for each sample: Σ wᵢ vᵢ, with the score-function gradient of the shares."""
        return self.log_weights.exp() @ values


class Pushed(NamedTuple):
    """Samples of a generator whose density is known, with that density."""

    samples: Points
    log_prob: Energies


class Generator(nn.Module):
    """x = G(z), or x = G(z) + L(z) ε, with the prior over z.

    Any module from (B, latent_dim) to (B, *shape) will do for G; with a noise that wants `size` numbers
    from it, it returns (B, D + size) instead.

    In evaluation a sample does not depend on who else is in the batch: batch norm then uses the
    statistics that `calibrate` measured.

    A recognition network r(z | x), if there is one, is trained by the terms that use it.
    """

    @classmethod
    def of(cls, module: nn.Module) -> "Generator":
        """A module as a generator: N(0, I) over as many latents as its first linear layer takes, and a noise
        that gives its samples a density. A generator as it is.

        Raises:
            InputError: it has no linear layer that says how many.
        """
        if isinstance(module, Generator):
            return module
        linear = next((part for part in module.modules() if isinstance(part, nn.Linear)), None)
        if linear is None:
            raise InputError(
                "no linear layer says how many latents the generator takes: give "
                "Generator(network, NormalPrior(K))"
            )
        return cls(module, NormalPrior(linear.in_features), FixedNoise())

    knows_density = False  # whether `log_prob` is log q(x), exactly
    is_energy_s = False  # whether its law is the energy's own, which chains then leave as it is
    levels: Sequence[Any] = ()  # of a generator that goes from coarse to fine, its grids

    def __init__(
        self,
        network: nn.Module,
        prior: Prior,
        noise: OutputNoise | None = None,
        recognition: nn.Module | None = None,
    ):
        super().__init__()
        self.network, self.prior, self.noise, self.recognition = network, prior, noise, recognition

    def moments(self, latent: Latents) -> tuple[Points, Scale | None]:
        """The mean G(z) of p(x | z) and the scale of its noise, None if there is no noise."""
        output = widened(self.network(latent))
        return self.noise(output) if self.noise else (output, None)

    def forward(self, latent: Latents) -> Points:
        """G(z), without the output noise."""
        return self.moments(latent)[0]

    def draw(self, latent: Latents, rng: torch.Generator | None = None) -> Draw:
        """Samples for these latents together with what they were made from; `rng` draws the noise."""
        clean, scale = self.moments(latent)
        samples = clean
        if scale is not None and not self.noise.in_samples:
            scale = None
        if scale is not None:
            noise = None if rng else normal_rows(clean.flatten(1))
            samples = add_noise(clean, scale, rng, noise)
        return Draw(latent, clean, samples, scale, self.prior.log_share(latent), self.log_prob)

    def as_points(self, latent: Latents) -> Points | None:
        """The latents as points, where they are such: a walk's start. None elsewhere."""
        return None

    @property
    def has_density(self) -> bool:
        """Whether its density is known: exactly, or over the latents of a batch, by its output noise."""
        return self.knows_density or (self.noise is not None and self.noise.in_samples)

    def log_likelihood(self, x: Points, latent: Latents) -> Energies:
        """log p(x | z), row by row.

        Raises:
            InputError: there is no output noise, so that p(x | z) is no density.
        """
        clean, scale = self.moments(latent)
        if scale is None:
            raise InputError(
                "log p(x | z) needs a generator with output noise: give method.generator.noise, as METHOD=vae"
            )
        return noise_log_prob(x, clean, scale)

    def log_joint(self, x: Points, latent: Latents) -> Energies:
        """log p(x, z), as far as the prior's normaliser is known."""
        return self.log_likelihood(x, latent) + self.prior.log_prob(latent)

    def log_prob(self, x: Points) -> Energies:
        """log q(x), for a generator that knows it.

        Raises:
            InputError: this one does not.
        """
        raise InputError(
            "this part needs a generator whose density is known exactly: give a FlowGenerator, as METHOD=fce"
        )

    def pushed(self, latent: Latents) -> Pushed:
        """G(z) with log q(G(z)), differentiable in the weights through both.

        Raises:
            InputError: the density is not known.
        """
        samples = self(latent)
        return Pushed(samples, self.log_prob(samples))

    @torch.no_grad()
    def calibrate(self, n: int = 16_384, batch_size: int = 1_024, seed: int = 0) -> None:
        """Measure the batch-norm statistics anew, over n latents, for use in evaluation.

        A running average lags behind the weights; this one belongs to them. Training, which uses
        each batch's own statistics, does not notice.
        """
        norms = [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if not norms:
            return
        was_training, device = self.training, next(self.parameters()).device
        self.eval()
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over all batches
        rng = random_generator(seed)
        with eagerly(self):
            for _ in range(max(1, n // batch_size)):
                self(self.prior.sample(batch_size, rng).to(device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.train(was_training)
