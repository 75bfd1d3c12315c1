"""What an energy is worth as a density: log Z, the likelihood of what was held out, and a verdict."""

from collections.abc import Mapping

import torch
from torch import Tensor

from energy_gan.energies.base import stated
from energy_gan.metrics.assessment import assess
from energy_gan.metrics.likelihood import likelihood_yardsticks, log_likelihood
from energy_gan.metrics.verdict import verdict
from energy_gan.model import Model, evaluating
from energy_gan.numerics.ppca import evenly
from energy_gan.reports.chains import as_trained
from energy_gan.reports.numbers import ASSESSMENT, OF_LIKELIHOOD
from energy_gan.reports.section import Section

N_ASSESSED = 10_000
SETTLE = 20  # steps of MALA, after which samples stand for the energy's law


class Assessment(Section):
    """Of points: what can be said without a known density, by `metrics/assessment.py`, and the verdict."""

    needs = "points energy"
    numbers = ASSESSMENT

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return {}
        generated, refined, weighted, standardise = None, None, None, self.data.standardise
        exact = samples is not None and model.learned.generator.is_energy_s
        if samples is not None:
            generated = standardise(model.sample(N_ASSESSED, self.seed + 1))
            refined = generated
        if not exact:  # else its samples are the energy's already, all of one weight
            weighted = model.weighted_samples(4 * N_ASSESSED, self.seed)
            if samples is not None:
                refined = standardise(model.sample(N_ASSESSED, self.seed + 1, SETTLE))
        device = model.method.shift.device
        with evaluating(model.learned.energy) as energy:
            numbers, self.reasons = assess(
                lambda u: energy(u.to(device)).to(u.device),
                standardise(self.data.points),
                standardise(self.data.held_out),
                generated,
                refined,
                weighted,
                0.0 if stated(model.learned.energy, "normalised") else found.get("log_normalizer"),
                self.seed,
            )
        if "held_out_log_likelihood" in numbers:  # that of x
            numbers["held_out_log_likelihood"] -= self.data.log_volume(self.data.held_out)
        return {name: value for name, value in numbers.items() if name not in found}

    def verdict(self, numbers: Mapping[str, float]) -> str:
        return str(verdict(numbers))


class Likelihood(Section):
    """Of images with noise, of an energy with a base: their likelihood, by `metrics/likelihood.py`."""

    needs = "images energy base"
    numbers = OF_LIKELIHOOD
    densities: Mapping[str, dict[str, float]] = {}  # that stand beside it

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return {}
        rng = torch.Generator().manual_seed(self.seed)
        base = stated(model.learned.energy, "base")
        noisy = as_trained(self.data.held_out, self.data, model, rng)
        with evaluating(model.learned.energy) as energy:
            numbers, self.reasons = log_likelihood(energy, base, noisy, rng)
        some = as_trained(evenly(self.data.points), self.data, model, rng)
        self.densities = likelihood_yardsticks(some.flatten(1).cpu(), noisy.flatten(1).cpu())
        self.densities |= {"the energy's base": {"log_likelihood": numbers["log_likelihood_base"]}}
        return numbers

    def yardsticks(self) -> dict[str, dict[str, float]]:
        return dict(self.densities)
