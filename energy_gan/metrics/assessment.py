"""Do data, energy and generator agree, where the true density is unknown and in any dimension?

log Z                     by importance sampling from the generator's known density, and by annealing
                          from a normal, forward and in reverse; an estimate only if the guards hold
likelihood_gain           held-out log-likelihood of the energy, less a Gaussian's
auc_…                     a classifier's AUC for each pair of the three laws
auc_control               the same for two halves of the held-out points, which are of one law
missing_share             share of the held-out points where the generator has almost no samples
drift, drift_nats         by how much MALA lowers the energy of held-out points: in its standard deviations
                          there, and in nats
"""

import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.metrics.detection import two_sample_test
from energy_gan.metrics.yardsticks import GaussianEstimate
from energy_gan.numerics.weights import ess
from energy_gan.randomness import random_generator
from energy_gan.samplers.annealed_importance import DRIFTS, Normalizer, bracket, drift, drifts

Weighted = tuple[Float[Tensor, "W D"], Float[Tensor, "W"]]
TOLERANCE = 0.2  # nats between two estimates of log Z
N_CHAINS = 256
LEAST_ESS = 0.05  # effective share of the weighted samples


def assess(
    energy: Callable[[Tensor], Tensor],
    points: Float[Tensor, "N D"],
    held_out: Float[Tensor, "M D"],
    generated: Float[Tensor, "n D"] | None,
    refined: Float[Tensor, "m D"] | None,
    weighted: Weighted | None = None,
    log_normalizer: float | None = None,
    seed: int = 0,
    n_chains: int = N_CHAINS,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The numbers above, and the reasons why there is no log Z if there is none.

    Args:
        energy: in standardised units, like all points.
        points: trained on; the Gaussian is fitted to them.
        generated, refined: raw samples, and the same after MALA on the energy; one tensor where the
            generator's law is the energy's.
        weighted: samples with log weights, `Model.weighted_samples`.
        log_normalizer: log Z where it is known from elsewhere, as in the plane.
    """
    rng, numbers = random_generator(seed, 7), {}
    with torch.no_grad():
        held_out_energy = float(energy(held_out).double().mean())
    of_energy = refined
    if weighted is not None:
        by_weight, shares = by_weights(energy, weighted)
        numbers |= by_weight
        if numbers["importance_ess"] > LEAST_ESS:
            # each at most once: copies would be in both halves of a classifier's data and be recognised
            of_energy = weighted[0][torch.rand(len(shares), generator=rng) < shares / shares.max()]
    if log_normalizer is None:
        chains = of_energy if of_energy is not None else held_out
        annealed = bracket(energy, chains[:n_chains], held_out[:2_000], tolerance=TOLERANCE, rng=rng)
        numbers |= {"annealed_low": annealed.low, "annealed_high": annealed.high}
        fall = annealed.drift
        log_normalizer, reasons = decide(numbers, annealed)
    else:
        fall, reasons = drift(energy, held_out[:2_000], rng), ()
    numbers |= {"drift": fall.deviations, "drift_nats": fall.nats}
    if log_normalizer is not None:
        gaussian = float(GaussianEstimate(points).log_prob(held_out).mean())
        numbers["log_normalizer"] = log_normalizer
        numbers["held_out_log_likelihood"] = -held_out_energy - log_normalizer
        numbers["likelihood_gain"] = numbers["held_out_log_likelihood"] - gaussian
    return numbers | compare(held_out, generated, of_energy, seed), reasons


def log_normalizer(
    energy: Callable[[Tensor], Tensor], weighted: Weighted | None, points: Float[Tensor, "N D"], seed: int = 0
) -> tuple[float | None, tuple[str, ...]]:
    """log Z, or the reasons why there is none: by weights, and annealed only where few samples carry these.

    Args:
        energy, weighted: as in `assess`.
        points: of the data.
    """
    rng, numbers = random_generator(seed, 7), {}
    if weighted is not None:
        numbers, _ = by_weights(energy, weighted)
    if numbers.get("importance_ess", 0.0) > LEAST_ESS:
        fall = drift(energy, points, rng)
        return decide(numbers, Normalizer(None, math.nan, math.nan, 0.0, (), fall))
    return decide(numbers, bracket(energy, points[:N_CHAINS], points, tolerance=TOLERANCE, rng=rng))


@torch.no_grad()
def by_weights(
    energy: Callable[[Tensor], Tensor], weighted: Weighted
) -> tuple[dict[str, float], Float[Tensor, "W"]]:
    """log Z by importance sampling, the effective share, and each sample's share of the energy's law."""
    log_terms = weighted[1] - energy(weighted[0])
    shares = log_terms.softmax(0)
    return {
        "importance_log_normalizer": float(log_terms.logsumexp(0)),
        "importance_ess": float(ess(log_terms)) / len(log_terms),
    }, shares


def decide(numbers: Mapping[str, float], annealed: Normalizer) -> tuple[float | None, tuple[str, ...]]:
    """Importance sampling's log Z where many samples carry it, else annealing's where its guards hold.

    Neither stands where held-out points drift, nor importance sampling's where annealing's guards hold and
    the two differ.
    """
    by_weights, carried = numbers.get("importance_log_normalizer"), numbers.get("importance_ess", 0.0)
    if by_weights is None or not math.isfinite(by_weights) or carried < LEAST_ESS:
        return annealed.log_normalizer, annealed.reasons
    if annealed.log_normalizer is not None and abs(annealed.log_normalizer - by_weights) > TOLERANCE:
        reason = (
            f"importance sampling says {by_weights:.2f} and annealing {annealed.log_normalizer:.2f}, "
            "though each looks well"
        )
        return None, (reason,)
    return (None, (drifts(annealed.drift),)) if annealed.drift.deviations > DRIFTS else (by_weights, ())


def compare(
    data: Float[Tensor, "M D"],
    generated: Float[Tensor, "n D"] | None,
    of_energy: Float[Tensor, "m D"] | None,
    seed: int = 0,
) -> dict[str, float]:
    """A classifier's AUC for each pair of the laws that there are; ½ for one tensor that is both."""
    laws = {"data": data, "generator": generated, "energy": of_energy}
    numbers = {}
    for one, other in (("data", "generator"), ("data", "energy"), ("generator", "energy")):
        if laws[one] is None or laws[other] is None:
            continue
        if generated is of_energy and other == "energy":
            numbers[f"auc_{one}_energy"] = 0.5 if one == "generator" else numbers["auc_data_generator"]
            continue
        test = two_sample_test(laws[one], laws[other], seed)
        numbers[f"auc_{one}_{other}"] = test.auc
        numbers["auc_standard_error"] = max(numbers.get("auc_standard_error", 0.0), test.standard_error)
        if (one, other) == ("data", "generator"):
            numbers["missing_share"] = test.missing
    if numbers:
        numbers["auc_control"] = two_sample_test(data[::2], data[1::2], seed).auc
    return numbers
