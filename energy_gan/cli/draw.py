"""Draw a table of points from a data set whose density is known.

    python -m energy_gan.cli.draw data=thin_ridges data.density.width=0.1 --n 11111 --out ridges.npy

What is trained on the table can still be measured against the law, see `density` in conf/data/points.yaml.
"""

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.system.tables import check_writable


def main() -> None:
    parser = Parser("draw", __doc__)
    said = "of conf/data, and data.density.KEY=VALUE"
    parser.add_argument("overrides", metavar="data=NAME", nargs="+", help=said)
    parser.takes_number("--n", 1, "how many (10000)", default=10_000)
    parser.takes_out("points.npy", ".csv, .npy or .parquet")
    parser.takes_seed()
    given = parser.parse_args()
    check_writable(given.out)
    named = " ".join(given.overrides)
    if not all("=" in override for override in given.overrides):
        raise InputError(f"{named!r} names no data set: give data=NAME, as data=thin_ridges")

    from energy_gan.data.sampled import draw
    from energy_gan.run.law import law

    points = draw(law(*given.overrides), given.n, given.seed, given.out)
    print(f"{points} points of {named} -> {given.out}")


if __name__ == "__main__":
    door(main)
