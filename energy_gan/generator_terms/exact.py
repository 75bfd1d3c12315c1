"""Entropy and likelihood of a generator whose density is known exactly, a flow's."""

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generator_terms.energy_likelihood import resample
from energy_gan.generators.base import Draw, Generator
from energy_gan.shapes import Negatives, Scalar


class ExactEntropy(GeneratorTerm):
    """−1/B Σᵢ log q(xᵢ), xᵢ ~ q."""

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        return -generator.log_prob(draw.samples).mean()


class ExactLikelihood(GeneratorTerm):
    """1/B Σᵢ log q(yᵢ), yᵢ ~ P_energy."""

    needs_negatives = True

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives) -> Scalar:
        return generator.log_prob(resample(negatives, len(draw.latent))).mean()
