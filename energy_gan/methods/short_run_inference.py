"""A generator of one or several layers of latents, inferred by short runs whose step size a bound chooses.

    z_K       K moves from z₀ ~ N(0, I) on U(z) = −log p(x, z), by steps of size ε
    ε         every so many training steps: the minimum of B(ε) = KL(q_ε ‖ p(z | x)) − log p(x)    (Eq. 12)
    the generator   descends   −E[log p(x | z_K)]                                                  (Eq. 10)

There is no encoder: the short run is the inference model, and ε is its only parameter. What training found
stays with the run, and infers in its evaluation.

Reference: Learning Multi-layer Latent Variable Model via Variational Optimization of Short Run MCMC for
Approximate Inference (Nijkamp et al., 2019), https://arxiv.org/abs/1912.01909, algorithm 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from energy_gan.generators.base import Generator
from energy_gan.inference.ranking import JointRanking
from energy_gan.inference.short_run import ShortRunInference, posterior_energy
from energy_gan.inference.variational_step import choose
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.fit_together import check_inference
from energy_gan.methods.players import Player, Terms
from energy_gan.optim.learns import Learns
from energy_gan.randomness import gathered, normal_rows, processes
from energy_gan.shapes import Batch, Latents, Points


@dataclass(frozen=True)
class StepChoice:
    """When and among which the step size is chosen: a node of the config.

    Args:
        every: training steps from one choice to the next, at least 1.
        low, high: the grid's ends.
        n: step sizes in the grid, equal in their ratios, at least 2.
        points: of the batch, at least 1; each takes K Hessians of as many rows as z has numbers, 16 at most.
    """

    every: int = 1000
    low: float = 0.0001
    high: float = 0.01
    n: int = 10
    points: int = 8

    def __post_init__(self):
        if self.every < 1 or self.n < 2 or self.points < 1:
            given = f"{self.every}, {self.n} and {self.points}"
            raise ValueError(f"every and points must be at least 1 and n at least 2, got {given}")
        if not 0 < self.low < self.high < math.inf:
            raise ValueError(f"low and high must be positive, the lower first, got {self.low}, {self.high}")

    @property
    def grid(self) -> list[float]:
        return [self.low * (self.high / self.low) ** (k / (self.n - 1)) for k in range(self.n)]


class VariationalShortRun(Method):
    """A generator, and short runs that infer its latents.

    Args:
        shape: of one point.
        generator: with output noise, so that p(x | z) is a density, and the prior N(0, I); without batch
            norm, by which chains would see each other.
        generator_learns: how G learns.
        inference: the short runs; their chains' step size is the first one.
        step_choice: of the step size; None keeps the first one.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        generator: Generator,
        generator_learns: Learns,
        inference: ShortRunInference,
        step_choice: StepChoice | None = None,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        if step_choice and inference.moves.target is not None:
            raise ValueError(
                f"inference.chains.target must be null where step_choice finds the step size, "
                f"got {inference.moves.target}"
            )
        self.generator, self.inference, self.step_choice = generator, inference, step_choice
        self.last_inferred: tuple[Points, Latents] | None = None  # for those who watch
        check_inference(generator, inference, self.shape)
        self.players = [Player("generator", generator.network, self.generator_terms, generator_learns)]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        if self.step_choice and self.step % self.step_choice.every == 0:
            self.choose_step_size(batch.x)
        latent = self.inference(self.generator, batch.x).latent
        (player,) = self.players
        for _ in player.moves(self.step):
            self.descend(player, player.terms(batch.x, latent))
        self.last_inferred = batch.x, latent
        self.end_step()

    def choose_step_size(self, x: Points) -> None:
        """ε of the least B over some points (Eq. 12); where all of the grid run away, it stays."""
        x = x[: max(1, self.step_choice.points // processes())]
        start = gathered(normal_rows(x.new_empty(len(x), self.generator.prior.latent_dim)))
        x = gathered(x)  # all processes choose the same
        energy = posterior_energy(self.generator, x)
        found = choose(energy, start, self.inference.moves.n_steps, self.step_choice.grid)
        if math.isfinite(found.step_size):
            self.inference.step_size.fill_(found.step_size)
            # logged with the next step that is, and on
            self.reported |= {"train/step_bound": found.bound, "train/step_size": found.step_size}

    def generator_terms(self, x: Points, latent: Latents) -> Terms:
        """−log p(x | z_K) (Eq. 10)."""
        return {"reconstruction": -self.generator.log_likelihood(x, latent).mean()}

    @property
    def learned(self) -> Learned:
        ranking = JointRanking(self.generator, self.inference)
        return Learned(generator=self.generator, inference=self.inference, ranking=ranking)

    @torch.no_grad()
    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        """Of the last step's latents, and of the chains that found them."""
        if self.last_inferred is None:
            return {}
        x, latent = (part[:n] for part in self.last_inferred)
        found = self.inference.chains(self.generator, x, latent, rng)
        energy = -float(self.generator.log_joint(x, latent).mean())
        return {"energy_posterior latent": energy} | {f"posterior {name}": v for name, v in found.items()}
