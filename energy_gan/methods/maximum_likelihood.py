"""An energy alone, by maximum likelihood.

    the energy   descends   E[E(x⁺)] − E[E(x⁻)],    whose gradient is that of −log p(x⁺)          (Eq. 6, 7)

There is no generator beside it. Where x⁻ comes from makes the method: the cells of a grid with their areas
(exact, in the plane), chains that leave P_energy as it is, in x or in the latents of a base that the energy
tilts, that base itself, or, for an energy that is normalised by construction, nowhere. Chains that begin at
noise in every step are a generator themselves, whose weights are the energy's: a short run. Where chains' own
dependence on the weights is to count, their last step is seen by `through_last_step`.

Where the energy tilts a base p₀ with weights of its own, a flow, these learn by the base's own likelihood and
not by the energy's:

    the base     descends   −E[log p₀(x⁺)]

Where the energy is made of the logits f of classes, log p(x, y) = log p(x) + log p(y | x) is learned by

    the energy   descends   E[E(x⁺)] − E[E(x⁻)] − weight · E[log softmax(f(x⁺))_y]

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, section 2.2; Your Classifier is Secretly an Energy
Based Model and You Should Treat it Like One (Grathwohl et al., 2020), https://arxiv.org/abs/1912.03263,
equation 8, for the classes.
"""

from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.energies.base import stated
from energy_gan.inference.base import Inference
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.fit_together import (
    check_base,
    check_classes,
    check_energy,
    check_shades,
    check_taught,
)
from energy_gan.methods.phases import Objective, Penalty, class_terms, phases
from energy_gan.methods.players import Player, Terms
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.negatives.last_step import ThroughLastStep
from energy_gan.objectives import maximum_likelihood
from energy_gan.optim.learns import Learns
from energy_gan.randomness import dequantised, noised
from energy_gan.shapes import Batch, Points


class MaximumLikelihood(Method):
    """An energy and where its negatives come from.

    Args:
        shape: of one point.
        energy: E, any module from (B, *shape) to (B,).
        energy_learns: how E learns, but for its base.
        base_learns: how the base of the energy learns that has weights, first as a rule; None elsewhere.
        negatives: where x⁻ comes from.
        objective: (E(x⁺), negatives) -> named terms; what the energy descends.
        penalty: (points, their energies) -> a term that keeps the energy smooth; None leaves it out.
        through_last_step: what the chains' dependence on the weights adds to the loss; None leaves it out.
        data_noise: σ of the noise that the data get: the density is one of x + σ ε. Not negative.
        shades: of the pixels of images, whose noise then fills them: a density of images, not of points on a
            lattice. None: no such noise.
        inference: x -> z for the generator that the negatives are, where they are one: a short run.
        cross_entropy: the weight of that of the labelled points, at least 0. Above 0 the energy must have
            classes and the data labels.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        energy: nn.Module,
        energy_learns: Learns,
        negatives: NegativeSampler,
        objective: Objective = maximum_likelihood,
        penalty: Penalty | None = None,
        through_last_step: ThroughLastStep | None = None,
        data_noise: float = 0.0,
        shades: int | None = None,
        inference: Inference | None = None,
        cross_entropy: float = 0.0,
        base_learns: Learns | None = None,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        self.energy, self.negatives, self.data_noise, self.shades = energy, negatives, data_noise, shades
        self.objective, self.penalty, self.cross_entropy = objective, penalty, cross_entropy
        self.through_last_step, self.inference = through_last_step, inference
        self.second_derivatives = penalty is not None or through_last_step is not None
        self.last_negatives: Negatives | None = None  # for those who watch
        check_shades(shades, self.shape)
        found = check_energy(self)
        if through_last_step is not None:
            through_last_step.check(found, negatives)
        check_classes(self)
        if inference is not None and self.learned.generator is None:
            raise ValueError(
                "inference must be null where there is no generator whose latents it could find: it takes "
                "negatives that begin at noise in every step, negatives.memory NoMemory"
            )
        base = check_base(energy, base_learns)
        self.players = [Player("energy", energy, self.energy_terms, energy_learns, without=base)]
        if base_learns is not None:
            self.players.insert(0, Player("base", base, self.base_terms, base_learns))

    def on_fit_start(self) -> None:
        check_taught(self, self.trainer.datamodule)
        super().on_fit_start()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        for player in self.players:
            for _ in player.moves(self.step):
                self.descend(player, player.terms(batch))
        self.end_step()

    def base_terms(self, batch: Batch) -> Terms:
        """−E[log p₀(x⁺)]."""
        return {"base_likelihood": stated(self.energy, "base")(self.noised(batch)).mean()}

    def noised(self, batch: Batch) -> Points:
        """The points as those whose density is learned."""
        return noised(dequantised(batch.x, self.shades), self.data_noise)

    def energy_terms(self, batch: Batch) -> Terms:
        """Positive and negative phase (Eq. 7), and what the labels say."""
        negatives = self.negatives(self.energy, None, batch.x)
        x = self.noised(batch)
        found = phases(self.energy, x, negatives, self.objective, self.penalty)
        self.negatives.note(found.positive, found.negatives)
        self.report_means(found)
        self.last_negatives = found.negatives
        terms = {**found.terms, **class_terms(self.energy, x, batch.labels, self.cross_entropy)}
        if self.through_last_step is not None:
            terms |= self.through_last_step.terms(self.energy, found.negatives, self.negatives)
        return terms

    @property
    def learned(self) -> Learned:
        return Learned(
            energy=self.energy,
            generator=self.negatives.generator(self.energy, self.shape),
            inference=self.inference,
            classes=stated(self.energy, "classes"),
            noise=self.data_noise,
            walked=self.negatives.walked,
            shades=self.shades,
        )

    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        return self.negatives.vital_signs(self.energy, self.last_negatives, n, rng)
