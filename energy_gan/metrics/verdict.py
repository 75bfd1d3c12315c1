"""One line in plain words: do data, energy and generator agree? From numbers that need no true density."""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["agree", "critic", "lags", "missing", "short", "none"]

TOLD_APART = 0.04  # AUC above ½ by which two laws of 10,000 points count as different
MISSING = 0.02  # share of the data where the generator has less than a tenth of their density
WORSE = 0.0  # nats by which an energy must beat a Gaussian of the data's mean and covariance


class Verdict(NamedTuple):
    """What kind of outcome it is, and the sentence that says so."""

    kind: Kind
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def verdict(numbers: Mapping[str, float]) -> Verdict:
    """The verdict on a pair, from the numbers of `metrics/assessment.py` by name.

    In this order: an energy that gives the held-out data less likelihood than a Gaussian, or away from
    which they drift, is a critic; a generator without samples in a part of the data, and otherwise like
    them, has modes missing; an energy whose law is further from the data than the generator's is a critic
    too; a generator that is told from the energy's law lags behind it; an energy whose law is told from the
    data, its generator with it, falls short; else they agree.
    """
    data_generator = numbers.get("auc_data_generator", math.nan)
    data_energy = numbers.get("auc_data_energy", math.nan)
    generator_energy = numbers.get("auc_generator_energy", math.nan)
    if math.isnan(data_energy):
        return Verdict(
            "none",
            "no verdict: there are no samples of the energy, or fewer than 50 held-out points",
        )
    apart = {
        "data | generator": data_generator,
        "data | energy": data_energy,
        "generator | energy": generator_energy,
    }
    shown = ", ".join(f"{name} {auc:.2f}" for name, auc in apart.items() if not math.isnan(auc))
    said = f"(a classifier's AUC, 0.5 is best: {shown})"
    gain = numbers.get("likelihood_gain", math.nan)
    if gain < WORSE:
        return Verdict(
            "critic",
            f"the energy is a critic, no density: held-out points have {-gain:.2f} nats less than under a "
            f"Gaussian {said}",
        )
    drift = numbers.get("drift", 0.0)
    if drift > 1 or not math.isfinite(drift):
        return Verdict(
            "critic",
            f"the energy is a critic, no density: MALA moves lower the energy of held-out points by "
            f"{drift:.1f} standard deviations {said}",
        )
    missing = numbers.get("missing_share", 0.0)
    if missing > MISSING and data_generator < 0.5 + missing / 2 + 0.1:  # missing / 2 is what they cost
        return Verdict(
            "missing",
            f"modes are missing: {100 * missing:.0f} % of the held-out points lie where the generator has "
            f"almost no samples {said}",
        )
    if data_energy > max(0.5, data_generator) + TOLD_APART and generator_energy > 0.5 + TOLD_APART:
        return Verdict(
            "critic", f"the energy is a critic, no density: the generator is nearer to the data {said}"
        )
    if generator_energy > 0.5 + TOLD_APART:
        return Verdict("lags", f"the generator lags behind the energy {said}")
    if data_energy > 0.5 + TOLD_APART:
        return Verdict("short", f"the energy falls short of the data, the generator follows it {said}")
    return Verdict("agree", f"data, energy and generator agree {said}")
