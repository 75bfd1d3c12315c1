"""Draw Figure 3: rows of images from one sample to another, a straight line between their latents.

python -m energy_gan.cli.interpolate RUN --rows 8 --columns 9 --out interpolation.png
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
    given = parser.parse_args()
    check_writable(given.out, (".png",))

    from energy_gan.reports.pictures import write_grid

    model = opened(given.run, given.trust, ["generator", "images"])
    images = model.interpolate(given.rows, given.columns, given.seed).flatten(0, 1)
    write_grid(given.out, images, given.columns)
    print(f"{given.rows} paths of {given.columns} images of {given.run} -> {given.out}")


if __name__ == "__main__":
    door(main)
