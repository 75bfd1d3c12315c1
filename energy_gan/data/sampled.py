"""Points drawn from a law whose density is known."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from energy_gan.data.base import Batches, DataModule
from energy_gan.data.density import Density
from energy_gan.randomness import random_generator
from energy_gan.system.tables import write_table


class SampledPoints(DataModule):
    """Independent points of a density, and as independent held-out ones: two streams of one seed.

    Args:
        density: the law; it stays at hand to measure what was learned against it.
        shape: of one point, [D].
        n_points, n_held_out: how many to draw, at least 1.
        batch_size, seed: as in `DataModule`.
        labelled: the mode that a point belongs to is its class, in `labels` and `held_out_labels`.
    """

    def __init__(
        self,
        density: Density,
        shape: Sequence[int],
        n_points: int = 10_000,
        n_held_out: int = 10_000,
        batch_size: int = 128,
        seed: int = 0,
        labelled: bool = False,
    ):
        super().__init__(shape, batch_size, seed)
        if self.shape != tuple(density.low.shape):
            raise ValueError(
                f"shape must be {list(density.low.shape)}, that of the density's points, got {list(shape)}"
            )
        if min(n_points, n_held_out) < 1:
            raise ValueError(f"n_points and n_held_out must be at least 1, got {n_points} and {n_held_out}")
        self.density, self.n_points, self.n_held_out = density, n_points, n_held_out
        self.labelled, self.classes = labelled, [str(mode) for mode in range(len(density.mode_shares))]

    def load(self) -> tuple[Float[Tensor, "N D"], Float[Tensor, "M D"]]:
        counts = (self.n_points, self.n_held_out)
        points, held_out = (
            self.density.sample(n, random_generator(self.seed, stream)) for stream, n in enumerate(counts)
        )
        return points, held_out

    @property
    def has(self) -> frozenset[str]:
        return super().has | ({"labels"} if self.labelled else set())

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        sets = (self.points, self.held_out)
        self.labels, self.held_out_labels = (self.density.modes(x) if self.labelled else None for x in sets)

    def train_dataloader(self) -> Batches:
        return Batches(self.standardise(self.points), self.batch_size, self.seed, self._step, self.labels)


def draw(density, n: int, seed: int, out: Path) -> int:
    """Write n points of a density as a table; how many they are."""
    from energy_gan.randomness import random_generator

    points = density.sample(n, random_generator(seed)).numpy()
    write_table(out, [points], points.shape, [f"x{i}" for i in range(points.shape[1])])
    return len(points)
