"""Draw Figure 3: rows of images from one sample to another, a straight line between their latents.

python -m energy_gan.cli.interpolate RUN --rows 8 --columns 9 --out interpolation.png

With `--cross-fade` the pixels of both ends, mixed in the same shares, stand below each row: what a generator
that is no more than its latents would show.

Of text a .txt with a sentence a line, a path below another: between samples, or with `--input` between what
is inferred of the first sentence of a text and of the second, of the third and the fourth, and so on.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from energy_gan.cli import Parser, door, opened
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
    parser.add_argument("--input", help="of text: sentences, two for a path (samples)")
    parser.add_argument("--cross-fade", action="store_true", help="the pixels of both ends, mixed, below")
    given = parser.parse_args()
    if given.out:
        check_writable(given.out, (".png", ".txt"))

    import torch

    from energy_gan.reports.interpolation import cross_fade
    from energy_gan.reports.pictures import write_grid

    model = opened(given.run, given.trust, ["generator"])
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
        raise InputError(f"--input is of text, and RUN={given.run} was trained on images: leave it out")
    paths = model.interpolate(given.rows, given.columns, given.seed)
    if given.cross_fade:
        paths = torch.stack([paths, cross_fade(paths)], 1).flatten(0, 1)
    write_grid(given.out, paths.flatten(0, 1), given.columns)
    print(f"{given.rows} paths of {given.columns} images of {given.run} -> {given.out}")


def write_sentences(model: "Model", given: argparse.Namespace) -> None:
    """The sentences along each path, an empty line between two of them."""
    from energy_gan.data.text import read_lines

    if given.cross_fade:
        raise InputError("--cross-fade is of images: leave it out")
    if given.input:
        lines = read_lines(given.input)
        if len(lines) < 2:
            raise InputError(f"{given.input} has 1 line and a path has two ends: give two for each path")
        x = model.encode(lines[: len(lines) // 2 * 2])
        paths = model.interpolate_between(x[::2], x[1::2], given.columns)
    else:
        paths = model.interpolate(given.rows, given.columns, given.seed)
    write_lines(given.out, ([*model.decode(path), ""] for path in paths))
    print(f"{len(paths)} paths of {given.columns} sentences of {given.run} -> {given.out}")


if __name__ == "__main__":
    door(main)
