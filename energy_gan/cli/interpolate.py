"""Draw Figure 3: rows of images from one sample to another, a straight line between their latents.

    python -m energy_gan.cli.interpolate RUN --rows 8 --columns 9 --out interpolation.png
    python -m energy_gan.cli.interpolate RUN --input first.png second.png
    python -m energy_gan.cli.interpolate RUN --input FOLDER

With `--input` the paths are those from image to image: between the latents that the run infers of two images,
or of each image of a folder and the next. The images themselves stand at both ends of a row.

With `--cross-fade` the pixels of both ends, mixed in the same shares, stand below each row: what a generator
that is no more than its latents would show.

Of text a .txt with a sentence a line, a path below another: between samples, or with `--input` between what
is inferred of the first sentence of a text and of the second, of the third and the fourth, and so on.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from energy_gan.cli import Parser, door, opened
from energy_gan.cli.reconstruct import images_of
from energy_gan.errors import InputError
from energy_gan.system.files import write_lines
from energy_gan.system.tables import check_writable

if TYPE_CHECKING:
    from energy_gan.model import Model


def main() -> None:
    parser = Parser("interpolate", __doc__)
    parser.takes_run()
    parser.takes_number("--rows", 1, "paths (8)", default=8)
    parser.takes_number("--columns", 2, "images in a path, both ends included (9)", default=9)
    parser.takes_out(None, ".png (interpolation.png), of text .txt (interpolation.txt)")
    parser.takes_seed()
    said = "two images, or a folder of them; of text: sentences, two for a path (samples)"
    parser.add_argument("--input", nargs="+", help=said)
    parser.add_argument("--cross-fade", action="store_true", help="the pixels of both ends, mixed, below")
    given = parser.parse_args()
    if given.out:
        check_writable(given.out, (".png", ".txt"))

    import torch

    from energy_gan.data.folder import warn_of
    from energy_gan.reports.interpolation import cross_fade
    from energy_gan.reports.pictures import write_grid

    model, columns = opened(given.run, given.trust, ["generator"]), given.columns
    if model.kind == "points":
        raise InputError(
            f"RUN={given.run} was trained on points, and here it needs images or text: give another run"
        )
    given.out = given.out or Path("interpolation.txt" if model.kind == "text" else "interpolation.png")
    check_writable(given.out, (".txt" if model.kind == "text" else ".png",))
    if model.kind == "text":
        write_sentences(model, given)
        return
    if given.input:
        if "inference" not in model.offers:
            raise InputError(
                f"RUN={given.run} offers {' and '.join(sorted(model.offers))}, here it needs inference: "
                "leave out --input, or give another run"
            )
        x, bad = images_of(model, given.run, given.input, given.rows + 1)
        if len(x) < 2:
            raise InputError(f"a path leads from image to image, and --input has {len(x)}: give two")
        paths, columns = model.interpolate_between(x[:-1], x[1:], columns), columns + 2
        paths = torch.cat([x[:-1, None], paths, x[1:, None]], 1)
    else:
        paths, bad = model.interpolate(given.rows, columns, given.seed), []
    if given.cross_fade:
        paths = torch.stack([paths, cross_fade(paths)], 1).flatten(0, 1)
    write_grid(given.out, paths.flatten(0, 1), columns)
    n = len(paths) // (1 + given.cross_fade)
    print(f"{n} paths of {given.columns} images of {given.run} -> {given.out}")
    warn_of(bad)


def write_sentences(model: "Model", given: argparse.Namespace) -> None:
    """The sentences along each path, an empty line between two of them."""
    from energy_gan.data.text import read_lines

    if given.cross_fade:
        raise InputError("--cross-fade is of images: leave it out")
    if given.input:
        lines = read_lines(given.input[0])
        if len(lines) < 2:
            raise InputError(f"{given.input[0]} has 1 line and a path has two ends: give two for each path")
        x = model.encode(lines[: len(lines) // 2 * 2])
        paths = model.interpolate_between(x[::2], x[1::2], given.columns)
    else:
        paths = model.interpolate(given.rows, given.columns, given.seed)
    write_lines(given.out, ([*model.decode(path), ""] for path in paths))
    print(f"{len(paths)} paths of {given.columns} sentences of {given.run} -> {given.out}")


if __name__ == "__main__":
    door(main)
