"""What every data set gives: points in their own units, a held-out part, and batches by step.

Training sees standardised points u = (x − shift) / scale; everything that leaves the program is
in the data's own units x again. For energies the change of variables adds the Jacobian,
E_x(x) = E_u(u) + Σ log scale, see `energy_gan/model.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
import torch.distributed as dist
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from energy_gan.data.density import Density
from energy_gan.data.partly_labelled import Known, require_each
from energy_gan.data.schema import Schema
from energy_gan.errors import InputError
from energy_gan.numerics.ppca import evenly
from energy_gan.randomness import random_generator
from energy_gan.shapes import Batch
from energy_gan.system.lightning import TakesTrainer


class Batches:
    """Endless shuffled batches of points in memory, or of mapped images. Batch k is a function of (seed, k).

    So a resumed run needs no saved position: it asks for batch k, whatever came before. Every
    epoch is a fresh permutation; the points left over at its end are dropped, since batch norm
    wants whole batches. Of several processes that train together, each takes its slice of the batch.

    Where some points have a label and some have none, as many labelled ones come beside each batch, or all
    there are: by chance a batch would hold few, or none.
    """

    def __init__(
        self,
        points: Shaped[Tensor, "N *S"],
        batch_size: int,
        seed: int,
        start: Callable[[], int],
        labels: Int[Tensor, "N"] | None = None,
    ):
        self.points, self.batch_size, self.seed, self.start = points, batch_size, seed, start
        self.labels = labels
        self.per_epoch = len(points) // batch_size
        known = torch.empty(0) if labels is None else (labels >= 0).nonzero()[:, 0]
        self.labelled = known if 0 < len(known) < len(points) else None

    def __iter__(self) -> Iterator[Batch]:
        together = dist.is_available() and dist.is_initialized()
        rank, processes = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
        size = self.batch_size // processes
        step, epoch = self.start(), None
        while True:
            if epoch != step // self.per_epoch:
                epoch = step // self.per_epoch
                order = torch.randperm(len(self.points), generator=random_generator(self.seed, 1, epoch))
            first = step % self.per_epoch * self.batch_size + rank * size
            chosen = order[first : first + size]
            yield self._of(chosen)._replace(labelled=self._some_labelled(step, rank * size, size))
            step += 1

    def _of(self, chosen: Int[Tensor, "B"]) -> Batch:
        labels = None if self.labels is None else self.labels[chosen]
        return Batch(self.points.index_select(0, chosen), labels, chosen)

    def _some_labelled(self, step: int, first: int, size: int) -> Batch | None:
        if self.labelled is None:
            return None
        if len(self.labelled) <= size:
            return self._of(self.labelled)
        order = torch.randperm(len(self.labelled), generator=random_generator(self.seed, 8, step))
        return self._of(self.labelled[order.roll(-first)[:size]])


class DataModule(TakesTrainer, ABC):
    """Points in memory, standardised for training.

    Attributes, after `setup`:
        kind: what a point is.
        points, held_out: what is trained on and what is kept back, in the data's own units.
        shift, scale: the standardisation, one number per dimension.
        density: the law that the points come from, where it is known exactly.
        labels, held_out_labels: the class of each point, −1 where it has none; None without classes.
        classes: their names.
        columns: a name for each number of a point, where the data have names.
        schema: of a table, what its columns hold.
        notes: lines to show before training.

    Args:
        shape: of one point; read elsewhere in a config as ${data.shape}.
        batch_size: points in a batch, of all processes together, at least 2; all there are where that is
            fewer.
        seed: of the draw, the split and the order of the batches.
    """

    of_lightning = "LightningDataModule"
    trainer = None
    kind: Literal["points", "images", "text"] = "points"
    density: Density | None = None
    known = Known()
    labels: Int[Tensor, "N"] | None = None
    held_out_labels: Int[Tensor, "M"] | None = None
    classes: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    schema: Schema | None = None
    notes: Sequence[str] = ()

    def __init__(self, shape: Sequence[int], batch_size: int, seed: int):
        super().__init__()
        if batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 (batch norm needs it), got {batch_size}")
        self.shape, self.batch_size, self.seed = tuple(shape), batch_size, seed

    @property
    def described(self) -> dict[str, Any]:
        """What a model keeps of the data, in plain values."""
        return {"columns": self.columns, "classes": self.names_of_classes}

    @property
    def names_of_classes(self) -> list[str] | None:
        """Their numbers, where labels have no names; None without labels."""
        if self.labels is None:
            return None
        return list(map(str, self.classes or range(int(self.labels.max()) + 1)))

    @cached_property
    def known_labels(self) -> Int[Tensor, "N"] | None:
        """Those that training may see: all of them, or a draw by the seed, see `Known`."""
        return None if self.labels is None else self.known.of(self.labels, self.names_of_classes, self.seed)

    @property
    def has(self) -> frozenset[str]:
        """What there is to measure against, known before `setup`: "density", "labels", "modes"."""
        return frozenset() if self.density is None else frozenset({"density"})

    def require_each_class(self) -> None:
        """InputError unless training may see a label of each class."""
        require_each(self.known_labels, self.names_of_classes)

    @abstractmethod
    def load(self) -> tuple[Float[Tensor, "N *S"], Float[Tensor, "M *S"]]:
        """The points to train on and the points held out, float32, in the data's own units."""

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "points"):
            return
        self.points, self.held_out = self.load()
        if len(self.points) < 2:
            raise InputError(f"there is {len(self.points)} point to train on: give more, at least 2")
        self.batch_size = min(self.batch_size, len(self.points))
        self.shift, self.scale = self.moments()

    def moments(self) -> tuple[Float[Tensor, "*S"], Float[Tensor, "*S"]]:
        """shift and scale."""
        scale, shift = torch.std_mean(self.points.double(), dim=0)
        return shift.float(), torch.where(scale > 0, scale, 1.0).float()

    def log_volume(self, x: Float[Tensor, "B *S"]) -> float:
        """log |dx/du|, the mean over the points: energies of x less those of u."""
        return float(self.scale.log().sum())

    def standardise(self, x: Float[Tensor, "B *S"]) -> Float[Tensor, "B *S"]:
        return (x - self.shift) / self.scale

    def some(self) -> Float[Tensor, "K *S"]:
        """Standardised points for what is fitted to them, evenly out of all: as many as fit into memory."""
        return self.standardise(evenly(self.points))

    def train_dataloader(self) -> Batches:
        return Batches(
            self.standardise(self.points), self.batch_size, self.seed, self._step, self.known_labels
        )

    def _step(self) -> int:
        return self.trainer.global_step if self.trainer else 0
