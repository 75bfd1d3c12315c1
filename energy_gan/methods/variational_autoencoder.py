"""A generator and an encoder by the variational bound: the yardstick of models with latents.

    both   descend   −E_r[log p(x | z)] + KL(r(z | x) ‖ N(0, I)),   z ~ r(z | x) = N(μ(x), diag σ²(x))

Reference: Auto-Encoding Variational Bayes (Kingma & Welling, 2013),
https://arxiv.org/abs/1312.6114, equation 10.
"""

from collections.abc import Sequence

from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.inference.amortised import AmortisedInference
from energy_gan.inference.ranking import JointRanking
from energy_gan.inference.short_run import ShortRunInference
from energy_gan.inference.warm_started import WarmStarted
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.fit_together import check_inference
from energy_gan.methods.players import Player
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Batch


class VariationalAutoencoder(Method):
    """A generator with a normal prior, and its encoder, which move together.

    Args:
        shape: of one point.
        generator: with output noise, so that p(x | z) is a density, and the prior N(0, I).
        encoder: r(z | x).
        learns: how both learn.
        refinement: chains from the encoder's mean, in what is offered as inference; training has none.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        generator: Generator,
        encoder: AmortisedInference,
        learns: Learns,
        refinement: ShortRunInference | None = None,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        self.generator, self.bound = generator, encoder.bound
        self.inference = WarmStarted(encoder, refinement) if refinement else encoder
        check_inference(generator, self.inference, self.shape)
        both = nn.ModuleList([generator.network, encoder])
        self.players = [Player("autoencoder", both, self.bound, learns)]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        (player,) = self.players
        for _ in player.moves(self.step):
            self.descend(player, player.terms(self.generator, batch.x))
        self.end_step()

    @property
    def learned(self) -> Learned:
        ranking = JointRanking(self.generator, self.inference)
        return Learned(generator=self.generator, inference=self.inference, ranking=ranking)
