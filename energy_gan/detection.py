"""New rows or images beside normal ones: their energies, or what else a run ranks by, and which are unusual.

A new one is flagged if its energy is above that of all but a share `rate` of the held-out normal ones: of new
normal ones so many, or fewer, are flagged by mistake. A row with a level that no normal row has, or beyond a
bound, is flagged whatever the rate: its energy is ∞.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.data.folder import folder_batches, require_images
from energy_gan.data.images import ImageData
from energy_gan.data.schema import Schema
from energy_gan.data.table_files import read_rows, table_shape
from energy_gan.data.text import read_lines
from energy_gan.errors import InputError
from energy_gan.model import Array, Model
from energy_gan.randomness import random_generator
from energy_gan.run.plain import Config

if TYPE_CHECKING:
    from energy_gan.run.run import Run

FITTED = 50_000_000  # numbers that the yardsticks see
New = Path | Float[np.ndarray, "N D"]  # a folder of images, or rows


def read_new(known: str | Path, path: str, schema: Schema | None, strict: bool = True) -> New:
    """The rows of a table with these columns; of images, which have none, the folder.

    Args:
        known: what was trained on, or the run, for the complaint.
        strict: otherwise some rows may hold what their columns cannot.

    Raises:
        InputError: it is of another kind, cannot be read, or the folder has no image.
    """
    _require_kind(known, path, schema is None)
    if schema is not None:
        rows = read_rows(path, schema, strict=strict)
        return rows if schema.allows(rows).any() else read_rows(path, schema)
    require_images(Path(path))
    return Path(path)


def _require_kind(known: str | Path, path: str, are_images: bool) -> None:
    is_folder = Path(path).is_dir()
    if are_images and not is_folder:
        raise InputError(f"{known} is of images and {path} is no folder: give a folder of images")
    if is_folder and not are_images:
        raise InputError(f"{known} is of rows and {path} is a folder: give a .csv, .npy or .parquet")


def new_of(model: Model, run: Path, path: str, strict: bool = True) -> New:
    """What a run is to score: a folder of images, the rows of a table, or a text, a row for each line of it.

    Args:
        strict: as in `read_new`.

    Raises:
        InputError: it is of another kind than what the run was trained on, or cannot be read.
    """
    if model.kind == "text":
        return model.encode(read_lines(path)).numpy()
    return read_new(run, path, model.schema, strict)


class Scored(NamedTuple):
    """What the new ones are called, a column by its title; how they are ranked; what could not be read; and
    which hold what no normal one can: they are ranked ∞.
    """

    names: dict[str, Sequence]
    ranks: Float[np.ndarray, "N"]
    unreadable: list[str]
    foreign: Bool[np.ndarray, "N"]


def score(model: Model, new: New, rank: Callable[[Array], Tensor]) -> Scored:
    """Rows are called by their number from 1, images by their path in the folder.

    Args:
        rank: the model's energy or ranking.
    """
    if model.kind != "images":
        foreign = ~model.schema.allows(new)
        ranks = np.full(len(new), np.inf)
        ranks[~foreign] = rank(new[~foreign]).numpy()
        return Scored({"row": range(1, len(new) + 1)}, ranks, [], foreign)
    names, ranks, unreadable = [], [], []
    for some, x in folder_batches(
        new, model.method.shape, crop_of(model.method.hparams.get("data", {})), unreadable
    ):
        names += some
        ranks.append(rank(x).numpy())
    ranks = np.concatenate(ranks)
    return Scored({"file": names}, ranks, unreadable, np.zeros(len(ranks), bool))


def crop_of(data: Config) -> str:
    """How images are cropped for a model: as those of its data; but a crop in pixels suits only its set."""
    crop = data.get("crop")
    return crop if crop in ("centre", "none") else "centre"


def said_of_foreign(new: New, schema: Schema | None, scored: Scored, called: str) -> str:
    """One line for the rows that hold what no normal row can, nothing if there are none."""
    if not scored.foreign.any():
        return ""
    row = int(np.argmax(scored.foreign))
    column = next(c for c, v in zip(schema.columns, new[row], strict=True) if c.refused(np.array([v])).any())
    return (
        f"{scored.foreign.sum()} of these hold what no normal row can, the first in row {row + 1}, column "
        f"{column.name!r}, expected {column.expected}: their {called} is inf"
    )


# ---- which are unusual


def learn(
    source: str, new: str, overrides: Sequence[str], trust: Sequence[str], rate: float, scratch: str
) -> tuple["Run", New]:
    """A run that was trained on a table of normal rows, or on a folder of normal images; and the new ones.

    Args:
        new: of the new ones the path, which are read before anything is trained.
        overrides: `run_dir` among them keeps it.
        scratch: a folder for decoded images that are not kept.

    Raises:
        InputError: an override is wrong or names the data; there are too few of them for the rate.
    """
    from energy_gan.run.compose import compose
    from energy_gan.run.run import Run, without_folder  # with Lightning: seconds, and only here

    is_folder = Path(source).is_dir()
    _require_kind(source, new, is_folder)
    named = ("data", "data.root") if is_folder else ("data", "data.path", "data.shape")
    for override in overrides:
        if override.partition("=")[0] in named:
            raise InputError(f"{override} cannot be given here: --train names what to train on")
    path = source.replace("'", "\\'")
    if is_folder:
        settings = ["data=folder", f"data.root='{path}'"]
        if not any(o.startswith(("data.cache=", "run_dir=")) for o in overrides):
            settings.append(f"data.cache='{scratch}'")
    else:
        settings = ["data=points", f"data.path='{path}'", f"data.shape={table_shape(source)}"]
    config = compose([*overrides, *settings])
    kept = config["run_dir"] is not None
    run = Run(config if kept else without_folder(config), trust)
    require_enough(run.data, rate)
    rows = read_new(source, new, run.data.schema, strict=False)
    for note in run.data.notes:
        print(note)
    if kept:
        run.create()
    run.fit()
    return run, rows


def require_enough(data: DataModule, rate: float, is_trained: bool = False) -> None:
    """InputError if the held-out ones are too few to know how high the rarest of them reach.

    Args:
        is_trained: so that another share cannot be held out.
    """
    from energy_gan.metrics.anomaly import least_for

    least, n_held_out = least_for(rate), len(data.held_out)
    if n_held_out < least:
        share = np.ceil(100 * least / (n_held_out + len(data.points))) / 100
        enough = f"data.held_out={share:g}, " if share <= 0.5 and not is_trained else ""
        raise InputError(
            f"--rate {rate:g} takes at least {least} held-out normal {called(data)}, there are {n_held_out}: "
            f"give {enough}more normal {called(data)}, or a larger rate"
        )


def called(data: DataModule) -> str:
    """What a user calls its points."""
    return {"points": "rows", "images": "images", "text": "sentences"}[data.kind]


def threshold(model: Model, data: DataModule, scored: Scored, rate: float) -> float:
    """The energy, or ranking, above which a new one is unusual.

    Raises:
        InputError: one is not finite.
    """
    from energy_gan.metrics.anomaly import threshold_at_rate

    of_normal = model.ranking(data.held_out).numpy()
    for which, values in (("new", scored.ranks[~scored.foreign]), ("held-out", of_normal)):
        if n_bad := int((~np.isfinite(values)).sum()):
            raise InputError(
                f"the {model.ranked_by} of {n_bad} of {len(values)} {which} {called(data)} is not finite: "
                "these are too far from the normal ones, or training failed; give trainer.max_steps=… or "
                "another method=…"
            )
    return threshold_at_rate(of_normal, rate)


# ---- images of other kinds


def versus(
    run: Path, model: Model, data: ImageData, outside: Mapping[str, Tensor], n: int, seed: int
) -> dict[str, dict[str, float]]:
    """For each other set the AUROC of each score against n held-out images of the run's own.

    The scores are those of the energy and, as yardsticks, of two detectors that saw the images trained on.
    """
    from energy_gan.metrics.anomaly import MIXTURE, auroc, detectors, scores_of

    rng = random_generator(seed, 1)
    own = data.pixels(data.held_out[torch.randperm(len(data.held_out), generator=rng)[:n]])
    x = torch.cat([own, *outside.values()])
    scores = scores_of(run, model, x)
    order = torch.randperm(len(data.points), generator=rng)[: max(2, FITTED // x[0].numel())]
    train = data.pixels(data.points[order]).flatten(1).numpy()
    names = ["nearest neighbour", MIXTURE]
    scores |= detectors(train, x.flatten(1).numpy(), seed, names, rescale=False)
    numbers, start = {}, len(own)
    for name, images in outside.items():
        here = slice(start, start + len(images))
        numbers[name] = {score: auroc(values[: len(own)], values[here]) for score, values in scores.items()}
        start += len(images)
    return numbers
