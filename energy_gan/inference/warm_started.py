"""Chains that begin where a network says, and teach it: an encoder's guess, refined.

Reference: Learning Energy-Based Prior Model with Diffusion-Amortized MCMC (Yu et al., 2023),
https://arxiv.org/abs/2310.03218, for a sampler that learns from the chains that it starts; Cooperative
Training of Descriptor and Generator Networks (Xie et al., 2018), https://arxiv.org/abs/1609.09408.
"""

from collections.abc import Mapping

import torch

from energy_gan.generators.base import Generator
from energy_gan.inference.amortised import AmortisedInference
from energy_gan.inference.base import Inference, Inferred, OfLatent
from energy_gan.inference.short_run import ShortRunInference
from energy_gan.shapes import Latents, Points, Scalar


class WarmStarted(Inference):
    """z_K of chains that begin at r(z | x); in evaluation at its mean.

    Args:
        amortised: r(z | x).
        short_run: the chains; None: the network alone.
        taught: the network learns from where its chains end, −log r(z_K | x), which asks no generator;
            otherwise by its own bound.
    """

    def __init__(
        self, amortised: AmortisedInference, short_run: ShortRunInference | None, taught: bool = True
    ):
        super().__init__()
        if taught and short_run is None:
            raise ValueError("taught must be false where there are no chains that could teach")
        self.amortised, self.short_run, self.taught = amortised, short_run, taught

    @torch.no_grad()
    def forward(self, generator: Generator, x: Points, start: Latents | None = None) -> Inferred:
        if start is None:
            start = self.amortised(generator, x).latent
        return self.short_run(generator, x, start) if self.short_run else Inferred(start)

    def proposal(self, x: Points) -> tuple[Latents, Latents]:
        return self.amortised.law(x)

    def learning_terms(
        self, generator: Generator, x: Points, latent: Latents, besides: OfLatent | None = None
    ) -> Mapping[str, Scalar]:
        if self.taught:
            terms = {"inference_taught": -self.amortised.log_prob(latent, x).mean()}
            return terms if besides is None else {**terms, **besides(self.amortised.law(x)[0])}
        return self.amortised.learning_terms(generator, x, latent, besides)

    def chains(
        self, generator: Generator, x: Points, latent: Latents, rng: torch.Generator
    ) -> dict[str, float]:
        return self.short_run.chains(generator, x, latent, rng) if self.short_run else {}
