"""Score points with a run's energy: `python -m energy_gan.cli.energy RUN --input FILE --out FILE`.

Writes the energy of every row (low is likely, up to one constant). With `--versus`, a second table of as
many rows or of one, also log p(row) − log p(other row): how much likelier one is than the other.
"""

import argparse
from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.cli.tables import check_writable, write_table
from energy_gan.errors import InputError


def main() -> None:
    parser = Parser("energy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder or a checkpoint of it")
    parser.add_argument("--input", required=True, help="a table: .csv, .npy or .parquet")
    parser.add_argument("--versus", help="a second table, to compare row by row")
    parser.add_argument("--out", type=Path, default=Path("energies.csv"), help=".csv, .npy or .parquet")
    given = parser.parse_args()
    check_writable(given.out)

    import numpy as np

    from energy_gan.build import load
    from energy_gan.data.table import read_table

    model = load(given.run)
    x, _ = read_table(given.input, columns=model.dimension)
    columns = {"energy": model.energy(x).numpy()}
    if given.versus:
        y, _ = read_table(given.versus, columns=model.dimension)
        if len(y) not in (1, len(x)):
            raise InputError(
                f"{given.versus} has {len(y)} rows and {given.input} has {len(x)}: "
                "give as many rows, or one to compare all with"
            )
        columns["energy_versus"] = np.broadcast_to(model.energy(y).numpy(), len(x))
        columns["log_relative_probability"] = columns["energy_versus"] - columns["energy"]
    write_table(given.out, np.stack(list(columns.values()), axis=1), list(columns))
    print(f"{', '.join(columns)} of {len(x)} rows -> {given.out}")


if __name__ == "__main__":
    door(main)
