"""The alternating step: the page to read first.

An energy model E and a generator G hold two views of one distribution. By turns,

    the energy      descends   E[E(x⁺)] − E[E(x⁻)]            data down, negatives up   (Eq. 7, 12)
    the generator   descends   E[E(G(z))] − weight · H        towards P_energy          (Eq. 13)

Where x⁻ comes from, which objective is made of the two phases, and what estimates the entropy H are
parts that come in from outside; so Kim & Bengio's method, its successors and exact maximum
likelihood (negatives on a grid, no generator) are configs of this one class.

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, section 3.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Generator
from energy_gan.methods.base import MakeOptimizer, MakeSchedule, Method, Player, Terms
from energy_gan.negatives.base import NegativeSampler
from energy_gan.negatives.generator import GeneratorNegatives
from energy_gan.objectives import maximum_likelihood
from energy_gan.shapes import Latents, Points


class EnergyGAN(Method):
    """An energy model and a generator, trained alternately.

    Args:
        shape: of one point.
        energy: E, any module from (B, *shape) to (B,).
        energy_optimizer: built as energy_optimizer(parameters); likewise generator_optimizer.
        generator: G with its prior; None trains the energy alone, on negatives from elsewhere.
        negatives: where x⁻ comes from; the generator's own samples by default.
        objective: (energy_positive, energy_negative, log_weights) -> named terms.
        entropy: estimates H; None leaves the term out.
        entropy_weight: of H in the generator's loss, not negative.
        energy_steps, generator_steps: moves of each in one training step.
        generator_first: the generator moves first (the author's code) or the energy does.
        same_latents: every move of a step uses the same latents (the author's code) or fresh ones.
        energy_schedule, generator_schedule: learning rates by step, built as schedule(optimizer).
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        energy: nn.Module,
        energy_optimizer: MakeOptimizer,
        generator: Generator | None = None,
        generator_optimizer: MakeOptimizer | None = None,
        negatives: NegativeSampler | None = None,
        objective: Callable[..., Terms] = maximum_likelihood,
        entropy: GeneratorTerm | None = None,
        entropy_weight: float = 1.0,
        energy_steps: int = 1,
        generator_steps: int = 1,
        generator_first: bool = False,
        same_latents: bool = True,
        energy_schedule: MakeSchedule | None = None,
        generator_schedule: MakeSchedule | None = None,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        if not 0 <= entropy_weight < float("inf"):
            raise ValueError(f"entropy_weight must be a number of at least 0, got {entropy_weight}")
        self.energy, self.generator, self.entropy = energy, generator, entropy
        self.negatives, self.objective = negatives or GeneratorNegatives(), objective
        self.entropy_weight, self.same_latents = entropy_weight, same_latents
        if generator is None and isinstance(self.negatives, GeneratorNegatives):
            raise ValueError(
                "without a generator the negatives must come from elsewhere, got GeneratorNegatives"
            )
        self._check_parts()

        self.players = [
            Player("energy", energy, self.energy_terms, energy_optimizer, energy_schedule, energy_steps)
        ]
        if generator is not None:
            if generator_optimizer is None:
                raise ValueError("generator_optimizer must be given with a generator, got None")
            player = Player(
                "generator",
                generator,
                self.generator_terms,
                generator_optimizer,
                generator_schedule,
                generator_steps,
            )
            self.players.insert(0 if generator_first else 1, player)

    def training_step(self, batch: tuple[Points], batch_idx: int) -> None:
        (x,) = batch
        latent = self.latents(x)
        for player in self.players:
            for _ in range(player.n_steps):
                self.descend(player, player.terms(x, latent))
                latent = latent if self.same_latents else self.latents(x)
        self.end_step()

    def energy_terms(self, x: Points, latent: Latents | None) -> Terms:
        """Positive and negative phase (Eq. 7), the negatives as in Eq. 12."""
        with torch.no_grad():
            draw = self.generator.draw(latent) if self.generator else None
        negatives = self.negatives(self.energy, draw)
        energies = self.energy(torch.cat([x, negatives.samples]))  # one pass for both phases
        energy_positive, energy_negative = energies.tensor_split([len(x)])
        if self.logs_now:
            positive, negative = energy_positive.mean(), energy_negative.mean()
            gap = negative - positive
            self.report({"energy_positive": positive, "energy_negative": negative, "energy_gap": gap})
        return self.objective(energy_positive, energy_negative, negatives.log_weights)

    def generator_terms(self, x: Points, latent: Latents) -> Terms:
        """KL(P_generator ‖ P_energy) but for log Z: E[E(G(z))] − entropy_weight · H (Eq. 13)."""
        draw = self.generator.draw(latent)
        terms = {"energy_generated": self.energy(draw.samples).mean()}
        if self.entropy is not None:
            entropy = self.entropy(self.generator, draw)
            self.report({"entropy": entropy})
            terms["entropy_loss"] = -self.entropy_weight * entropy
        return terms

    def latents(self, x: Points) -> Latents | None:
        """As many latents as there are points in x."""
        return self.generator.prior.sample(len(x), device=x.device) if self.generator else None

    def calibrate(self) -> None:
        """Measure the generator's batch-norm statistics for its present weights."""
        if self.generator is not None:
            self.generator.calibrate()

    @torch.no_grad()
    def _check_parts(self) -> None:
        """Run two points through every part, so that parts that do not fit are an error here."""
        x, draw = torch.zeros(2, *self.shape), None
        if self.generator is not None:
            training = self.generator.training
            self.generator.eval()
            draw = self.generator.draw(self.generator.prior.sample(2))
            self.generator.train(training)
            _expect("the generator's samples", draw.samples.shape, x.shape)
            if self.entropy is not None:
                self.entropy(self.generator, draw)
        _expect("the energy, one number a point,", self.energy(x).shape, x.shape[:1])
        negatives = self.negatives(self.energy, draw).samples
        _expect("the negatives", negatives.shape, (len(negatives), *self.shape))


def _expect(what: str, given: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(given) != tuple(expected):
        raise ValueError(
            f"{what} must have shape {tuple(expected)} here, got {tuple(given)}: the parts do not fit"
        )
