"""The generator's likelihood of samples of the energy, by its recognition network, in any dimension."""

import math

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generator_terms.energy_likelihood import resample
from energy_gan.generator_terms.variational_entropy import require_recognition
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.output_noise import noise_log_prob
from energy_gan.shapes import Negatives, Scalar


class RecognisedLikelihood(GeneratorTerm):
    """1/B Σᵢ log 1/K Σₖ p(yᵢ, zᵢₖ) / r(zᵢₖ | yᵢ), yᵢ ~ P_energy, zᵢₖ ~ r(z | yᵢ): below log q(yᵢ).

    Only p is trained by it, r by the entropy's bound.

    Reference: Reweighted Wake-Sleep (Bornschein & Bengio, 2015), https://arxiv.org/abs/1406.2751,
    the wake phase of equation 9.

    Args:
        guesses: K, at least 1.
        weight: as in `GeneratorTerm`.
    """

    needs_negatives = True

    def __init__(self, guesses: int = 4, weight: float = 1.0):
        super().__init__(weight)
        if guesses < 1:
            raise ValueError(f"guesses must be at least 1, got {guesses}")
        self.guesses = guesses

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives) -> Scalar:
        require_recognition(generator)
        y = resample(negatives, len(draw.latent))
        y = y.repeat(self.guesses, *[1] * (y.ndim - 1))
        latent = generator.recognition.sample(y)
        log_guess = generator.recognition.log_prob(latent, y).detach()
        log_joint = generator.prior.log_prob(latent) + noise_log_prob(y, *generator.moments(latent))
        return (log_joint - log_guess).view(self.guesses, -1).logsumexp(0).mean() - math.log(self.guesses)
