"""The alternating step: the page to read first.

An energy model E and a generator G hold two views of one distribution. By turns,

    the energy      descends   E[E(x⁺)] − E[E(x⁻)]             data down, negatives up   (Eq. 7, 12)
    the generator   descends   E[E(G(z))] − Σ weight · term    towards P_energy          (Eq. 13)

Where x⁻ comes from, which objective is made of the two phases and what the terms are (an entropy, a
likelihood, a critic) are parts that come in from outside; so Kim & Bengio's method, its successors and
the aligned recipes are configs of this one class.

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, section 3.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Generator
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.fit_together import check_base, check_parts
from energy_gan.methods.phases import Objective, Penalty, phases
from energy_gan.methods.players import Draws, Player, Step, Terms
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.negatives.generator import GeneratorNegatives
from energy_gan.objectives import maximum_likelihood, mean_energy
from energy_gan.optim.learns import Learns
from energy_gan.randomness import noised
from energy_gan.shapes import Batch, Energies


class EnergyGAN(Method):
    """An energy model and a generator, trained alternately.

    Args:
        shape: of one point.
        energy: E, any module from (B, *shape) to (B,).
        energy_learns: how E learns.
        generator: G with its prior.
        generator_learns: how G learns.
        negatives: where x⁻ comes from; the generator's own samples if None.
        objective: (E(x⁺), negatives) -> named terms; what the energy descends.
        generator_objective: of the energies of the generator's samples, point by point; what it descends.
            None: its terms alone, and it never asks the energy.
        terms: what else teaches the generator, by name. One that learns a network of its own moves it in
            every step, before the generator moves.
        penalty: (points, their energies) -> a term that keeps the energy smooth; None leaves it out.
        draws: the generator's batches.
        generator_first: the generator moves first (the author's code) or the energy does.
        data_noise: σ of the noise that the data get before the energy sees them, and the generator's
            samples after it made them: the density is one of x + σ ε. Not negative.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        energy: nn.Module,
        energy_learns: Learns,
        generator: Generator,
        generator_learns: Learns,
        negatives: NegativeSampler | None = None,
        objective: Objective = maximum_likelihood,
        generator_objective: Callable[[Energies], Energies] | None = mean_energy,
        terms: Mapping[str, GeneratorTerm | None] | None = None,
        penalty: Penalty | None = None,
        draws: Draws = Draws(),  # noqa: B008, it is frozen
        generator_first: bool = False,
        data_noise: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        self.energy, self.generator, self.draws = energy, generator, draws
        self.negatives, self.data_noise = negatives or GeneratorNegatives(), data_noise
        self.terms = nn.ModuleDict({name: term for name, term in (terms or {}).items() if term is not None})
        self.objective, self.generator_objective = objective, generator_objective
        self.penalty, self.second_derivatives = penalty, penalty is not None
        self.last_negatives: Negatives | None = None  # for those who watch
        check_parts(self, energy_learns, generator_learns, generator_first)
        check_base(energy)

        by_energy = Player("energy", energy, self.energy_terms, energy_learns)
        side = [
            Player(name, term, partial(self.learning_terms, term), term.learns)
            for name, term in self.terms.items()
            if term.learns
        ]
        side.append(Player("generator", generator, self.generator_terms, generator_learns))
        self.players = [*side, by_energy] if generator_first else [by_energy, *side]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        step = Step(batch.x, self.generator, self.draws)
        for player in self.players:
            for _ in player.moves(self.step):
                self.descend(player, player.terms(step))
        self.last_negatives = step.negatives
        self.end_step()

    def energy_terms(self, step: Step) -> Terms:
        """Positive and negative phase (Eq. 7), the negatives as in Eq. 12."""
        negatives = self.negatives(self.energy, step.detached(), step.x)
        x = noised(step.x, self.data_noise)
        found = phases(self.energy, x, negatives, self.objective, self.penalty)
        self.negatives.note(found.positive, found.negatives)
        self.report_means(found)
        step.negatives = found.negatives
        return found.terms

    def generator_terms(self, step: Step) -> Terms:
        """KL(P_generator ‖ P_energy) (Eq. 13) but for log Z, and what the terms add."""
        draw, terms = step.draw(), {}
        if self.generator_objective is not None:
            energies = self.energy(noised(draw.samples, self.data_noise))
            terms["energy_generated"] = draw.mean(self.generator_objective(energies))
        for name, term in self.terms.items():
            value = term(self.generator, draw, term.learns_from(self.energy, draw, step.negatives))
            self.report({name: value})
            terms[f"{name}_loss"] = -term.weight * value
        return terms

    def learning_terms(self, term: GeneratorTerm, step: Step) -> Terms:
        """What a term's own network learns from the generator's batch."""
        return term.learning_terms(step.detached(), step.x)

    @property
    def learned(self) -> Learned:
        return Learned(
            energy=self.energy,
            generator=self.generator,
            noise=self.data_noise,
            walked=self.negatives.walked,
        )

    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        return self.negatives.vital_signs(self.energy, self.last_negatives, n, rng)
