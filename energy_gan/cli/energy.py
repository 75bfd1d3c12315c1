"""Score points or images with a run's energy: `python -m energy_gan.cli.energy RUN --input FILE --out FILE`.

Writes the energy of every row (low is likely, up to one constant). With `--versus`, a second table of as
many rows or of one, also log p(row) − log p(other row): how much likelier one is than the other.

Of a folder of images: a row for each, by file name, likeliest first. They are cropped and resized as what
the run was trained on. Of a text: a row for each line.
"""

import argparse
from typing import TYPE_CHECKING

from energy_gan.cli import Parser, door, opened
from energy_gan.errors import InputError
from energy_gan.system.tables import check_writable, write_frames, write_table

if TYPE_CHECKING:
    from energy_gan.model import Model


def main() -> None:
    parser = Parser("energy", __doc__)
    parser.takes_run()
    said = "a table, .csv, .npy or .parquet; a folder of images; or a text"
    parser.add_argument("--input", required=True, help=said)
    parser.add_argument("--versus", help="a second table, to compare row by row")
    parser.takes_out("energies.csv", ".csv, .npy or .parquet")
    given = parser.parse_args()
    check_writable(given.out)
    model = opened(given.run, given.trust, ["energy"])
    (score_images if model.kind == "images" else score_points)(model, given)


def score_points(model: "Model", given: argparse.Namespace) -> None:
    """The energies of the rows of a table, and how much likelier they are than others."""
    import numpy as np

    from energy_gan.detection import new_of

    x = new_of(model, given.run, given.input)
    columns = {"energy": model.energy(x).numpy()}
    if given.versus:
        y = new_of(model, given.run, given.versus)
        if len(y) not in (1, len(x)):
            raise InputError(
                f"{given.versus} has {len(y)} rows and {given.input} has {len(x)}: "
                "give as many rows, or one to compare all with"
            )
        columns["energy_versus"] = np.broadcast_to(model.energy(y).numpy(), len(x))
        columns["log_relative_probability"] = columns["energy_versus"] - columns["energy"]
    values = np.stack(list(columns.values()), axis=1)
    write_table(given.out, [values], values.shape, list(columns))
    print(f"{', '.join(columns)} of {len(x)} rows -> {given.out}")


def score_images(model: "Model", given: argparse.Namespace) -> None:
    """A table of the energies of all images below a folder."""
    import pandas as pd

    from energy_gan.data.folder import warn_of
    from energy_gan.detection import read_new, score

    if given.versus or given.out.suffix == ".npy":
        raise InputError(
            "of images there is a table, .csv or .parquet, without --versus: a row for each file"
        )
    scored = score(model, read_new(given.run, given.input, None), model.energy)
    frame = pd.DataFrame(scored.names | {"energy": scored.ranks}).sort_values("energy")
    write_frames(given.out, [frame])
    print(f"energies of {len(frame)} images of {given.input} -> {given.out}")
    warn_of(scored.unreadable)


if __name__ == "__main__":
    door(main)
