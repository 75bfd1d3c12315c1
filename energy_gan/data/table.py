"""A user's own table, one row for each point: a frame, an array or a file.

Whatever is wrong with it is one line that names the place, what was expected and what to do.
Rows count from 1 and do not count a header.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.data.base import Batches, DataModule
from energy_gan.data.density import Density
from energy_gan.data.partly_labelled import Known, LabelDraw, with_labels
from energy_gan.data.schema import Schema, as_table
from energy_gan.data.table_files import read_table
from energy_gan.data.units import FENCE, Units, fitted
from energy_gan.errors import InputError
from energy_gan.randomness import random_generator
from energy_gan.shapes import Batch


class ArrayPoints(DataModule):
    """The rows of a table in memory, a random part of them held out.

    Args:
        x: a frame, an array of shape (N, D), or whatever else `as_table` takes.
        columns: what they hold, as far as it is not to be detected, see `Schema.of`.
        missing: what becomes of rows that lack a value: they are refused, dropped, or their cells are imputed
            (and none of these rows is held out).
        held_out: the share of the rows that is kept back, between 0 and 1.
        batch_size, seed: as in `DataModule`; the seed draws the split too.
        density: the law that the rows were drawn from, where it is known. Training never sees it; what
            was learned is measured against it.
        label_column: of the class of each row, by its name or its number from 1, which is no column of the
            points; an empty cell is no label. None: no row has one.
        labels, label_draw: the labels that training may see, see `Known`.

    Attributes:
        schema: the columns, after `setup` with their standardisation.

    Raises:
        InputError: x is no table, or not one in which every column varies.
    """

    def __init__(
        self,
        x: Any,
        columns: dict[str, str | dict[str, Any]] | str | None = None,
        missing: Literal["refuse", "drop", "impute"] = "refuse",
        held_out: float = 0.1,
        batch_size: int = 128,
        seed: int = 0,
        density: Density | None = None,
        label_column: int | str | None = None,
        labels: int | float | None = None,
        label_draw: LabelDraw = "balanced",
    ):
        table, self.y = as_table(x, self.source), None
        if label_column is not None:
            table, self.y, self.classes = with_labels(table, label_column, self.source)
        self.known, self.label_column = Known(labels, label_draw), label_column
        super().__init__([table.num_columns], batch_size, seed)
        if density is not None and tuple(density.low.shape) != self.shape:
            raise ValueError(
                f"density must be of points of shape {list(self.shape)}, as the table's rows are, got one of "
                f"{list(density.low.shape)}"
            )
        self.density = density
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must be a share between 0 and 1, both excluded, got {held_out}")
        if missing not in ("refuse", "drop", "impute"):
            raise ValueError(f"missing must be refuse, drop or impute, got {missing!r}")
        self.missing, self.share = missing, held_out
        if not table.num_rows or not table.num_columns:
            raise InputError(f"{self.source} has no rows: give a table with one row for each point")
        known = columns if columns or density is None else "continuous"
        self.schema = Schema.of(table, known, self.source)
        self.x, self.columns = self.schema.encode(table, self.source), self.schema.names

    def load(self) -> tuple[Float[Tensor, "N D"], Float[Tensor, "M D"]]:
        lacks = np.isnan(self.x)
        if self.missing == "refuse":
            self._refuse(lacks)
        usable = ~lacks.any(1) if self.missing == "drop" else ~lacks.all(1)
        x, lacks, y = self.x[usable], lacks[usable], None if self.y is None else self.y[usable]
        order = torch.randperm(len(x), generator=random_generator(self.seed, 0)).numpy()
        whole = order[~lacks.any(1)[order]]
        if len(whole) < 3:
            rows = (
                f"{len(whole)} row{'s' * (len(whole) != 1)}{' without a missing value' * bool(lacks.any())}"
            )
            raise InputError(f"{self.source} has {rows}: give 3 or more, to train on and to hold out")
        n_held_out = min(max(1, round(self.share * len(x))), len(whole) - 2)
        held_out = whole[:n_held_out]
        rest = order[~np.isin(order, held_out)]
        points = self._imputed(x[rest]) if lacks.any() else x[rest]
        for column, values in zip(self.schema.columns, points.T, strict=True):
            if values.min() == values.max():
                raise InputError(
                    f"{self.source}: column {column.name!r} is {column.shown(values[0])} in all "
                    f"{len(points)} rows to train on, and a density needs every column to vary: "
                    "drop the column"
                )
        if y is not None:
            self.labels, self.held_out_labels = torch.from_numpy(y[rest]), torch.from_numpy(y[held_out])
        return torch.from_numpy(points), torch.from_numpy(x[held_out])

    def _imputed(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        from energy_gan.data.missing import imputed  # with scikit-learn: a second

        return imputed(self.schema, x, random_generator(self.seed, 5))

    def moments(self) -> tuple[Float[Tensor, "D"], Float[Tensor, "D"]]:
        """The method itself gets numbers that are standardised already."""
        self.schema = fitted(self.schema, self.points.numpy(), self.seed)
        self.units = Units(self.schema)
        far = (self.units.networks(self.points).u.abs() > FENCE) & self.units.tails
        near = ~far.any(1)
        self.points = self.points[near]  # an energy bends towards the few that stand out
        self.labels = None if self.labels is None else self.labels[near]
        self.batch_size = min(self.batch_size, len(self.points))
        return torch.zeros(self.shape), torch.ones(self.shape)

    def standardise(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        return self.units.random(x, random_generator(self.seed, 4)).u.float()

    def log_volume(self, x: Float[Tensor, "B D"]) -> float:
        return float(self.units.random(x, random_generator(self.seed, 4)).log_volume.mean())

    def train_dataloader(self) -> Batches:
        if not self.schema.discrete:
            return super().train_dataloader()
        return Noised(self.units, self.points, self.batch_size, self.seed, self._step, self.known_labels)

    @property
    def has(self) -> frozenset[str]:
        return super().has | (frozenset() if self.y is None else {"labels"})

    @property
    def described(self) -> dict[str, Any]:
        return super().described | {"schema": self.schema.to_config()}

    @property
    def notes(self) -> list[str]:
        """The columns in one line, and one for each column of which a few cells stand out."""
        lines = [f"{self.source}: {self.schema}"]
        lacks = np.isnan(self.x)
        if lacks.any():
            done = {"drop": "dropped", "impute": "imputed"}[self.missing]
            lines.append(
                f"{self.source}: {lacks.any(1).sum()} of {len(lacks)} rows lack a value and are {done}"
            )
        u = self.units.networks(torch.from_numpy(self.x)).u.numpy()
        everywhere = fitted(self.schema, self.x[~lacks.any(1)], self.seed)  # in what is held out, too
        for i, column in enumerate(everywhere.columns):
            far = np.abs(u[:, i]) > FENCE
            if column.tails and far.any():
                row = int(np.argmax(np.where(far, np.abs(u[:, i]), 0)))
                lines.append(
                    f"{self.source}: {far.sum()} of {len(far)} cells of column {column.name!r} stand out, "
                    f"the farthest {column.shown(self.x[row, i])} in row {row + 1}: the scale "
                    "is that of the others, and these rows are not trained on"
                )
        return lines

    def _refuse(self, lacks: np.ndarray) -> None:
        if lacks.any():
            row, column = np.argwhere(lacks)[0]
            counts = ", ".join(f"{name} {n}" for name, n in zip(self.columns, lacks.sum(0), strict=True) if n)
            raise InputError(
                f"{self.source}: {lacks.any(1).sum()} of {len(lacks)} rows hold a value that is missing, the "
                f"first in row {row + 1}, column {self.columns[column]!r} (cells: {counts}): give "
                "data.missing=drop or data.missing=impute, or fill them in"
            )

    @property
    def source(self) -> str:
        """What errors call the table."""
        return "the table"


class Noised(Batches):
    """Batches of which every number that is not continuous gets new noise; still functions of (seed, k)."""

    def __init__(self, units: Units, *settings: Any):
        super().__init__(*settings)
        self.units = units

    def __iter__(self) -> Iterator[Batch]:
        for step, batch in enumerate(super().__iter__(), self.start()):
            own = batch.labelled
            if own is not None:
                own = own._replace(x=self._noised(own.x, step, 1))
            yield batch._replace(x=self._noised(batch.x, step), labelled=own)

    def _noised(self, x: Float[Tensor, "B D"], *numbers: int) -> Float[Tensor, "B D"]:
        return self.units.random(x, random_generator(self.seed, 2, *numbers)).u.float()


class TablePoints(ArrayPoints):
    """The rows of a table on disk, a random part of them held out.

    Args:
        path: of a file, see `read_table`.
        shape: of one point, [number of columns].
        columns, missing, held_out, batch_size, seed, density, label_column, labels, label_draw: as in
            `ArrayPoints`.
    """

    def __init__(
        self,
        path: str,
        shape: Sequence[int],
        columns: dict[str, str | dict[str, Any]] | str | None = None,
        missing: Literal["refuse", "drop", "impute"] = "refuse",
        held_out: float = 0.1,
        batch_size: int = 128,
        seed: int = 0,
        density: Density | None = None,
        label_column: int | str | None = None,
        labels: int | float | None = None,
        label_draw: LabelDraw = "balanced",
    ):
        if len(shape) != 1:
            raise ValueError(f"shape must be one number, the number of columns, got {list(shape)}")
        self.path = path
        table = read_table(path, n_columns=shape[0] + (label_column is not None))
        super().__init__(
            table, columns, missing, held_out, batch_size, seed, density, label_column, labels, label_draw
        )

    @property
    def source(self) -> str:
        return self.path
