"""New rows, images or sentences and their classes, where these stand beside them: a column, folders.

A class that training has never seen is refused: it could only be counted as wrong.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.data.folder import folder_batches
from energy_gan.data.partly_labelled import label_name, with_labels
from energy_gan.data.table_files import read_rows, read_table
from energy_gan.detection import crop_of, new_of, read_new
from energy_gan.errors import InputError
from energy_gan.model import Model


class Classified(NamedTuple):
    """What new ones are called, by title; p(y | x); how they rank; their classes, −1 where there is none."""

    names: dict[str, Sequence]
    probabilities: Float[Tensor, "N K"]
    ranks: Float[Tensor, "N"]
    labels: Int[np.ndarray, "N"]
    unreadable: list[str]


def classified(model: Model, run: Path, path: str) -> Classified:
    """Rows are called by their number from 1, images by their path in the folder.

    Raises:
        InputError: the path is of another kind than what the run was trained on, cannot be read, or has a
            class that training has never seen.
    """
    if model.kind == "images":
        return _images(model, run, path)
    labels = None
    column = model.method.hparams.get("data", {}).get("label_column")
    if model.kind == "points" and column is not None and not Path(path).is_dir():
        table = read_table(path)
        if column in table.column_names or table.num_columns > model.dimension:
            name = label_name(table.column_names, column, path)
            table, labels, _ = with_labels(table, name, path, model.classes)
        new = read_rows(path, model.schema, table)
    else:
        new = new_of(model, run, path)
    if labels is None:
        labels = np.full(len(new), -1)
    return Classified({"row": range(1, len(new) + 1)}, model.classify(new), model.ranking(new), labels, [])


def _images(model: Model, run: Path, path: str) -> Classified:
    names, probabilities, ranks, unreadable = [], [], [], []
    crop = crop_of(model.method.hparams.get("data", {}))
    for some, x in folder_batches(read_new(run, path, None), model.method.shape, crop, unreadable):
        names += some
        probabilities.append(model.classify(x))
        ranks.append(model.ranking(x))
    folders = [name.partition("/")[0] if "/" in name else None for name in names]
    known = {name: number for number, name in enumerate(model.classes)}
    if known.keys() & set(folders):  # class folders, as for training
        for name, folder in zip(names, folders, strict=True):
            if folder is not None and folder not in known:
                raise InputError(
                    f"{path}: {name} is of class {folder!r}, which training has never seen: the classes are "
                    f"{', '.join(model.classes)}"
                )
    labels = np.array([known.get(folder, -1) for folder in folders])
    return Classified({"file": names}, torch.cat(probabilities), torch.cat(ranks), labels, unreadable)
