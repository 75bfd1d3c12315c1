"""What a flow and an energy beside it can say: bits per dimension, and whether the learned log Z is right."""

import math
from collections.abc import Mapping

from torch import Tensor

from energy_gan.metrics.assessment import LEAST_ESS, by_weights
from energy_gan.model import Model
from energy_gan.reports.numbers import OF_BITS, OF_CONSTANT
from energy_gan.reports.section import Section

HELD_OUT, DURING = 2_000, 500  # images
WEIGHTED, AT_ONCE = 4_000, 250


class Bits(Section):
    """Of images whose shades noise has filled: a flow's bits per dimension, exact, and those of the energy.

    The energy's rest on log Z by importance sampling from the flow: it has none where few samples carry it.
    """

    needs = "images exact shades"
    numbers = OF_BITS

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        x = self.data.pixels(self.data.held_out[: HELD_OUT if full else DURING])
        of_flow = model.bits_per_dimension(x, self.seed)
        numbers = {"bits_per_dimension": float(of_flow.mean())}
        if not full or model.learned.constant is None:
            return numbers
        weighted = model.weighted_samples(WEIGHTED, self.seed, AT_ONCE)
        of_weights, _ = by_weights(model.energy_of_networks, weighted)
        numbers |= of_weights
        if of_weights["importance_ess"] > LEAST_ESS:
            energies = model.energy(model.noisy(x, self.seed)) + of_weights["importance_log_normalizer"]
            numbers["energy_bits_per_dimension"] = float(model.bits(energies).mean())
            numbers["bits_gained"] = numbers["bits_per_dimension"] - numbers["energy_bits_per_dimension"]
        return numbers


class LearnedConstant(Section):
    """log Z as the method has learned it, against the grid's in the plane, else that by weights."""

    needs = "energy constant"
    numbers = OF_CONSTANT

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        learned = float(model.learned.constant)
        known = found.get("log_normalizer", found.get("importance_log_normalizer", math.nan))
        numbers = {"learned_log_normalizer": learned}
        return numbers if math.isnan(known) else numbers | {"learned_log_normalizer_error": learned - known}
