"""The generator's entropy from how much a sample tells of its latent: lower bounds of I(z; x), x = G(z).

    H(x) = I(z; x) + H(x | z),   I(z; x) = KL(p(x, z) ‖ p(x) p(z)).

Without output noise the last term is a constant (an infinite one) that G's weights do not move, so that
raising I raises H. A network T(x, z) tells pairs of the joint law from pairs that do not belong together.
Each of these is at most I whatever T is, and is best at the log density ratio T = log p(x, z) / p(x) p(z):

    Jensen–Shannon     E_joint[log σ(T)] + E_product[log σ(−T)] + log 4
    Donsker–Varadhan   E_joint[T] − log E_product[exp T]                      (or with a constant added to T)
    InfoNCE            E[1/N Σᵢ T(xᵢ, zᵢ) − log 1/N Σⱼ exp T(xᵢ, zⱼ)]         (or with any function of x)

The first is then 2 JSD(joint ‖ product), between 0 and log 4. That is below I, by 2 KL(m ‖ product) where
m is the half-and-half mixture of the two laws; it varies least. The second is then I itself, but its estimate
from few pairs comes out too high. The third never exceeds log N.

Reference: Maximum Entropy Generators for Energy-Based Models (Kumar et al., 2019),
https://arxiv.org/abs/1901.08508, equations 5 and 6; Learning deep representations by mutual information
estimation and maximization (Hjelm et al., 2018), https://arxiv.org/abs/1808.06670, equation 4; MINE: Mutual
Information Neural Estimation (Belghazi et al., 2018), https://arxiv.org/abs/1801.04062, equation 5;
Representation Learning with Contrastive Predictive Coding (van den Oord et al., 2018),
https://arxiv.org/abs/1807.03748, equation 4.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from energy_gan.energies.pairs import Features, Statistics
from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.output_noise import noise_log_prob
from energy_gan.generators.priors import Prior
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Latents, Negatives, Points, Scalar

ESTIMATORS = ("jensen_shannon", "donsker_varadhan", "info_nce")
NEGATIVES = ("shifted", "permuted", "independent", "all_pairs")


class MutualInformationEntropy(GeneratorTerm):
    """A lower bound of I(z; x), plus H(x | z) where the generator has output noise: then one of H(x).

    T moves in its own turns, towards a higher bound on samples that stay as they are; the generator's
    move raises the bound of a T that stays as it is. The authors move both at once.

    Args:
        statistics: T.
        estimator: the bound, see the top of this file.
        negatives: the pairs of the product of the laws. Each sample with the latent of another one, some
            places further on ("shifted"); with that of a random row, now and then its own ("permuted",
            the authors' code); with a fresh latent ("independent"); with those of all others
            ("all_pairs", which InfoNCE needs: N² values of T).
        published_halves: take half of the Jensen–Shannon bound, as the authors' code does by averaging
            over the pairs of both kinds.
        prior: to draw independent latents from, of the generator's kind and without weights.
        learns, weight: as in `GeneratorTerm`; it is T that learns.
    """

    def __init__(
        self,
        statistics: Statistics,
        estimator: Literal["jensen_shannon", "donsker_varadhan", "info_nce"] = "jensen_shannon",
        negatives: Literal["shifted", "permuted", "independent", "all_pairs"] = "shifted",
        published_halves: bool = False,
        prior: Prior | None = None,
        learns: Learns | None = None,
        weight: float = 1.0,
    ):
        super().__init__(weight, learns)
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {estimator!r}")
        if negatives not in NEGATIVES:
            raise ValueError(f"negatives must be one of {', '.join(NEGATIVES)}, got {negatives!r}")
        if estimator == "info_nce" and negatives != "all_pairs":
            raise ValueError(f"negatives must be 'all_pairs' where info_nce is estimated, got {negatives!r}")
        if published_halves and estimator != "jensen_shannon":
            raise ValueError(f"published_halves goes with jensen_shannon only, got {estimator!r}")
        if (negatives == "independent") != (prior is not None):
            raise ValueError(
                "prior must be given with independent negatives, and only with them: "
                f"got negatives={negatives!r} and {type(prior).__name__ if prior else 'no prior'}"
            )
        if prior is not None and any(True for _ in prior.parameters()):
            raise ValueError(
                "prior must have no weights, for this one would not follow the generator's: got "
                f"{type(prior).__name__} with weights; give negatives='shifted'"
            )
        self.statistics, self.prior = statistics, prior
        self.estimator, self.negatives, self.published_halves = estimator, negatives, published_halves

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        information = self.information(draw)
        if draw.scale is None:
            return information
        return information - draw.mean(noise_log_prob(draw.samples, draw.clean, draw.scale))  # + H(x | z)

    def learning_terms(self, draw: Draw, x: Points) -> Mapping[str, Scalar]:
        return {"statistics": -self.information(draw)}

    def information(self, draw: Draw) -> Scalar:
        """The bound of I(z; x) for the present T, in nats."""
        features = self.statistics.encode(draw.samples)
        if self.estimator == "info_nce":
            matrix = self._all_pairs(features, draw.latent)
            return draw.mean(matrix.diagonal() - (matrix + draw.log_weights).logsumexp(1))
        joint = self.statistics.head(features, draw.latent)
        product, log_weights = self._product(features, draw)
        if self.estimator == "donsker_varadhan":
            return draw.mean(joint) - (product + log_weights).logsumexp(0)
        bound = draw.mean(F.logsigmoid(joint)) + log_weights.exp() @ F.logsigmoid(-product) + math.log(4)
        return bound / 2 if self.published_halves else bound

    def _product(self, features: Features, draw: Draw) -> tuple[Float[Tensor, "M"], Float[Tensor, "M"]]:
        """T of the pairs that do not belong together, and the logarithms of their weights, which sum to 1.

        The weights are equal; as in `Draw`, their gradient is that of the shares that a prior learns.
        """
        n, shares = len(draw.latent), draw.log_weights
        if self.negatives == "independent":
            latent = self.prior.sample(n, device=draw.latent.device)
            return self.statistics.head(features, latent), shares
        if self.negatives == "all_pairs":
            others = ~torch.eye(n, dtype=torch.bool, device=draw.latent.device)
            pairs = self._all_pairs(features, draw.latent)[others]
            return pairs, (shares[:, None] + shares)[others].log_softmax(0)
        rows = torch.arange(n, device=draw.latent.device)
        if self.negatives == "shifted":
            rows = rows.roll(int(torch.randint(1, n, ())))
        else:
            rows = torch.randperm(n, device=draw.latent.device)
        return self.statistics.head(features, draw.latent[rows]), (shares + shares[rows]).log_softmax(0)

    def _all_pairs(self, features: Features, latent: Latents) -> Float[Tensor, "B B"]:
        """T(xᵢ, zⱼ)."""
        n = len(latent)
        return self.statistics.head(features.repeat_interleave(n, 0), latent.repeat(n, 1)).view(n, n)
