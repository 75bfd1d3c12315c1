"""Draw Figure 3: rows of images from one sample to another, a straight line between their latents.

python -m energy_gan.cli.interpolate RUN --rows 8 --columns 9 --out interpolation.png

With `--cross-fade` the pixels of both ends, mixed in the same shares, stand below each row: what a generator
that is no more than its latents would show.
"""

from energy_gan.cli import Parser, door, opened
from energy_gan.system.tables import check_writable


def main() -> None:
    parser = Parser("interpolate", __doc__)
    parser.takes_run()
    parser.takes_number("--rows", 1, "paths (8)", default=8)
    parser.takes_number("--columns", 2, "images in a path, both ends included (9)", default=9)
    parser.takes_out("interpolation.png", ".png")
    parser.takes_seed()
    parser.add_argument("--cross-fade", action="store_true", help="the pixels of both ends, mixed, below")
    given = parser.parse_args()
    check_writable(given.out, (".png",))

    import torch

    from energy_gan.reports.interpolation import cross_fade
    from energy_gan.reports.pictures import write_grid

    model = opened(given.run, given.trust, ["generator", "images"])
    paths = model.interpolate(given.rows, given.columns, given.seed)
    if given.cross_fade:
        paths = torch.stack([paths, cross_fade(paths)], 1).flatten(0, 1)
    write_grid(given.out, paths.flatten(0, 1), given.columns)
    print(f"{given.rows} paths of {given.columns} images of {given.run} -> {given.out}")


if __name__ == "__main__":
    door(main)
