"""The contract of the negative samples: where x⁻ comes from, and how it is weighted (Eq. 12)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.generators.base import Draw, Generator
from energy_gan.samplers.chains import Chains
from energy_gan.shapes import Energies, Negatives, Points


class Walked(NamedTuple):
    """Chains that negatives come from, as training left them.

    chains: the kernel, and the step size of now.
    trace: of the last steps, oldest first, E[E(x⁺)] − E[E(x⁻)] and E‖∇E(x⁻)‖.
    some: where at most n of those are that go on from step to step.
    """

    chains: Chains
    trace: Float[Tensor, "T 2"]
    some: Callable[[int], Points]


class NegativeSampler(nn.Module, ABC):
    """A source of negatives. What it must remember goes into buffers, and so into checkpoints."""

    needs_generator = False
    keeps_rows = False  # whether each negative comes from the same row of the generator's batch
    remembers = False  # whether there are negatives of earlier steps

    @abstractmethod
    def forward(self, energy: Callable[[Points], Energies], draw: Draw | None, x: Points) -> Negatives:
        """Negatives without a graph: from the generator's batch `draw`, the data `x` or from elsewhere."""

    def generator(self, energy: nn.Module, shape: Sequence[int]) -> Generator | None:
        """What makes samples of latents of a known law: a short run, a flow; None where nothing does."""
        return None

    def remembered(self, n: int) -> Points:
        """At most n negatives of earlier steps or of this one, at random."""
        return torch.empty(0)

    @property
    def walked(self) -> Walked | None:
        """The chains that the negatives come from; None where they come from elsewhere."""
        return None

    def note(self, positive: Float[Tensor, "P"], negatives: Negatives) -> None:
        """See what the energy's move came to: E(x⁺), and the negatives with their energies."""

    def vital_signs(
        self, energy: Callable[[Points], Energies], last: Negatives | None, n: int, rng: torch.Generator
    ) -> dict[str, float]:
        """See `Method.vital_signs`; `last` are the negatives of the last step, if there were any."""
        signs = self.chains(energy, n, rng)
        return signs if last is None else signs | {"energy_negative": float(last.mean_energy)}

    def chains(self, energy: Callable[[Points], Energies], n: int, rng: torch.Generator) -> dict[str, float]:
        """How n of its chains go, none of which is moved: "chains_acceptance", "chains_step_size"; or {}."""
        return {}
