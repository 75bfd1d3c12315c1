"""A lower bound on the generator's entropy from its recognition network, in any dimension."""

from energy_gan.errors import InputError
from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.output_noise import noise_log_prob
from energy_gan.shapes import Negatives, Scalar


class VariationalEntropy(GeneratorTerm):
    """H(P_generator) ≥ E[log r(z | x) − log p(z) − log p(x | z)], z ~ p(z), x ~ p(x | z).

    The gap is E KL(p(z | x) ‖ r(z | x)); raising the bound also trains r, which so learns from the
    generator's own samples.

    Reference: Hierarchical Variational Models (Ranganath et al., 2016),
    https://arxiv.org/abs/1511.02386, equation 7.
    """

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        require_recognition(generator)
        log_joint = generator.prior.log_prob(draw.latent) + noise_log_prob(
            draw.samples, draw.clean, draw.scale
        )
        return draw.mean(generator.recognition.log_prob(draw.latent, draw.samples) - log_joint)


def require_recognition(generator: Generator) -> None:
    """InputError where a term needs what the generator lacks."""
    if generator.recognition is None or generator.noise is None:
        raise InputError(
            "this term needs a generator with output noise and a recognition network: give "
            "method.generator.noise and method.generator.recognition, as in METHOD=aligned_chains"
        )
    prior, known = generator.prior, generator.recognition.codec
    if (prior.bits, prior.latent_dim) != (known.bits, known.latent_dim):
        raise InputError(
            f"the recognition network knows latents of {known.bits} bits and {known.uniforms} uniforms, "
            "which the generator's prior does not draw: give both the same"
        )
