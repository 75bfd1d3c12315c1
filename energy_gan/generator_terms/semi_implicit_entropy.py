"""A lower bound on the entropy of a generator with output noise."""

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.mixture import log_mixture
from energy_gan.shapes import Negatives, Scalar


class SemiImplicitEntropy(GeneratorTerm):
    """−1/B Σᵢ log q̂(xᵢ), with the batch that the xᵢ were drawn with as the mixture q̂.

    Given its latents, a batch is drawn from q̂, once from each component; so this has the mean
    E_Z[H(q̂)], and H(q̂) is concave in q̂, whose mean is P_generator: E_Z[H(q̂)] ≤ H(P_generator). The gap
    falls as the batch grows. Each sample's own component is in the sum, which bounds the force on it.

    Reference: Semi-Implicit Variational Inference (Yin & Zhou, 2018), https://arxiv.org/abs/1805.11183.
    """

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        return -draw.mean(log_mixture(draw.samples, draw))
