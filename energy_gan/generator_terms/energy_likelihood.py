"""The generator's likelihood of samples of the energy: the forward divergence, which loses no mode."""

import torch

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.mixture import log_mixture
from energy_gan.numerics.weights import systematic
from energy_gan.shapes import Negatives, Points, Scalar


class EnergyLikelihood(GeneratorTerm):
    """1/B Σᵢ log q̂(yᵢ), yᵢ ~ P_energy: −KL(P_energy ‖ P_generator) but for a constant, bounded from below.

    The y are the energy's negatives, drawn again in proportion to their weights exp(w − E); negatives
    that count equally, like those of chains, are taken as they are.

    Reference: Reweighted Wake-Sleep (Bornschein & Bengio, 2015), https://arxiv.org/abs/1406.2751,
    for a sampler that is taught by weighted samples of its target.
    """

    needs_negatives = True

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives) -> Scalar:
        return log_mixture(resample(negatives, len(draw.latent)), draw).mean()


@torch.no_grad()
def resample(negatives: Negatives, n: int) -> Points:
    """n of the negatives, each in proportion to its weight."""
    if negatives.log_weights is None:
        return negatives.samples
    shares = (negatives.log_weights - negatives.energies).softmax(0)
    return negatives.samples[systematic(shares, n)]
