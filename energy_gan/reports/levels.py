"""Of an energy over noise levels: ways to its likelihood, long chains, its own samples down the ladder."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.images import viewable
from energy_gan.metrics.levels import level_likelihood
from energy_gan.metrics.two_samples import image_aucs
from energy_gan.model import Model, evaluating
from energy_gan.reports import drawing
from energy_gan.reports.chains import as_trained
from energy_gan.reports.images import SHOWN, ImageSamples
from energy_gan.reports.numbers import LADDER, LEVELS, OWN_SAMPLES
from energy_gan.reports.section import Section
from energy_gan.samplers.annealed_importance import Fall
from energy_gan.samplers.chains import Chains, tune
from energy_gan.samplers.ladder import denoised, down, rungs
from energy_gan.samplers.mala import MALA

N_CHAINS, MOVES = 32, 1_000
N_SAMPLES = 6_000  # of the energy, at most
STEPS = 40  # down the ladder, each with a move of MALA
ROWS = 500  # images at a time
DIFFERS = 3.0  # nats between two ways to one likelihood
STAYS = 0.3  # standard deviations by which chains of a density may sink


class Levels(Section):
    """Three ways to the likelihood, beside annealing's, and chains of 1,000 moves."""

    needs = "images energy levels"
    numbers = LEVELS

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return {}
        rng = torch.Generator().manual_seed(self.seed)
        with evaluating(model.learned.energy) as energy:
            x = self.data.standardise(self.data.held_out).to(model.method.shift.device)
            numbers = level_likelihood(energy.at, energy.mixture, x, energy.noise, energy.high, rng)
            numbers["strength"] = energy.strength
            starts = {"": self.data.held_out[:N_CHAINS]}
            if samples is not None:
                starts["_samples"] = samples[:N_CHAINS]
            for name, start in starts.items():
                u = as_trained(start, self.data, model, rng)
                walk = Chains(MALA(), MOVES, tune(MALA(), energy, u, rng)).run(energy, u, rng, along=True)
                fall = Fall.between(walk.energies[:, 0], walk.energies[:, -1])
                numbers |= {f"drift_1000{name}": fall.deviations, f"drift_1000{name}_nats": fall.nats}
        return numbers

    def verdict(self, numbers: Mapping[str, float]) -> str:
        """What the ways to the likelihood say of each other, and whether chains stay."""
        low, high = numbers["log_likelihood_forward"], numbers["log_likelihood_reverse"]
        of_levels = {
            "their own normaliser": numbers["log_likelihood_learned"],
            "the flow": numbers["log_likelihood_flow"],
            "the walk, or more": numbers["log_likelihood_bound"],
        }
        shown = ", ".join(f"{name} {value:.1f}" for name, value in of_levels.items())
        every = [low, high, *of_levels.values()]
        agree = "agree" if max(every) - min(every) <= DIFFERS else "differ"
        fall = Fall(numbers["drift_1000_nats"], numbers["drift_1000"])
        stay = "stay" if abs(fall.deviations) <= STAYS else "do not stay"
        move = "lower" if fall.nats >= 0 else "raise"
        said = f"annealing from below {low:.1f} and from above {high:.1f}"
        return (
            f"ways to the held-out likelihood {agree}: levels {shown}; the density, of strength "
            f"{numbers['strength']:.2f}, {said}; its chains {stay}: 1,000 moves {move} held-out images' "
            f"energy {fall}"
        )


class OwnSamples(ImageSamples):
    """The energy's own samples, by the walk down its levels: `ladder_…`, and how they are told apart."""

    needs = "images energy levels"
    numbers = OWN_SAMPLES
    shown: Tensor | None = None

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return {}
        n = min(N_SAMPLES, self.settings.n_samples)
        noisy, clean = self._drawn(model, n)
        self.shown = clean[:SHOWN]
        numbers = {f"{LADDER}{name}": value for name, value in self.evaluation.of(clean).items()}
        rng = torch.Generator().manual_seed(self.seed)
        laws = {"data": as_trained(self.data.held_out[:n], self.data, model, rng), "energy": noisy}
        if samples is not None:
            laws["generator"] = as_trained(samples[:n], self.data, model, rng)
        pairs = [pair for pair in (("data", "energy"), ("generator", "energy")) if pair[0] in laws]
        return numbers | image_aucs(laws, pairs, self.seed)

    def _drawn(self, model: Model, n: int) -> tuple[Float[Tensor, "n *S"], Float[Tensor, "n *S"]]:
        """In the networks' units with noise σ₀, and images without it."""
        rng, parts = torch.Generator().manual_seed(self.seed), []
        with evaluating(model.learned.energy) as energy:
            levels = rungs(energy.noise, energy.high, STEPS)
            for first in range(0, n, ROWS):
                y = energy.mixture.sample(min(ROWS, n - first), energy.high, rng).to(model.method.shift)
                y = down(energy.at, y, levels, rng, correct=True)
                parts.append((y.cpu(), model.units.own(denoised(energy.at, y, energy.noise))))
        noisy, clean = (torch.cat(part) for part in zip(*parts, strict=True))
        return noisy, clean.clamp(0, 1)

    def of(self, model: Model, samples: Tensor) -> dict[str, float]:
        return {}

    def yardsticks(self) -> dict[str, dict[str, float]]:
        return {}

    def verdict(self, numbers: Mapping[str, float]) -> str:
        return ""

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        if self.shown is None:
            return {}
        title = f"{SHOWN} samples of the energy, down its levels"
        return {"ladder_samples": drawing.images({title: viewable(self.shown).numpy()}, 16)}
