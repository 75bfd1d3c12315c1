"""A critic of the generator's samples: a second energy, kept for the game that a density cannot play.

An energy that is a density is flat where the generator is bad, and its gradient says nothing about samples
far from the data. A critic C says where the generator differs from the data, and knows nothing else:

    C           descends   E[C(x)] − E[C(G(z))] + weight · E‖∇C(x)‖²
    generator   descends   E[C(G(z))]

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation (Kim & Bengio, 2016),
https://arxiv.org/abs/1606.03439, equations 12 and 13; Which Training Methods for GANs do actually Converge?
(Mescheder et al., 2018), https://arxiv.org/abs/1801.04406, for the penalty.
"""

from collections.abc import Mapping

import torch
from torch import nn

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.objectives import maximum_likelihood, zero_centred_penalty
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Negatives, Points, Scalar


class Critic(GeneratorTerm):
    """−E[C(G(z))], of samples without output noise.

    Args:
        critic: C, any module from (B, *shape) to (B,).
        learns, weight: as in `GeneratorTerm`.
        penalty_weight: of the critic's squared gradient at the data, not negative.
    """

    def __init__(
        self,
        critic: nn.Module,
        learns: Learns | None = None,
        weight: float = 1.0,
        penalty_weight: float = 0.1,
    ):
        super().__init__(weight, learns)
        if not 0 <= penalty_weight < float("inf"):
            raise ValueError(f"penalty_weight must be a number of at least 0, got {penalty_weight}")
        self.critic, self.penalty_weight = critic, penalty_weight

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        return -draw.mean(self.critic(draw.clean))

    def learning_terms(self, draw: Draw, x: Points) -> Mapping[str, Scalar]:
        x = x.detach().requires_grad_(self.penalty_weight > 0)
        real, fake = self.critic(torch.cat([x, draw.clean])).tensor_split([len(x)])
        terms = {
            f"critic_{name}": term
            for name, term in maximum_likelihood(real, Negatives(draw.clean, energies=fake)).items()
        }
        if self.penalty_weight > 0:
            terms["critic_penalty"] = zero_centred_penalty(x, real, self.penalty_weight)
        return terms
