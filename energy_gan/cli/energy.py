"""Score points or images with a run's energy: `python -m energy_gan.cli.energy RUN --input FILE --out FILE`.

Writes the energy of every row (low is likely, up to one constant). With `--versus`, a second table of as
many rows or of one, also log p(row) − log p(other row): how much likelier one is than the other.

Of a folder of images: a row for each, by file name, likeliest first. They are cropped and resized as what
the run was trained on.
"""

import argparse
from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.run.compose import only_trust
from energy_gan.system.tables import check_writable, write_frames, write_table


def main() -> None:
    parser = Parser("energy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder or a checkpoint of it")
    parser.add_argument(
        "--input", required=True, help="a table, .csv, .npy or .parquet; or a folder of images"
    )
    parser.add_argument("--versus", help="a second table, to compare row by row")
    parser.add_argument("--out", type=Path, default=Path("energies.csv"), help=".csv, .npy or .parquet")
    parser.add_argument("trust", nargs="*", help="trust=[my_package], if the run needs classes of it")
    given = parser.parse_args()
    trust = only_trust(given.trust)
    check_writable(given.out)

    from energy_gan.run.checkpoints import load

    model = load(given.run, trust)
    (score_images if model.kind == "images" else score_points)(model, given)


def score_points(model, given: argparse.Namespace) -> None:
    """The energies of the rows of a table, and how much likelier they are than others."""
    import numpy as np

    from energy_gan.data.table import in_order, read_table

    x = in_order(given.input, *read_table(given.input, columns=model.dimension), model.columns)
    columns = {"energy": model.energy(x).numpy()}
    if given.versus:
        y = in_order(given.versus, *read_table(given.versus, columns=model.dimension), model.columns)
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


def score_images(model, given: argparse.Namespace) -> None:
    """A table of the energies of all images below a folder."""
    import pandas as pd

    from energy_gan.data.folder import folder_batches, warn_of

    root = Path(given.input)
    if not root.is_dir():
        raise InputError(
            f"the run was trained on images and --input {root} is no folder: give a folder of images"
        )
    if given.versus or given.out.suffix == ".npy":
        raise InputError(
            "of images there is a table, .csv or .parquet, without --versus: a row for each file"
        )
    energies, bad = {}, []
    for names, x in folder_batches(root, model.method.shape, crop_of(model), bad):
        energies |= zip(names, model.energy(x).tolist(), strict=True)
    frame = pd.DataFrame({"file": energies.keys(), "energy": energies.values()}).sort_values("energy")
    write_frames(given.out, [frame])
    print(f"energies of {len(frame)} images of {root} -> {given.out}")
    warn_of(bad)


def crop_of(model) -> str:
    """How images are cropped for a model: as its own; but a crop in pixels suits only its set."""
    crop = model.method.hparams.get("data", {}).get("crop")
    return crop if crop in ("centre", "none") else "centre"


if __name__ == "__main__":
    door(main)
