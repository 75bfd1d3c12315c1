"""One line in plain words: do data, energy and generator agree? From numbers that need no true density."""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from energy_gan.metrics.detection import LEAST
from energy_gan.samplers.annealed_importance import Fall

Kind = Literal["agree", "nearly", "critic", "lags", "missing", "short", "unsure", "none"]

ERRORS = 3.0  # standard errors above ½ from which an AUC is no chance
TOLD_APART = 0.04  # above ½ an AUC that matters; a test that would miss it has no power
MISSING = 0.02  # share of the data where the generator has less than a tenth of their density
WORSE = 0.0  # nats by which an energy must beat a Gaussian of the data's mean and covariance
RIVALS = {
    "mixture of Gaussians": "mixture_log_likelihood",
    "kernel estimate": "kernel_log_likelihood",
    "Gaussian": "gaussian_log_likelihood",
}
BRACKET = 3.0  # nats between the bounds of a log Z that may be called known
BRACKETS = (("annealed_low", "annealed_high"), ("log_likelihood_reverse", "log_likelihood_forward"))
LIKELIHOODS = {  # of held-out points, and what they are of
    "held_out_log_likelihood": "",
    "log_likelihood": "with noise",
    "latent_log_likelihood": "over latents",
}
PAIRS = {
    "data | generator": "auc_data_generator",
    "data | energy": "auc_data_energy",
    "generator | energy": "auc_generator_energy",
}


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
    data, its generator with it, falls short. Two laws are told apart where the AUC is above ½ by more than
    three of its standard errors and by more than 0.04.

    They agree where no AUC is above ½ by three standard errors, and nearly where one is, but by less than
    0.04. Nothing can be said where three standard errors are more than 0.04, for want of points, or where the
    classifier tells two halves of the held-out points apart, which are of one law. An energy without samples
    is judged by likelihood and drift alone. Beside it stands how the energy's likelihood compares with that
    of a mixture of Gaussians, a kernel estimate and one Gaussian, where these were measured.
    """
    found = _of_laws(numbers)
    worse = beaten(numbers)
    return found._replace(sentence=f"{found.sentence}; {worse}") if worse else found


def standing(numbers: Mapping[str, float]) -> str:
    """Whether what was measured lets an energy pass for a density; "" where no energy was measured.

    No density is one that data leave under MALA or that a Gaussian beats, one whose own chains fail a test,
    and one whose log Z, from below and from above, is known to `BRACKET` nats only.
    """
    if "drift" not in numbers:
        return ""
    if not abs(numbers["drift"]) <= 1 or numbers.get("likelihood_gain", 0.0) < WORSE:
        return "no: a critic"
    if fails := numbers.get("failed_tests", 0.0):
        return f"no: long chains fail {fails:.0f} test{'s' if fails > 1 else ''}"
    for below, above in BRACKETS:
        if below in numbers and not abs(gap := numbers[above] - numbers[below]) <= BRACKET:
            return f"no: log Z within {abs(gap):.0f} nats"
    return "yes" if any(name in numbers for name in LIKELIHOODS) else "not known: no log Z"


def beaten(numbers: Mapping[str, float]) -> str:
    """How the held-out likelihood compares with that of simple estimates; "" if it is not known."""
    own = numbers.get("held_out_log_likelihood", math.nan)
    gaps = {name: own - numbers.get(key, math.nan) for name, key in RIVALS.items()}
    worse = [f"a {name} by {-gap:.2f}" for name, gap in gaps.items() if gap < 0]
    if worse:
        return f"in nats a held-out point, the energy is worse than {', than '.join(worse)}"
    better = [f"a {name} by {gap:.2f}" for name, gap in gaps.items() if gap >= 0]
    return f"in nats a held-out point, the energy is better than {', than '.join(better)}" if better else ""


def _of_laws(numbers: Mapping[str, float]) -> Verdict:
    aucs = {pair: numbers[name] for pair, name in PAIRS.items() if name in numbers}
    if math.isnan(aucs.get("data | energy", 0.0)):
        return Verdict("none", f"no verdict on samples: there are fewer than {LEAST} held-out points")
    told = "data | energy" in aucs  # an energy alone has no samples to tell
    chance = ERRORS * numbers["auc_standard_error"] if told else math.inf
    shown = ", ".join(f"{pair} {auc:.3f}" for pair, auc in aucs.items())
    said = f"(a classifier's AUC, 0.5 ± {chance:.3f} if they are one law: {shown})" if told else ""

    def apart(pair: str, than: float = 0.5) -> bool:
        return aucs.get(pair, 0.0) > max(0.5 + max(chance, TOLD_APART), than + TOLD_APART)

    if (gain := numbers.get("likelihood_gain", math.nan)) < WORSE:
        return Verdict(
            "critic",
            f"the energy is a critic, no density: held-out points have {-gain:.2f} nats less than under a "
            f"Gaussian {said}".rstrip(),
        )
    fall = Fall(numbers.get("drift_nats", 0.0), numbers.get("drift", 0.0))
    if fall.deviations > 1 or not math.isfinite(fall.deviations):
        return Verdict(
            "critic",
            f"the energy is a critic, no density: MALA moves lower the energy of held-out points {fall} "
            f"{said}".rstrip(),
        )
    if not told:
        known = f"held-out points have {gain:.2f} nats more than under a Gaussian" if gain == gain else ""
        why = "no verdict on samples, of which the energy has none"
        return Verdict("none", f"{why}; {known}" if known else why)
    control = numbers.get("auc_control", math.nan)
    if control > 0.5 + math.sqrt(2) * chance:  # of half as many points
        return Verdict(
            "unsure",
            f"no verdict: a classifier tells even two halves of the held-out data apart, with an AUC of "
            f"{control:.3f} {said}",
        )
    missing, of_samples = numbers.get("missing_share", 0.0), aucs.get("data | generator", 0.5)
    if missing > MISSING and 0.5 + chance < of_samples < 0.5 + missing / 2 + 0.1:  # missing / 2 they cost
        return Verdict(
            "missing",
            f"modes are missing: {100 * missing:.0f} % of the held-out points lie where the generator has "
            f"almost no samples {said}",
        )
    if apart("data | energy", than=of_samples) and apart("generator | energy"):
        return Verdict(
            "critic", f"the energy is a critic, no density: the generator is nearer to the data {said}"
        )
    if apart("generator | energy"):
        return Verdict("lags", f"the generator lags behind the energy {said}")
    if apart("data | energy"):
        return Verdict("short", f"the energy falls short of the data, the generator follows it {said}")
    if apart("data | generator"):
        return Verdict("lags", f"the generator's samples are told from the data {said}")
    if not chance <= TOLD_APART:
        return Verdict(
            "unsure",
            f"whether data, energy and generator agree cannot be told from so few points: an AUC of "
            f"{0.5 + TOLD_APART} would pass for chance {said}",
        )
    seen = [pair for pair, auc in aucs.items() if auc > 0.5 + chance]
    if seen:
        return Verdict(
            "nearly",
            f"data, energy and generator nearly agree; a classifier still tells {' and '.join(seen)} apart "
            f"{said}",
        )
    return Verdict("agree", f"data, energy and generator agree {said}")
