"""Find the unusual rows of a table, knowing normal ones only.

    python -m energy_gan.cli.detect --train normal.csv --score new.csv --rate 0.01 --out scores.csv

Trains an energy on the normal rows, all but a part that is held out, and flags the new rows whose energy is
above that of all but a share `--rate` of the held-out ones: of new normal rows so many, or fewer, are flagged
by mistake. An energy of method=aligned is −log p(x) up to a constant. Every setting can be given as
key=value: method=NAME seed=1 trainer.max_steps=500 data.held_out=0.2; run_dir=FOLDER keeps the run.

With --run RUN a trained run is used instead; its data's held-out rows set the threshold.
"""

import argparse
from pathlib import Path

import numpy as np

from energy_gan.cli import Parser, door
from energy_gan.cli.energy import in_order
from energy_gan.cli.tables import check_writable
from energy_gan.cli.train import only_trust, split_trust
from energy_gan.compose import compose
from energy_gan.errors import InputError

COLUMNS = ("row", "energy", "anomalous")


def main() -> None:
    parser = Parser("detect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    normal = parser.add_mutually_exclusive_group(required=True)
    normal.add_argument("--train", help="a table of normal rows, .csv, .npy or .parquet")
    normal.add_argument("--run", type=Path, help="the folder of a run that was trained on normal rows")
    parser.add_argument("--score", required=True, help="a table of new rows, with the same columns")
    parser.add_argument("--rate", type=float, default=0.01, help="wanted share of false alarms (0.01)")
    parser.add_argument("--out", type=Path, default=Path("scores.csv"), help=".csv or .parquet (scores.csv)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as `make train` takes them")
    given = parser.parse_args()
    if not 0 < given.rate < 1:
        raise InputError(
            f"--rate {given.rate:g} is no share of normal rows to flag by mistake: give one between 0 and 1, "
            "as 0.01"
        )
    check_writable(given.out, (".csv", ".parquet"))
    for name in (given.train, given.score):
        if name and Path(name).is_dir():
            raise InputError(
                f"{name} is a folder, and detect takes tables only: give a .csv, .npy or .parquet file "
                "(`make energy` ranks a folder of images)"
            )

    from energy_gan.metrics.anomaly import threshold_at_rate

    new, model, held_out = (trained if given.run else train)(given)
    energies = model.energy(new).numpy()
    of_normal = model.energy(held_out).numpy()
    for what, values in (("new", energies), ("held-out", of_normal)):
        if bad := int((~np.isfinite(values)).sum()):
            raise InputError(
                f"the energy of {bad} of {len(values)} {what} rows is not finite: these rows are too far "
                "from the normal ones, or training failed; give trainer.max_steps=… or another method=…"
            )
    threshold = threshold_at_rate(of_normal, given.rate)
    anomalous = energies > threshold
    write(given.out, energies, anomalous)
    print(
        f"{anomalous.sum()} of {len(new)} rows of {given.score} are anomalous: their energy is above "
        f"{threshold:.4g}, as at most {given.rate:.3g} of normal rows are, by {len(of_normal)} held out "
        f"-> {given.out}"
    )


def train(given: argparse.Namespace) -> tuple:
    """The new rows, and a model with the held-out rows of what it was trained on.

    Raises:
        InputError: the tables have other columns, the rows are too few for the rate, a setting is wrong.
    """
    from energy_gan.data.table import read_table

    x, columns = read_table(given.train)
    new = in_order(given.score, *read_table(given.score, columns=len(columns)), columns)
    overrides, trust = split_trust(given.overrides)
    for override in overrides:
        if override.partition("=")[0] in ("data", "data.path", "data.shape"):
            raise InputError(f"{override} cannot be given here: --train names the table to train on")
    path = given.train.replace("'", "\\'")
    config = compose([*overrides, "data=points", f"data.path='{path}'", f"data.shape=[{len(columns)}]"])
    kept = config["run_dir"] is not None
    if not kept:
        config["run_dir"] = "."
        config["callbacks"] = {"progress": config["callbacks"]["progress"]}
        config["logger"] = {}
        config["trainer"]["enable_checkpointing"] = False

    from energy_gan.model import Model
    from energy_gan.run import Run

    run = Run(config, trust)
    check_enough(given, len(run.data.held_out), len(x))
    if kept:
        run.create()
    run.fit()
    run.method.calibrate()
    return new, Model(run.method.eval()), run.data.held_out


def trained(given: argparse.Namespace) -> tuple:
    """The new rows, and the model of a run with its held-out rows.

    Raises:
        InputError: the run was trained on images, on other columns or on too few rows for the rate.
    """
    from energy_gan.build import build, check, load
    from energy_gan.compose import read_config
    from energy_gan.data.table import read_table

    trust = only_trust(given.overrides)
    model = load(given.run, trust)
    if len(model.method.shape) != 1:
        raise InputError(
            f"{given.run} was trained on images, and detect takes tables only: `make energy` ranks"
        )
    new = in_order(given.score, *read_table(given.score, columns=model.dimension), model.columns)
    config = read_config(given.run if given.run.is_dir() else given.run.parent.parent)
    check({"data": config["data"]}, trust)
    data = build(config["data"], "data")
    data.setup()
    check_enough(given, len(data.held_out), len(data.held_out) + len(data.points))
    return new, model, data.held_out


def check_enough(given: argparse.Namespace, n_held_out: int, n_rows: int) -> None:
    """InputError if the held-out rows are too few to know how high the rarest of them reach."""
    from energy_gan.metrics.anomaly import least_for

    least = least_for(given.rate)
    if n_held_out < least:
        share = np.ceil(100 * least / n_rows) / 100
        enough = f"data.held_out={share:g}, " if share <= 0.5 and not given.run else ""
        raise InputError(
            f"--rate {given.rate:g} takes at least {least} held-out normal rows, there are {n_held_out}: "
            f"give {enough}more normal rows, or a larger rate"
        )


def write(path: Path, energies, anomalous) -> None:
    """A line a row: its number, counted from 1 without a header, its energy, and yes or no."""
    import pandas as pd

    values = (np.arange(1, len(energies) + 1), energies, np.where(anomalous, "yes", "no"))
    frame = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)


if __name__ == "__main__":
    door(main)
