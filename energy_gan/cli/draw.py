"""Draw a table of points from a data set whose density is known.

    python -m energy_gan.cli.draw data=thin_ridges data.density.width=0.1 --n 11111 --out ridges.npy

What is trained on the table can still be measured against the law, see `density` in conf/data/points.yaml.
"""

from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.data.sampled import draw
from energy_gan.errors import InputError
from energy_gan.system.tables import check_writable


def main() -> None:
    parser = Parser("draw", description=__doc__)
    parser.add_argument(
        "overrides", metavar="data=NAME", nargs="+", help="of conf/data, and data.density.KEY=VALUE"
    )
    parser.add_argument("--n", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--out", type=Path, default=Path("points.npy"), help=".csv, .npy or .parquet")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    check_writable(given.out)
    if given.n < 1:
        raise InputError(f"at least 1 point must be asked for, got {given.n}")
    if given.seed < 0:
        raise InputError(f"the seed must be 0 or more, got {given.seed}")
    if not all("=" in override for override in given.overrides):
        raise InputError(
            f"{' '.join(given.overrides)!r} names no data set: give data=NAME, as data=thin_ridges"
        )

    points = draw(law(*given.overrides), given.n, given.seed, given.out)
    print(f"{points} points of {' '.join(given.overrides)} -> {given.out}")


def law(*names: str):
    """The density of the data set that overrides describe, or of one class of `energy_gan.data`.

    Raises:
        InputError: there is none of that name, or its density is not known.
    """
    from energy_gan.run.build import build, check
    from energy_gan.run.compose import compose

    if "=" in names[0]:
        node = compose(names)["data"].get("density")
    else:
        node = {"_target_": f"energy_gan.data.{names[0]}"}
    if node is None:
        raise InputError(f"{' '.join(names)} has no known density to draw from: give another data=NAME")
    check({"data": {"density": node}})
    return build(node, "data.density")


if __name__ == "__main__":
    door(main)
