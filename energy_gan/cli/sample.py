"""Draw samples from a run's generator: `python -m energy_gan.cli.sample RUN --n 1000 --out FILE`."""

from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.cli.tables import check_writable, write_table
from energy_gan.cli.train import only_trust


def main() -> None:
    parser = Parser("sample", description=__doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder or a checkpoint of it")
    parser.add_argument("--n", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--out", type=Path, default=Path("samples.csv"), help=".csv, .npy or .parquet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--refine", type=int, default=0, help="steps of MALA on the energy afterwards (0)")
    parser.add_argument("trust", nargs="*", help="trust=[my_package], if the run needs classes of it")
    given = parser.parse_args()
    trust = only_trust(given.trust)
    check_writable(given.out)

    from energy_gan.build import load

    model = load(given.run, trust)
    samples = model.sample(given.n, given.seed, given.refine).flatten(1).numpy()
    write_table(given.out, samples, model.columns)
    print(f"{given.n} samples of {given.run}, in the data's own units -> {given.out}")


if __name__ == "__main__":
    door(main)
