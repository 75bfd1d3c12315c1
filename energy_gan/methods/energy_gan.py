"""The alternating step: the page to read first.

An energy model E and a generator G hold two views of one distribution. By turns,

    the energy      descends   E[E(x⁺)] − E[E(x⁻)]            data down, negatives up   (Eq. 7, 12)
    the generator   descends   E[E(G(z))] − weight · H        towards P_energy          (Eq. 13)
                               − weight · E[log q(y)]         with y ~ P_energy, where it has a density

Where x⁻ comes from, which objective is made of the two phases, what estimates the entropy H and the
likelihood log q are parts that come in from outside; so Kim & Bengio's method, its successors, the
aligned recipes and exact maximum likelihood (negatives on a grid, no generator) are configs of this
one class.

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, section 3.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.methods.base import Learned, MakeOptimizer, Method, Player, Schedule, Terms, plain
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.negatives.generator import GeneratorNegatives
from energy_gan.objectives import maximum_likelihood, mean_energy
from energy_gan.randomness import normal_rows, processes, rows
from energy_gan.shapes import Energies, Points, Scalar


class EnergyGAN(Method):
    """An energy model and a generator, trained alternately.

    Args:
        shape: of one point.
        energy: E, any module from (B, *shape) to (B,).
        energy_optimizer: built as energy_optimizer(parameters); likewise generator_optimizer.
        generator: G with its prior; None trains the energy alone, on negatives from elsewhere.
        generated: samples of the generator in each move, of all processes together; as many as there are
            points if None.
        negatives: where x⁻ comes from; the generator's own samples by default.
        objective: (energy_positive, energy_negative, log_weights, log_density) -> named terms.
        generator_objective: of the energies of the generator's samples, point by point; what it descends.
        energy_weight: of that in the generator's loss, not negative; at 0 it never asks the energy.
        data_noise: σ, the standard deviation of noise that the data get before the energy sees them, and the
            generator's samples after it made them: the density is one of x + σ ε. Not negative.
        penalty: (points, their energies) -> a term that keeps the energy smooth; None leaves it out.
        penalty_weight: of that in the energy's loss, not negative.
        entropy: estimates H; None leaves the term out.
        entropy_weight: of H in the generator's loss, not negative.
        entropy_optimizer: of the entropy's own network, where it learns one; it then moves in every
            step, before the generator does.
        likelihood: estimates E[log q(y)], y ~ P_energy; None leaves the term out.
        likelihood_weight: of that in the generator's loss, not negative.
        energy_steps, generator_steps, entropy_steps: moves of each in one training step.
        energy_every: training steps from one in which the energy moves to the next; 1 where the likelihood
            needs its negatives. Choose a divisor of log_every_n_steps, or its values are logged less often.
        generator_first: the generator moves first (the author's code) or the energy does.
        spread_latents: the latents of a move cover the prior evenly (`Prior.spread`) or are independent.
        same_latents: every move of a step uses the same latents (the author's code) or fresh ones.
        shared_forward: one forward of the generator for all moves of a step, where else each makes its own
            from the same latents. Samples and gradients stay the same while the energy moves first, but
            the generator's own noise, if it has any, is drawn once, and batch norm's running averages
            advance once. With generator_first the energy learns from the samples of before that move. The
            graph stays in memory throughout. Needs same_latents and generator_steps=1.
        energy_schedule, generator_schedule, entropy_schedule: factors of the learning rates, see
            `energy_gan.optim.schedules`.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        energy: nn.Module,
        energy_optimizer: MakeOptimizer,
        generator: Generator | None = None,
        generator_optimizer: MakeOptimizer | None = None,
        generated: int | None = None,
        negatives: NegativeSampler | None = None,
        objective: Callable[..., Terms] = maximum_likelihood,
        generator_objective: Callable[[Energies], Energies] = mean_energy,
        energy_weight: float = 1.0,
        data_noise: float = 0.0,
        penalty: Callable[[Points, Energies], Scalar] | None = None,
        penalty_weight: float = 1.0,
        entropy: GeneratorTerm | None = None,
        entropy_weight: float = 1.0,
        entropy_optimizer: MakeOptimizer | None = None,
        likelihood: GeneratorTerm | None = None,
        likelihood_weight: float = 1.0,
        energy_steps: int = 1,
        generator_steps: int = 1,
        entropy_steps: int = 1,
        energy_every: int = 1,
        generator_first: bool = False,
        spread_latents: bool = False,
        same_latents: bool = True,
        shared_forward: bool = False,
        energy_schedule: Schedule | None = None,
        generator_schedule: Schedule | None = None,
        entropy_schedule: Schedule | None = None,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        numbers = {
            "energy_weight": energy_weight,
            "entropy_weight": entropy_weight,
            "likelihood_weight": likelihood_weight,
            "penalty_weight": penalty_weight,
            "data_noise": data_noise,
        }
        for name, number in numbers.items():
            if not 0 <= number < float("inf"):
                raise ValueError(f"{name} must be a number of at least 0, got {number}")
        if generated is not None and generated < 2:
            raise ValueError(f"generated must be at least 2, got {generated}")
        self.energy, self.generator, self.generated = energy, generator, generated
        self.negatives, self.objective = negatives or GeneratorNegatives(), plain(objective)
        self.generator_objective, self.energy_weight = plain(generator_objective), energy_weight
        self.data_noise = data_noise
        self.penalty, self.penalty_weight = plain(penalty), penalty_weight
        self.entropy, self.entropy_weight = entropy, entropy_weight
        self.likelihood, self.likelihood_weight = likelihood, likelihood_weight
        self.spread_latents, self.same_latents = spread_latents, same_latents
        self.last_negatives: Negatives | None = None  # of the energy's last move, for the generator
        if generator is None and self.negatives.needs_generator:
            name = type(self.negatives).__name__
            raise ValueError(f"without a generator the negatives must come from elsewhere, got {name}")
        if likelihood is not None and generator_first:
            raise ValueError("generator_first must be false where a likelihood needs the energy's negatives")
        if likelihood is not None and energy_every > 1:
            raise ValueError(f"energy_every must be 1 where there is a likelihood, got {energy_every}")
        if shared_forward and not (generator is not None and same_latents and generator_steps == 1):
            raise ValueError(
                "shared_forward=true needs a generator, same_latents=true and generator_steps=1, got "
                f"{'a' if generator else 'no'} generator, same_latents={str(same_latents).lower()} and "
                f"generator_steps={generator_steps}"
            )
        self.shared_forward = shared_forward
        self.shared: Draw | None = None  # within a step, where all of its moves share one
        self._check_parts()

        learn = (energy_optimizer, energy_schedule, energy_steps, energy_every)
        by_energy = Player("energy", energy, self.energy_terms, *learn)
        side = []  # of the generator: what its entropy learns, and itself
        if entropy is not None and any(p.requires_grad for p in entropy.parameters()):
            learn = (entropy_optimizer, entropy_schedule, entropy_steps)
            side.append(Player("entropy", entropy, self.entropy_terms, *learn))
        if generator is not None:
            learn = (generator_optimizer, generator_schedule, generator_steps)
            side.append(Player("generator", generator, self.generator_terms, *learn))
        self.players = [*side, by_energy] if generator_first else [by_energy, *side]

    @property
    def learned(self) -> Learned:
        return Learned(energy=self.energy, generator=self.generator, noise=self.data_noise)

    def training_step(self, batch: tuple[Points], batch_idx: int) -> None:
        (x,) = batch
        latent = self.latents(x)
        self.shared = self.generator.draw(latent) if self.shared_forward else None
        for player in self.players:
            if player.every > 1 and self.step % player.every:
                self.last_negatives = None  # those of another step are no business of this one
                continue
            for _ in range(player.n_steps):
                self.descend(player, player.terms(x, latent))
                latent = latent if self.same_latents else self.latents(x)
        self.shared = None  # its graph is spent
        self.end_step()

    def energy_terms(self, x: Points, latent: Float[Tensor, "N L"] | None) -> Terms:
        """Positive and negative phase (Eq. 7), the negatives as in Eq. 12."""
        negatives = self.negatives(self.energy, self.detached_draw(latent), x)
        x = self.noised(x).detach().requires_grad_(self.penalty is not None)
        energies = self.energy(torch.cat([x, negatives.samples]))  # one pass for both phases
        energy_positive, energy_negative = energies.tensor_split([len(x)])
        self.last_negatives = negatives._replace(energies=energy_negative.detach())
        if self.logs_now:
            positive, negative = energy_positive.mean(), self.last_negatives.mean_energy
            gap = negative - positive
            self.report({"energy_positive": positive, "energy_negative": negative, "energy_gap": gap})
        with torch.no_grad():
            log_density = negatives.log_density(x) if negatives.log_density else None
        terms = self.objective(energy_positive, energy_negative, negatives.log_weights, log_density)
        if self.penalty is None:
            return terms
        return terms | {"penalty": self.penalty_weight * self.penalty(x, energy_positive)}

    def generator_terms(self, x: Points, latent: Float[Tensor, "N L"]) -> Terms:
        """KL(P_generator ‖ P_energy) (Eq. 13) and KL(P_energy ‖ P_generator), but for constants."""
        draw = self.generator.draw(latent) if self.shared is None else self.shared
        terms = {}
        if self.energy_weight:
            energies = self.generator_objective(self.energy(self.noised(draw.samples)))
            terms["energy_generated"] = self.energy_weight * draw.mean(energies)
        for name, term, weight in (
            ("entropy", self.entropy, self.entropy_weight),
            ("likelihood", self.likelihood, self.likelihood_weight),
        ):
            if term is not None:
                value = term(self.generator, draw, self.last_negatives)
                self.report({name: value})
                terms[f"{name}_loss"] = -weight * value
        return terms

    def entropy_terms(self, x: Points, latent: Float[Tensor, "N L"]) -> Terms:
        """What the entropy's own network learns from the generator's batch."""
        return self.entropy.learning_terms(self.detached_draw(latent), x)

    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        signs = self.negatives.chains(self.energy, n, rng)
        if self.last_negatives is not None:
            signs["energy_negative"] = float(self.last_negatives.mean_energy)
        return signs

    def noised(self, x: Points) -> Points:
        """x + σ ε, what the energy is the energy of."""
        if not self.data_noise:
            return x
        return x + self.data_noise * normal_rows(x)

    @torch.no_grad()
    def detached_draw(self, latent: Float[Tensor, "N L"] | None) -> Draw | None:
        """The generator's batch for those who do not train it; None without a generator."""
        if self.shared is not None:
            return self.shared.detached()
        return self.generator.draw(latent) if self.generator else None

    def latents(self, x: Points) -> Float[Tensor, "N L"] | None:
        """The latents of one move."""
        if not self.generator:
            return None
        prior = self.generator.prior
        draw = partial(prior.spread if self.spread_latents else prior.sample, device=x.device)
        return rows(self.generated // processes() if self.generated else len(x), draw)

    def compile_networks(self, backend: str = "inductor") -> None:
        """Let torch.compile fuse the networks, for the steps of training alone.

        Not the energy where it has a penalty, which takes derivatives of derivatives: compiled code has none.
        """
        if self.penalty is None:
            self.energy.compile(backend=backend)
        if self.generator is not None:
            self.generator.network.compile(backend=backend)

    def calibrate(self) -> None:
        """Measure the generator's batch-norm statistics for its present weights."""
        if self.generator is not None:
            self.generator.calibrate()

    @torch.no_grad()
    def _check_parts(self) -> None:
        """Run two points through every part, so that parts that do not fit are an error here."""
        x, draw = torch.zeros(2, *self.shape), None
        _expect("the energy, one number a point,", self.energy(x).shape, x.shape[:1])
        if self.generator is not None:
            training = self.generator.training
            self.generator.eval()
            draw = self.generator.draw(self.generator.prior.sample(2))
            self.generator.train(training)
            _expect("the generator's samples", draw.samples.shape, x.shape)
        negatives = deepcopy(self.negatives)(
            self.energy, draw, x
        )  # a copy: chains would start from these two
        _expect("the negatives", negatives.samples.shape, (len(negatives.samples), *self.shape))
        negatives = negatives._replace(energies=self.energy(negatives.samples))
        log_density = negatives.log_density(x) if negatives.log_density else None
        self.objective(self.energy(x), negatives.energies, negatives.log_weights, log_density)
        for term in (self.entropy, self.likelihood):
            if term is not None and draw is not None:
                term(self.generator, draw, negatives)


def _expect(what: str, given: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(given) != tuple(expected):
        raise ValueError(
            f"{what} must have shape {tuple(expected)} here, got {tuple(given)}: the parts do not fit"
        )
