"""One grid of a pyramid of energies: what learns on it, and from what."""

from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.generators.base import Draw
from energy_gan.generators.coarse_to_fine import Level
from energy_gan.methods.phases import Objective, Penalty, Phases, phases
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.objectives import maximum_likelihood
from energy_gan.optim.learns import Learns
from energy_gan.randomness import noised
from energy_gan.shapes import Points


class Grid(nn.Module):
    """An energy of images of one size, whose chains begin where the coarser grid's have ended.

    Args:
        shape: of its images, [C, h, w].
        energy: E, from (B, C, h, w) to (B,).
        learns: how E learns; in every step, since a finer grid begins at this one's chains.
        negatives: its chains, from what they are given: FromGenerator in order, no memory.
        objective: (E(x⁺), negatives) -> named terms; what E descends.
        penalty: (points, their energies) -> a term that keeps E smooth; None leaves it out.
        data_noise: σ of the noise that its images get before E sees them. Not negative.
    """

    def __init__(
        self,
        shape: Sequence[int],
        energy: nn.Module,
        learns: Learns,
        negatives: NegativeSampler,
        objective: Objective = maximum_likelihood,
        penalty: Penalty | None = None,
        data_noise: float = 0.0,
    ):
        super().__init__()
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"shape must be [C, h, w], each at least 1, got {list(shape)}")
        if learns.every > 1:
            raise ValueError(f"learns.every must be 1, a finer grid begins here, got {learns.every}")
        self.shape, self.energy, self.learns, self.negatives = tuple(shape), energy, learns, negatives
        self.objective, self.penalty, self.data_noise = objective, penalty, data_noise
        self.last: Negatives | None = None

    def phases(self, start: Points, x: Points) -> Phases:
        """Positive phase at x, negative phase where chains come to that begin at `start`."""
        negatives = self.negatives(self.energy, begun(start), x)
        found = phases(self.energy, noised(x, self.data_noise), negatives, self.objective, self.penalty)
        self.negatives.note(found.positive, found.negatives)
        self.last = found.negatives
        return found

    @property
    def level(self) -> Level:
        """What a walk from coarse to fine needs of it."""
        return Level(self.shape, self.energy, self.negatives.walked.chains, self.data_noise)

    def vital_signs(self, n: int, rng: torch.Generator) -> dict[str, float]:
        return self.negatives.vital_signs(self.energy, self.last, n, rng)


def begun(start: Points) -> Draw:
    """Where chains begin, as a batch that a generator would have made: the coarser grids are one."""
    return Draw(start.flatten(1), start, start)
