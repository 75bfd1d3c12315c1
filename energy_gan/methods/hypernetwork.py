"""A generator of networks: Eq. 13 of the house's first paper with another energy, one of weights.

    E(w) = weight · E[−log p(y⁺ | x⁺, w)]                     the loss of the network that has the weights w
    the generator   descends   E_z[E(G(z))] − entropy.weight · H(G(z))

So P(w) ∝ exp(−E(w)) is what it is to sample; with the number of points as the weight that is the posterior
under a flat prior. H is that of weights whose gauge is fixed, or networks that are one function would count
as many; with the latent's dimension, that of the sheet on which G(z) lies. Without H all z give one network.

Each network of a step has points of its own.

Reference: A Generative Model for Sampling High-Performance and Diverse Weights for Neural Networks
(Deutsch, Nijkamp, Yang, 2019), https://arxiv.org/abs/1905.02898.
"""

from collections.abc import Sequence
from functools import partial

from energy_gan.errors import InputError
from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.ensemble import Ensemble
from energy_gan.generators.weights import WeightGenerator
from energy_gan.inference.disagreement import Disagreement
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.fit_together import check_labels, check_networks
from energy_gan.methods.players import Player, Terms
from energy_gan.objectives import cross_entropies
from energy_gan.optim.learns import Learns
from energy_gan.randomness import processes, rows
from energy_gan.shapes import Batch


class Hypernetwork(Method):
    """A generator of weights, and the networks that it makes.

    Args:
        shape: of one point.
        generator: z -> the weights of a network.
        generator_learns: how it learns.
        entropy: of the weights.
        n_networks: in a step, of all processes together, at least 2. Each gets its share of the batch.
        loss_weight: of the mean loss of a point, positive: how many points it counts as.
        ensemble: networks in what is offered as classes, at least 2.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        generator: WeightGenerator,
        generator_learns: Learns,
        entropy: GeneratorTerm,
        n_networks: int = 16,
        loss_weight: float = 1000.0,
        ensemble: int = 200,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        self.ensemble, self.entropy = Ensemble(generator, ensemble, seed), entropy
        self.n_networks, self.loss_weight = n_networks, loss_weight
        check_networks(self)
        self.players = [Player("generator", generator, self.generator_terms, generator_learns)]

    @property
    def generator(self) -> WeightGenerator:
        return self.ensemble.generator

    def on_fit_start(self) -> None:
        data = self.trainer.datamodule
        check_labels(self, "METHOD=hypernetwork", self.ensemble, data)
        if data.batch_size < self.n_networks:
            raise InputError(
                f"data.batch_size must be at least method.n_networks={self.n_networks}, a point for each "
                f"network, got {data.batch_size}"
            )
        super().on_fit_start()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        (player,) = self.players
        for _ in player.moves(self.step):
            self.descend(player, player.terms(batch))
        self.end_step()

    def generator_terms(self, batch: Batch) -> Terms:
        """KL(P_generator ‖ P) but for log Z (Eq. 13)."""
        n = self.n_networks // processes()
        latents = partial(self.generator.prior.sample, device=batch.x.device)
        draw = self.generator.draw(rows(n, latents))
        each = len(batch.x) // n * n
        x, labels = (part[:each].unflatten(0, (n, -1)) for part in (batch.x, batch.labels))
        loss = draw.mean(cross_entropies(self.generator.architecture(draw.samples, x), labels))
        entropy = self.entropy(self.generator, draw, None)
        self.report({"cross_entropy": loss, "entropy": entropy})
        return {"energy_generated": self.loss_weight * loss, "entropy_loss": -self.entropy.weight * entropy}

    @property
    def learned(self) -> Learned:
        return Learned(networks=self.ensemble, classes=self.ensemble, ranking=Disagreement(self.ensemble))
