"""Draw Figure 3: rows of images from one sample to another, a straight line between their latents.

    python -m energy_gan.cli.interpolate RUN --rows 8 --columns 9 --out interpolation.png
    python -m energy_gan.cli.interpolate RUN --input first.png second.png
    python -m energy_gan.cli.interpolate RUN --input FOLDER

With `--input` the paths are those from image to image: between the latents that the run infers of two images,
or of each image of a folder and the next. The images themselves stand at both ends of a row.

With `--cross-fade` the pixels of both ends, mixed in the same shares, stand below each row: what a generator
that is no more than its latents would show.
"""

from energy_gan.cli import Parser, door, opened
from energy_gan.cli.reconstruct import images_of
from energy_gan.system.tables import check_writable


def main() -> None:
    parser = Parser("interpolate", __doc__)
    parser.takes_run()
    parser.takes_number("--rows", 1, "paths (8)", default=8)
    parser.takes_number("--columns", 2, "images in a path, both ends included (9)", default=9)
    parser.takes_out("interpolation.png", ".png")
    parser.takes_seed()
    parser.add_argument("--input", nargs="+", help="two images, or a folder of them (samples of the run)")
    parser.add_argument("--cross-fade", action="store_true", help="the pixels of both ends, mixed, below")
    given = parser.parse_args()
    check_writable(given.out, (".png",))

    import torch

    from energy_gan.data.folder import warn_of
    from energy_gan.reports.interpolation import cross_fade
    from energy_gan.reports.pictures import write_grid

    needs = ["generator", "images", *(["inference"] if given.input else [])]
    model, columns = opened(given.run, given.trust, needs), given.columns
    if given.input:
        x, bad = images_of(model, given.run, given.input, given.rows + 1)
        paths, columns = model.interpolate_between(x, columns), columns + 2
        paths = torch.cat([x[:-1, None], paths, x[1:, None]], 1)
    else:
        paths, bad = model.interpolate(given.rows, columns, given.seed), []
    if given.cross_fade:
        paths = torch.stack([paths, cross_fade(paths)], 1).flatten(0, 1)
    write_grid(given.out, paths.flatten(0, 1), columns)
    n = len(paths) // (1 + given.cross_fade)
    print(f"{n} paths of {given.columns} images of {given.run} -> {given.out}")
    warn_of(bad)


if __name__ == "__main__":
    door(main)
