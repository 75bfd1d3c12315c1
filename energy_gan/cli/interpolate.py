"""Draw Figure 3: rows of images from one sample to another, a straight line between their latents.

python -m energy_gan.cli.interpolate RUN --rows 8 --columns 9 --out interpolation.png
"""

import argparse
from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.run.compose import only_trust
from energy_gan.system.tables import check_writable


def main() -> None:
    parser = Parser("interpolate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder or a checkpoint of it")
    parser.add_argument("--rows", type=int, default=8, help="paths (8)")
    parser.add_argument("--columns", type=int, default=9, help="images in a path, both ends included (9)")
    parser.add_argument("--out", type=Path, default=Path("interpolation.png"), help=".png")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("trust", nargs="*", help="trust=[my_package], if the run needs classes of it")
    given = parser.parse_args()
    trust = only_trust(given.trust)
    check_writable(given.out, (".png",))

    from energy_gan.reports.pictures import require_images, write_grid
    from energy_gan.run.checkpoints import load

    model = load(given.run, trust)
    require_images(model, given.run)
    images = model.interpolate(given.rows, given.columns, given.seed).flatten(0, 1)
    write_grid(given.out, images, given.columns)
    print(f"{given.rows} paths of {given.columns} images of {given.run} -> {given.out}")


if __name__ == "__main__":
    door(main)
