"""Do the chains that an energy learned from mix? Among the points, and where they walk if that is elsewhere.

mixing_rhat              split R̂, the worst of E and of the axes along which the points vary most
mixing_autocorrelation   N / ESS, of the same, in moves
mixing_modes             of the data's modes the share that a chain has been in, the mean over the chains
…_of_points              the same of chains among the points, of a model whose own walk in a base's latents

All start at held-out points; a fifth of the moves comes before they count.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.metrics.mixing import mixing, modes_visited, quantities
from energy_gan.model import Model
from energy_gan.negatives.base import Walked
from energy_gan.samplers.chains import Chains, tune
from energy_gan.shapes import Points

WATCHED = 64  # chains
OF_POINTS = "_of_points"


def measured(
    model: Model, data: DataModule, x: Float[Tensor, "T C *S"], energies: Float[Tensor, "T C"], like: Points
) -> dict[str, float]:
    """The numbers of chains that were at x, as the networks see points.

    Args:
        energies: there, of what the chains leave as it is.
        like: points of the data.
    """
    found = mixing(quantities(x.transpose(0, 1), energies.T, like))
    if data.density is not None:
        modes = data.density.modes(model.units.own(x.transpose(0, 1).flatten(0, 1)))
        found["modes"] = modes_visited(modes.view(x.shape[1], len(x)), data.density.mode_shares)
    return {f"mixing_{name}": value for name, value in found.items()}


def among_points(
    walked: Walked, energy, start: Points, n_steps: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Where chains of the same kernel go among the points, and their energies, (T, C, …), by tuned steps."""
    chains: Chains = replace(walked.chains, n_steps=n_steps, target=None)
    chains = replace(chains, step_size=tune(chains.kernel, energy, start, rng))
    states = [step.state for step in chains.walk(energy, start, rng)]
    return torch.stack([state.x for state in states]), torch.stack([state.energy for state in states])
