"""One law: an energy over noise levels, and a generator in one pass that the energy teaches.

With y = x + σ ε, x from the data or from the generator, and levels σ from the density's own σ₀ up to where
nothing is left of x,

    the energy      descends   E[‖σ ∂E(y, σ)/∂y − ε‖²] + weight · E[(∂E(y, σ)/∂log σ − (D − ‖ε‖²))²]
    the score       descends   E[‖σ ∂E(y, σ)/∂y + r(y, σ) − ε‖²],        of the generator's y
    the generator   descends   Σ_σ KL(P_G * N_σ ‖ P_E(·, σ)),            whose gradient in G(z) is −r / σ

The third is Eq. 13 at all levels at once: r = 0 is where the generator's score is the energy's, and the
gradient of the generator's entropy is that score, learned. When the energy has learned, the density that is
made of it at σ₀ finds its normalisers (`energies/balanced.py`).

Each side moves while its schedule gives it a rate: the energy may come first and the generator then learn
from what stays, or all alternate.

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation (Kim & Bengio, 2016),
https://arxiv.org/abs/1606.03439, equation 13; Learning normalized image densities via dual score matching
(Guth et al., 2025), https://arxiv.org/abs/2506.05310; One-step Diffusion with Distribution Matching
Distillation (Yin et al., 2024), https://arxiv.org/abs/2311.18828.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from energy_gan.energies.base import stated
from energy_gan.energies.noise_levels import derivatives, dual_score_matching
from energy_gan.generators.base import Generator
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.players import Player, Terms
from energy_gan.optim.learns import Learns
from energy_gan.randomness import normal_rows, processes, rows
from energy_gan.samplers.base import per_chain
from energy_gan.shapes import Batch, Energies, Points


class Seen(NamedTuple):
    """The generator's batch with noise, and what the energy makes of it."""

    x: Points  # with the graph from the generator's weights
    y: Points
    log_sigma: Energies
    noise: Points
    predicted: Points  # σ ∂E/∂y
    denoised: Points  # y − σ² ∂E/∂y


class NoiseLevelGAN(Method):
    """An energy over noise levels, a generator, and the score of its noised samples.

    Args:
        shape: of one point.
        energy: with `levels`, a `NoiseLevels`.
        energy_learns: how E learns.
        generator: G with its prior.
        generator_learns: how G learns.
        score: r, a module from (y, denoised, log σ) to points.
        score_learns: how r learns.
        n_generated: the generator's batch, of all processes together, at least 2.
        slope_weight: of the derivative in log σ, see `dual_score_matching`. Not negative.
        seed: with the step, it fixes every random number of training.
    """

    second_derivatives = True

    def __init__(
        self,
        shape: Sequence[int],
        energy: nn.Module,
        energy_learns: Learns,
        generator: Generator,
        generator_learns: Learns,
        score: nn.Module,
        score_learns: Learns,
        n_generated: int = 64,
        slope_weight: float = 3.0,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        if stated(energy, "levels") is None:
            raise ValueError(
                f"this method needs an energy of all noise levels, and {type(energy).__name__} is one of "
                "points alone: give method.energy._target_=energy_gan.energies.noise_levels.NoiseLevels"
            )
        if n_generated < 2 or not 0 <= slope_weight < math.inf:
            raise ValueError(
                "n_generated must be at least 2 and slope_weight not negative, got "
                f"{n_generated}, {slope_weight}"
            )
        self.energy, self.generator, self.score = energy, generator, score
        self.n_generated, self.slope_weight = n_generated, slope_weight
        self.players = [
            Player("energy", energy.network, self.energy_terms, energy_learns),
            Player("score", score, self.score_terms, score_learns),
            Player("generator", generator, self.generator_terms, generator_learns),
        ]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        energy, score, generator = self.players
        for _ in energy.moves(self.step):
            self.descend(energy, energy.terms(batch.x))
        if energy.rests:
            self.energy.balance()
        moves = generator.moves(self.step)
        if len(score.moves(self.step)):
            seen = self.seen(len(moves) > 0)
            self.descend(score, score.terms(seen))
            if moves:
                self.descend(generator, generator.terms(seen))
        self.end_step()

    def energy_terms(self, x: Points) -> Terms:
        """Dual score matching."""
        log_sigma = self.log_levels(len(x), self.energy.low)
        return dual_score_matching(self.energy, x, log_sigma, normal_rows(x), self.slope_weight)

    def score_terms(self, seen: Seen) -> Terms:
        """r learns the noise that the energy does not tell."""
        errors = seen.predicted + self.difference(seen) - seen.noise
        weights = self.energy.weights(seen.log_sigma)
        return {"denoising": (weights * errors.flatten(1).square().mean(1)).mean()}

    def generator_terms(self, seen: Seen) -> Terms:
        """A term whose gradient is that of the divergences; its value is no loss.

        Each sample's is divided by how far it is from what the energy takes it for, as in the reference.
        """
        with torch.no_grad():
            r = self.difference(seen)
            off = (seen.x - seen.denoised).flatten(1).abs().mean(1).clamp(min=0.02)
            gradient = -per_chain(seen.log_sigma.exp() / off, r) * r
        return {"matching": (gradient * seen.x).flatten(1).sum(1).mean() / math.sqrt(seen.x[0].numel())}

    def difference(self, seen: Seen) -> Points:
        """r, of points about the base's mean: what lies beyond an image's edge is then no stroke."""
        mean = self.energy.mixture.mean
        return self.score(seen.y - mean, seen.denoised - mean, seen.log_sigma)

    def seen(self, differentiable: bool) -> Seen:
        """The generator's batch at levels of all sizes."""
        with torch.set_grad_enabled(differentiable):
            x = self.generator.draw(self.latents()).samples
        noise, log_sigma = normal_rows(x), self.log_levels(len(x), self.energy.noise)
        sigma = per_chain(log_sigma.exp(), x)
        y = x.detach() + sigma * noise
        predicted = sigma * derivatives(self.energy.at, y, log_sigma)[0]
        return Seen(x, y, log_sigma, noise, predicted, y - sigma * predicted)

    def latents(self) -> torch.Tensor:
        n = self.n_generated // processes()
        return rows(n, lambda n: self.generator.prior.sample(n, device=self.shift.device))

    def log_levels(self, n: int, low: float) -> Energies:
        """log σ uniform from low to the ladder's end, evenly over the batch."""
        first, last = math.log(low), math.log(self.energy.high)
        places = rows(n, lambda n: (torch.arange(n) + torch.rand(n)) / n).to(self.shift)
        return first + (last - first) * places

    @property
    def learned(self) -> Learned:
        return Learned(energy=self.energy, generator=self.generator, noise=self.energy.noise)
