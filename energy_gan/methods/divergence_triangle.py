"""The divergence triangle: an energy of pairs, an encoder and a generator teach each other, without chains.

Three laws of pairs: the data's with the encoder, Q = p_data(x) r(z | x); the generator's, P = N(z; 0, I)
p(x | z); the energy's, Π ∝ exp(−E(x, z)). Generator and encoder descend, the energy ascends

    λ KL(Q ‖ P) + KL(P ‖ Π) − KL(Q ‖ Π),

so that by turns, with z_r ~ r(z | x) and z ~ N(0, I),

    the energy      descends   E[E(x, z_r)] − E[E(G(z), z)]
    the encoder     descends   λ (−E[log p(x | z_r)] + KL(r ‖ N(0, I))) − E[E(x, z_r)] + H(r),  r = r(z | x)
    the generator   descends   −λ E[log p(x | z_r)] + E[E(G(z), z)]

The encoder's entropy H is in the second line twice, with opposite signs: at λ = 1, as published, nothing
holds its variance up. The mean of that is logged.

Reference: Joint Training of Variational Auto-Encoder and Latent Energy-Based Model (Han et al., 2020),
https://arxiv.org/abs/2006.06059, section 3.
"""

from collections.abc import Sequence

import torch

from energy_gan.energies.pairs import PairEnergy
from energy_gan.generators.base import Generator
from energy_gan.inference.amortised import AmortisedInference, entropy, kl_to_normal
from energy_gan.inference.ranking import PairRanking
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.fit_together import check_inference
from energy_gan.methods.players import Player, Terms
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Batch, Latents, Points, Scalar


class DivergenceTriangle(Method):
    """An energy of pairs, an encoder and a generator.

    Args:
        shape: of one point.
        energy: E(x, z).
        energy_learns: how E learns.
        generator: with output noise, so that p(x | z) is a density, and the prior N(0, I).
        generator_learns: how G learns.
        encoder: r(z | x).
        encoder_learns: how it learns.
        bound_weight: λ, positive; 1 in the paper. Above 1 the encoder's entropy counts.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        energy: PairEnergy,
        energy_learns: Learns,
        generator: Generator,
        generator_learns: Learns,
        encoder: AmortisedInference,
        encoder_learns: Learns,
        bound_weight: float = 1.0,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        if not 0 < bound_weight < float("inf"):
            raise ValueError(f"bound_weight must be a positive number, got {bound_weight}")
        self.energy, self.generator, self.inference = energy, generator, encoder
        self.bound_weight = bound_weight
        self.last_energies: dict[str, Scalar] = {}  # for those who watch
        latent = check_inference(generator, encoder, self.shape)
        with torch.no_grad():
            energy(torch.zeros(2, *self.shape), latent)
        self.players = [
            Player("energy", energy, self.energy_terms, energy_learns),
            Player("encoder", encoder, self.encoder_terms, encoder_learns),
            Player("generator", generator.network, self.generator_terms, generator_learns),
        ]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        x = batch.x
        latent = self.generator.prior.sample(len(x), device=x.device)
        for player in self.players:
            for _ in player.moves(self.step):
                self.descend(player, player.terms(x, latent))
        self.end_step()

    def energy_terms(self, x: Points, latent: Latents) -> Terms:
        """Pairs of the data down, of the generator up."""
        with torch.no_grad():
            inferred = self.inference(self.generator, x).latent
            samples = self.generator.draw(latent).samples
        energies = self.energy(torch.cat([x, samples]), torch.cat([inferred, latent]))
        positive, negative = (part.mean() for part in energies.tensor_split([len(x)]))
        self.last_energies = {
            "energy_data pair": positive.detach(),
            "energy_generated pair": negative.detach(),
        }
        self.report({"pairs_gap": negative - positive})
        return {"positive_phase": positive, "negative_phase": -negative}

    def encoder_terms(self, x: Points, latent: Latents) -> Terms:
        """λ times the bound, away from the energy's law."""
        mean, log_std = self.inference.law(x)
        inferred = mean + log_std.exp() * torch.randn_like(mean)
        self.report({"posterior_variance": (2 * log_std).exp().mean()})
        return {
            "encoder_reconstruction": -self.bound_weight * self.generator.log_likelihood(x, inferred).mean(),
            "kl": self.bound_weight * kl_to_normal(mean, log_std).mean(),
            "encoder_energy": -self.energy(x, inferred).mean(),
            "encoder_entropy": entropy(log_std).mean(),
        }

    def generator_terms(self, x: Points, latent: Latents) -> Terms:
        """λ times the reconstruction, towards the energy's law."""
        with torch.no_grad():
            inferred = self.inference(self.generator, x).latent
        return {
            "reconstruction": -self.bound_weight * self.generator.log_likelihood(x, inferred).mean(),
            "energy_generated": self.energy(self.generator.draw(latent).samples, latent).mean(),
        }

    @property
    def learned(self) -> Learned:
        ranking = PairRanking(self.energy, self.generator, self.inference)
        return Learned(generator=self.generator, inference=self.inference, ranking=ranking)

    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        return {name: float(value) for name, value in self.last_energies.items()}
