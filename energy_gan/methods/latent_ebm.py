"""A generator and the law of its latents, by maximum likelihood with chains in the latent space.

By turns, with z⁺ inferred from the data, near p(z | x), and z⁻ from the prior p(z) ∝ exp(−U(z)) N(z; 0, I),

    the prior       descends   E[V(z⁺)] − E[V(z⁻)],    V(z) = U(z) − log N(z; 0, I)               (Eq. 8)
    the inference   descends   what its own network learns from, where it has one
    the generator   descends   −E[log p(x | z⁺)]                                                  (Eq. 9)

Together, the generator and the inference's network both descend its bound, in one pass of the decoder.

Where z⁻ comes from is a part, the same as for energies of x: chains that begin in every step, as published,
or that persist, with weights or without. With a normal prior that nothing teaches, and a memory in which
each image's chain goes on from where it was, this is alternating back-propagation.

Reference: Learning Latent Space Energy-Based Prior Model (Pang et al., 2020), https://arxiv.org/abs/2006.08205;
Alternating Back-Propagation for Generator Network (Han et al., 2017), https://arxiv.org/abs/1606.08571;
together: Latent Space Energy-Based Model of Symbol-Vector Coupling for Text Generation and Classification
(Pang & Wu, 2021), https://arxiv.org/abs/2108.11556, whose text has no chains on the posterior.
"""

from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.inference.base import Inference
from energy_gan.inference.per_image import LatentMemory
from energy_gan.inference.ranking import JointRanking
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.fit_together import check_latents
from energy_gan.methods.phases import Objective, phases
from energy_gan.methods.players import Player, Terms
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.objectives import maximum_likelihood
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Batch, Latents, Points


class LatentEBM(Method):
    """A generator with its prior, and how its latents are inferred.

    Args:
        shape: of one point.
        generator: with output noise, so that p(x | z) is a density; without batch norm, by which chains
            would see each other.
        generator_learns: how G learns.
        inference: x -> z⁺.
        inference_learns: how its network learns, where it has one.
        prior_learns: how U learns, where the generator's prior has one.
        negatives: where z⁻ comes from, for a prior that learns; what it calls data are the z⁺.
        objective: (V(z⁺), negatives) -> named terms; what U descends.
        memory: of each training point's latent, where its chain begins; None: where the inference says.
        together: G learns beside the inference's network, from its bound and not from z⁺.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        generator: Generator,
        generator_learns: Learns,
        inference: Inference,
        inference_learns: Learns | None = None,
        prior_learns: Learns | None = None,
        negatives: NegativeSampler | None = None,
        objective: Objective = maximum_likelihood,
        memory: LatentMemory | None = None,
        together: bool = False,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        self.generator, self.inference, self.memory = generator, inference, memory
        self.negatives, self.objective = negatives, objective
        self.last_inferred: tuple[Points, Latents] | None = None  # for those who watch
        self.last_negatives: Negatives | None = None
        if together and inference_learns is not None:
            raise ValueError(
                "together, the inference learns as generator_learns says: give inference_learns=null"
            )
        check_latents(self, generator_learns if together else inference_learns, prior_learns)
        sides = [("prior", generator.prior, self.prior_terms, prior_learns)]
        if together:
            both = nn.ModuleList([generator.network, inference])
            sides += [("autoencoder", both, self.inference_terms, generator_learns)]
        else:
            sides += [
                ("inference", inference, self.inference_terms, inference_learns),
                ("generator", generator.network, self.generator_terms, generator_learns),
            ]
        self.players = [Player(*side) for side in sides if side[-1] is not None]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        latent = self.infer(batch)
        for player in self.players:
            for _ in player.moves(self.step):
                self.descend(player, player.terms(batch, latent))
        self.last_inferred = batch.x, latent
        self.end_step()

    @torch.no_grad()
    def infer(self, batch: Batch) -> Latents:
        """z⁺, from where it was where there is a memory of it."""
        if self.memory is None or batch.index is None:
            return self.inference(self.generator, batch.x).latent
        latent = self.inference(self.generator, batch.x, self.memory.recall(batch.index)).latent
        self.memory.remember(batch.index, latent)
        return latent

    def prior_terms(self, batch: Batch, latent: Latents) -> Terms:
        """Positive and negative phase, of latents (Eq. 8)."""
        potential = self.generator.prior.potential
        found = phases(potential, latent, self.negatives(potential, None, latent), self.objective, None)
        self.report({f"prior_{name}": value for name, value in found.means.items()})
        self.last_negatives = found.negatives
        return {f"prior_{name}": value for name, value in found.terms.items()}

    def inference_terms(self, batch: Batch, latent: Latents) -> Terms:
        """What the part says that its network learns."""
        return self.inference.learning_terms(self.generator, batch.x, latent)

    def generator_terms(self, batch: Batch, latent: Latents) -> Terms:
        """−log p(x | z⁺) (Eq. 9)."""
        return {"reconstruction": -self.generator.log_likelihood(batch.x, latent).mean()}

    @property
    def learned(self) -> Learned:
        ranking = JointRanking(self.generator, self.inference)
        return Learned(generator=self.generator, inference=self.inference, ranking=ranking)

    @torch.no_grad()
    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        """Of the last step's latents, both kinds, and of both kinds of chains."""
        signs: dict[str, float] = {}
        if self.last_inferred is not None:
            x, latent = (part[:n] for part in self.last_inferred)
            signs["energy_posterior latent"] = -float(self.generator.log_joint(x, latent).mean())
            found = self.inference.chains(self.generator, x, latent, rng)
            signs |= {f"posterior {name}": value for name, value in found.items()}
        if self.last_negatives is not None:
            found = self.negatives.vital_signs(self.generator.prior.potential, self.last_negatives, n, rng)
            signs["energy_prior latent"] = found.pop("energy_negative")
            signs |= {f"prior {name}": value for name, value in found.items()}
        return signs
