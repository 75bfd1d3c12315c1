"""Points as a run's generator makes them, from the latents that its inference finds.

    python -m energy_gan.cli.reconstruct RUN --n 64 --out reconstruction.png
    python -m energy_gan.cli.reconstruct RUN --input FOLDER --out reconstructions.npy

Of a short run the latent is the start of the walk: the one that ends nearest to each image is found by
gradient descent, the walk's noise left out. `.png` shows each image, beside it what the generator makes of it
and, where a latent is an image, that; `.npy`, `.csv` and `.parquet` hold what the generator makes. Without
`--input` the run's held-out data are reconstructed. Printed are the mean squared error, of images in [0, 1],
and beside it that of the mean of what was given.

Of sentences a `.txt` holds, for each, the line itself and below it, indented, what the generator makes of it;
printed is the share of words that come back in their place.

With `--free` the latents may leave the prior: the error is smaller, of latents that the generator never gets.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from energy_gan.cli import Parser, door, opened
from energy_gan.errors import InputError
from energy_gan.system.files import write_lines
from energy_gan.system.tables import WRITERS, check_writable, write_table

if TYPE_CHECKING:
    from torch import Tensor

    from energy_gan.model import Model

SHOWN = 8  # triples in a line of the picture
DEFAULTS = {"points": "reconstructions.csv", "images": "reconstruction.png", "text": "reconstructions.txt"}


def main() -> None:
    parser = Parser("reconstruct", __doc__)
    parser.takes_run()
    parser.add_argument("--input", help="a folder of images, one image, a table, a text (the held-out data)")
    parser.takes_number("--n", 1, "at most so many (64, of a table all)")
    parser.takes_out(None, "(reconstruction.png, of points reconstructions.csv, of text reconstructions.txt)")
    parser.add_argument("--free", action="store_true", help="let the latents leave the prior")
    given = parser.parse_args()
    if given.out:
        check_writable(given.out, (*WRITERS, ".png", ".txt"))

    import torch

    from energy_gan.reports.pictures import write_grid

    kind = ["images"] if given.out and given.out.suffix == ".png" else []
    model = opened(given.run, given.trust, ["generator", "inference", *kind])
    images = model.kind == "images"
    out = given.out or Path(DEFAULTS[model.kind])
    check_writable(out, (*WRITERS, ".txt" if model.kind == "text" else ".png"))
    x, bad = points_of(model, given)
    found = model.reconstruct(x, given.free)
    if model.kind == "text":
        write_sentences(out, model, x, found.points)
        return
    if out.suffix == ".png":
        columns = [x, found.points, *([] if found.start is None else [found.start])]
        write_grid(out, torch.stack(columns, 1).flatten(0, 1), SHOWN * len(columns))
    else:
        write_table(out, [found.points.numpy()], tuple(found.points.shape), model.columns)
    error = float((found.points - x).square().mean())
    of_mean = f", of their mean {float((x - x.mean(0)).square().mean()):.4g}" if len(x) > 1 else ""
    what = "images, in [0, 1]" if images else "points"
    print(
        f"{len(x)} {what}: mean squared error {error:.4g}{of_mean}; "
        f"latents {'free' if given.free else 'as the prior has them'} -> {out}"
    )
    if bad:
        from energy_gan.data.folder import warn_of

        warn_of(bad)


def write_sentences(out: Path, model: "Model", x: "Tensor", made: "Tensor") -> None:
    """Each sentence and below it what the generator makes of it; a table holds the numbers of these words."""
    from energy_gan.vocabulary import is_said

    if out.suffix == ".txt":
        pairs = zip(model.decode(x), model.decode(made), strict=True)
        write_lines(out, ([given, f"    {again}"] for given, again in pairs))
    else:
        write_table(out, [made.numpy()], tuple(made.shape), model.columns)
    said = is_said(x.long())
    print(
        f"{len(x)} sentences: {float((made == x)[said].double().mean()):.1%} of the words come back -> {out}"
    )


def points_of(model: "Model", given: argparse.Namespace) -> tuple["Tensor", list[str]]:
    """What to reconstruct, in the data's own units, and the files that could not be read.

    Raises:
        InputError: it is of another kind than the run's data, or cannot be read.
    """
    import torch

    from energy_gan.detection import new_of
    from energy_gan.run.checkpoints import data_of

    n, bad = given.n, []
    if given.input is None:
        data = data_of(given.run, given.trust)
        data.setup()
        some = data.held_out[: n or 64]
        return (data.pixels(some) if model.kind == "images" else some), bad
    if model.kind != "images":
        return torch.from_numpy(new_of(model, given.run, given.input)[:n]), bad
    return images_of(model, given.run, [given.input], n or 64)


def images_of(model: "Model", run: Path, paths: Sequence[str], n: int) -> tuple["Tensor", list[str]]:
    """Images as the run's, n at most, and the files of a folder that could not be read.

    Args:
        paths: files, or one folder.

    Raises:
        InputError: there are none, or a file that is named is no image.
    """
    import torch

    from energy_gan.data.folder import folder_batches
    from energy_gan.data.images import read_image
    from energy_gan.detection import crop_of, read_new

    bad: list[str] = []
    shape, crop = model.method.shape, crop_of(model.method.hparams.get("data", {}))
    if len(paths) == 1 and not Path(paths[0]).is_file():
        parts = folder_batches(read_new(run, paths[0], None), shape, crop, bad, n)
        return torch.cat([part for _, part in parts]), bad
    images = []
    for path in paths[:n]:
        if not Path(path).exists():
            raise InputError(f"{path} does not exist: give images, or one folder of them")
        try:
            images.append(torch.from_numpy(read_image(Path(path), shape, crop)))
        except Exception as error:  # Pillow raises whatever the damaged bytes lead to
            raise InputError(f"{path} is no image that can be read ({error}): give another") from error
    return torch.stack(images).float() / 255, bad


if __name__ == "__main__":
    door(main)
