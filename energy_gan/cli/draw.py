"""Draw a table of points from a law whose density is known, a class of `energy_gan.data`.

    python -m energy_gan.cli.draw mixtures.ThinRidges --n 11000 --seed 0 --out ridges.npy

and then, with DENSITY={_target_: energy_gan.data.mixtures.ThinRidges},

    python -m energy_gan.cli.train data=points data.path=ridges.npy "data.density=DENSITY"
"""

from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.cli.tables import check_writable, write_table
from energy_gan.errors import InputError


def main() -> None:
    parser = Parser("draw", description=__doc__)
    parser.add_argument("law", metavar="LAW", help="module.Class of energy_gan.data, with its defaults")
    parser.add_argument("--n", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--out", type=Path, default=Path("points.npy"), help=".csv, .npy or .parquet")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    check_writable(given.out)
    if given.n < 1:
        raise InputError(f"at least 1 point must be asked for, got {given.n}")

    points = draw(law(given.law), given.n, given.seed, given.out)
    print(f"{points} points of {given.law} -> {given.out}")


def law(name: str):
    """The density of that name, with its defaults.

    Raises:
        InputError: there is no such class, or it is no density that is complete without arguments.
    """
    from energy_gan.build import build, check
    from energy_gan.data.density import Density

    node = {"_target_": f"energy_gan.data.{name}"}
    check({"law": node})
    made = build(node, "law")
    if not isinstance(made, Density):
        raise InputError(f"LAW={name} is no density: give one of energy_gan.data, as mixtures.ThinRidges")
    return made


def draw(density, n: int, seed: int, out: Path) -> int:
    """Write n points of a density as a table; how many they are."""
    from energy_gan.randomness import random_generator

    points = density.sample(n, random_generator(seed)).numpy()
    write_table(out, points, [f"x{i}" for i in range(points.shape[1])])
    return len(points)


if __name__ == "__main__":
    door(main)
