"""Few labels: which of a set's labels training may see, and a table's column that holds them.

    labels=10      ten of each class
    labels=0.05    that share of each class, rounded, one at least

By frequency as many in all are drawn from all labelled points alike, so that the classes have about their own
shares. A point whose label is not among them has −1 in training; what is measured is measured by all labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Int
from torch import Tensor

from energy_gan.data.arrow import is_number, plain
from energy_gan.errors import InputError
from energy_gan.randomness import random_generator

MOST = 1_000  # classes
LabelDraw = Literal["balanced", "frequency"]


@dataclass(frozen=True)
class Known:
    """How many labels are known, and how they are drawn.

    Args:
        labels: of each class, a whole number, or as a number with a point the share of each class, above 0
            and up to 1; None: all there are.
        label_draw: "balanced": so many of each class; "frequency": as many in all, from all alike.
    """

    labels: int | float | None = None
    label_draw: LabelDraw = "balanced"

    def __post_init__(self):
        n, is_share = self.labels, isinstance(self.labels, float)
        if n is not None and not (0 < n <= 1 if is_share else n >= 1):
            raise ValueError(
                f"labels must be a whole number of each class, at least 1, or a share above 0 and up to 1, "
                f"got {n}"
            )

    def of(self, labels: Int[Tensor, "N"], classes: Sequence[str], seed: int) -> Int[Tensor, "N"]:
        """The labels with −1 for those that are not known.

        Raises:
            InputError: a class has no label or fewer than are asked for, or the draw leaves it without.
        """
        if self.labels is None:
            return labels
        require_each(labels, classes)
        own = [(labels == k).nonzero()[:, 0] for k in range(len(classes))]
        wanted = [self._of(len(rows)) for rows in own]
        if self.label_draw == "frequency":
            drawn = self._by_frequency(labels, sum(wanted), seed)
        else:
            least = min(range(len(own)), key=lambda k: len(own[k]) - wanted[k])
            if wanted[least] > len(own[least]):
                raise InputError(
                    f"data.labels={self.labels} are asked of each class and {classes[least]!r} has "
                    f"{len(own[least])} among the points to train on: give data.labels={len(own[least])}"
                )
            rng = random_generator(seed, 7)
            drawn = torch.cat(
                [r[torch.randperm(len(r), generator=rng)[:n]] for r, n in zip(own, wanted, strict=True)]
            )
        known = torch.full_like(labels, -1)
        known[drawn] = labels[drawn]
        if without := [name for k, name in enumerate(classes) if not (known == k).any()]:
            raise InputError(
                f"of the {len(drawn)} labels drawn by frequency with seed {seed} class {without[0]!r} has "
                "none: give more labels, another seed, or data.label_draw=balanced"
            )
        return known

    def _of(self, n: int) -> int:
        """How many of a class that has n."""
        return max(1, round(self.labels * n)) if isinstance(self.labels, float) else self.labels

    def _by_frequency(self, labels: Int[Tensor, "N"], n: int, seed: int) -> Int[Tensor, "n"]:
        there = (labels >= 0).nonzero()[:, 0]
        if n > len(there):
            raise InputError(
                f"data.labels={self.labels} of each class are {n} in all and there are {len(there)} in the "
                "points to train on: give fewer"
            )
        return there[torch.randperm(len(there), generator=random_generator(seed, 7))[:n]]


def require_each(labels: Int[Tensor, "N"], classes: Sequence[str]) -> None:
    """InputError unless each class has a label."""
    there = set(labels.unique().tolist())
    if lacking := [name for k, name in enumerate(classes) if k not in there]:
        raise InputError(
            f"class {lacking[0]!r} has no label among the {len(labels)} points to train on: give one at "
            "least, or leave the class out"
        )


def check_number(classes: Sequence[str], what: str) -> None:
    """InputError unless a column of labels has at least 2 classes, and not so many that it holds none."""
    if len(classes) > MOST:
        raise InputError(
            f"{what} has {len(classes):,} different values, as {classes[0]!r} and {classes[1]!r}, and "
            f"{MOST:,} classes are the most: name the column that holds the class"
        )
    if len(classes) < 2:
        raise InputError(
            f"{what} holds {len(classes)} class{'es' * (not classes)}, at least 2 are needed: "
            "name another column"
        )


class Labelled(NamedTuple):
    """A table without its column of labels, and these."""

    table: pa.Table
    labels: Int[np.ndarray, "N"]  # −1 where the cell is empty
    classes: list[str]


def label_name(names: Sequence[str], column: int | str, source: str) -> str:
    """The name of the column that is given by its name or its number from 1.

    Raises:
        InputError: there is none.
    """
    if isinstance(column, int) and 1 <= column <= len(names):
        return names[column - 1]
    if column not in names:
        listed = ", ".join(names[:12]) + ", …" * (len(names) > 12)
        raise InputError(
            f"data.label_column={column} is no column of {source}, which has {listed}: give one of these, or "
            "a number from 1"
        )
    return column


def with_labels(
    table: pa.Table, column: int | str, source: str, classes: Sequence[str] | None = None
) -> Labelled:
    """The table apart from its labels. Classes are in the order of their names, numbers by their value.

    Args:
        classes: that a model knows; those of the column if None.

    Raises:
        InputError: there is no such column, it holds one value, too many, or a class that is not known.
    """
    name = label_name(table.column_names, column, source)
    cells = plain(table[name])
    counted = [v for v in pc.unique(cells).to_pylist() if v is not None and v == v and v != ""]
    called = {value: f"{value:g}" if isinstance(value, float) else str(value) for value in counted}
    if classes is None:
        classes = [called[value] for value in sorted(counted, key=None if is_number(cells.type) else str)]
        check_number(classes, f"{source}: the label column {name!r}")
    if unknown := [value for value, said in called.items() if said not in classes]:
        row = cells.to_pylist().index(unknown[0]) + 1
        raise InputError(
            f"{source}: row {row} is of class {called[unknown[0]]!r}, which training has never seen: the "
            f"classes are {', '.join(classes[:12])}{', …' * (len(classes) > 12)}"
        )
    number = {value: classes.index(said) for value, said in called.items()}
    labels = np.array([number.get(value, -1) for value in cells.to_pylist()], np.int64)
    return Labelled(table.drop_columns([name]), labels, classes)
