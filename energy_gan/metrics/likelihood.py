"""The log-likelihood of an energy of images with noise, and of what it is compared with.

    log p(y) = −E(y) − log Ẑ,    y = x + σ ε, ε ~ N(0, I)

in nats an image. Pixels without noise are no space to compare in: those that are black in every image have
any density one likes. log Ẑ is annealed from the energy's base, forward and in reverse, in two lengths, with
the guards of `samplers.annealed_importance.bracket`; a result that fails one is no estimate.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor

from energy_gan.samplers.annealed_importance import Base, Fall, bracket, settled
from energy_gan.samplers.chains import Chains, tune
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Energies, Points

N_CHAINS = 128
N_TEMPERATURES = 100  # and four times as many
N_MOVES = 200
SETTLE = 300  # more, before chains begin the way back
TOLERANCE = 10.0  # nats, of every comparison
FULL = 1_100  # columns whose covariances fit in memory
ROWS = 2_000  # points at a time


def log_likelihood(
    energy: Callable[[Points], Energies], base: Base, held_out: Points, rng: torch.Generator | None = None
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The numbers, and the reasons where there is no estimate; minutes for images.

    log_likelihood      the mean over the held-out points, log Ẑ in the middle of the two below; not there
                        without an estimate
    …_forward, …_reverse    with the greatest and the least of the estimates of log Z: from below and above
    …_base              of the base alone
    drift_200, …_nats   by how much 200 moves of MALA lower held-out points' energies: in standard deviations
                        of these, and in nats

    Args:
        held_out: with the noise.
    """
    with torch.no_grad():
        energies = torch.cat([energy(part) for part in held_out.split(ROWS)])
        of_base = torch.cat([base(part) for part in held_out.split(ROWS)])
    start = held_out[:N_CHAINS]
    chains = Chains(MALA(), N_MOVES, tune(MALA(), energy, start, rng))
    state = chains.run(energy, start, rng).state
    fall = Fall.between(energies[:N_CHAINS], state.energy)
    ends = Chains(MALA(), SETTLE, chains.step_size).run(energy, state, rng).state.x
    if base.proposal is not None:  # which goes further
        ends = settled(energy, ends, base, SETTLE, rng)
    found = bracket(energy, ends, held_out[:N_CHAINS], N_TEMPERATURES, TOLERANCE, base, rng)
    mean = float(energies.mean())
    numbers = {
        "log_likelihood_forward": -mean - found.low,
        "log_likelihood_reverse": -mean - found.high,
        "log_likelihood_base": -float(of_base.mean()),
        "drift_200": fall.deviations,
        "drift_200_nats": fall.nats,
    }
    if found.log_normalizer is not None:
        numbers = {"log_likelihood": -mean - found.log_normalizer} | numbers
    return numbers, found.reasons


def likelihood_yardsticks(
    points: Float[Tensor, "N D"], held_out: Float[Tensor, "M D"], rank: int = 100
) -> dict[str, dict[str, float]]:
    """log_likelihood of densities fitted to points with the same noise, by scikit-learn.

    Over 1,100 columns those with a covariance matrix are left out.
    """
    x, y = points.numpy(), held_out.numpy()
    rank = min(rank, x.shape[1] - 1)
    densities = {"diagonal Gaussian": GaussianMixture(1, covariance_type="diag")}
    if x.shape[1] <= FULL:
        densities["full Gaussian"] = GaussianMixture(1, covariance_type="full")
        densities[f"probabilistic PCA, {rank} axes"] = PCA(rank, svd_solver="covariance_eigh")
    return {name: {"log_likelihood": float(d.fit(x).score(y))} for name, d in densities.items()}
