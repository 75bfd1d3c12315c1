"""Find the unusual rows of a table, or images of a folder, knowing normal ones only.

    python -m energy_gan.cli.detect --train normal.csv --score new.csv --rate 0.01 --out scores.csv
    python -m energy_gan.cli.detect --train normal/ --score new/ --rate 0.01 data.shape=[1,28,28]

Trains an energy on the normal rows, all but a part that is held out, and flags the new rows whose energy is
above that of all but a share `--rate` of the held-out ones: of new normal rows so many, or fewer, are flagged
by mistake. An energy of method=aligned is −log p(x) up to a constant. Every setting can be given as
key=value: method=NAME seed=1 trainer.max_steps=500 data.held_out=0.2; run_dir=FOLDER keeps the run.

Of folders, the images below them are trained on and scored, cropped and resized to data.shape ([3,64,64]);
the method is the best for images. experiment=critic/small_images is quick, minutes, for small grey ones.

With --run RUN a trained run is used instead; its data's held-out rows set the threshold.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from energy_gan.cli import Parser, door
from energy_gan.cli.energy import crop_of
from energy_gan.data.folder import folder_batches, warn_of
from energy_gan.data.table import in_order
from energy_gan.errors import InputError
from energy_gan.run.compose import compose, only_trust, split_trust
from energy_gan.system.tables import check_writable, write_frames

BATCH = 4_096


def main() -> None:
    parser = Parser("detect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    normal = parser.add_mutually_exclusive_group(required=True)
    normal.add_argument("--train", help="a table of normal rows, or a folder of normal images")
    normal.add_argument("--run", type=Path, help="the folder of a run that was trained on normal rows")
    parser.add_argument("--score", required=True, help="a table of new rows, or a folder of new images")
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
    if given.train:
        check_alike(given)

    from energy_gan.metrics.anomaly import threshold_at_rate

    with ExitStack() as stack:  # for what a training without a run's folder leaves behind
        model, data, new = trained(given) if given.run else train(given, stack)
        names, energies, bad = score(given, model, new)
        of_normal = np.concatenate([model.energy(x).numpy() for x in data.held_out.split(BATCH)])
    what = "images" if data_is_images(model) else "rows"
    for which, values in (("new", energies), ("held-out", of_normal)):
        if n_bad := int((~np.isfinite(values)).sum()):
            raise InputError(
                f"the energy of {n_bad} of {len(values)} {which} {what} is not finite: these are too far "
                "from the normal ones, or training failed; give trainer.max_steps=… or another method=…"
            )
    threshold = threshold_at_rate(of_normal, given.rate)
    anomalous = energies > threshold
    write(given.out, names, energies, anomalous)
    print(
        f"{anomalous.sum()} of {len(energies)} {what} of {given.score} are anomalous: their energy is above "
        f"{threshold:.4g}, as at most {given.rate:.3g} of normal {what} are, by {len(of_normal)} held out "
        f"-> {given.out}"
    )
    warn_of(bad)


def check_alike(given: argparse.Namespace) -> None:
    """InputError unless both --train and --score are folders, or neither is."""
    folders = [Path(name).is_dir() for name in (given.train, given.score)]
    if folders[0] != folders[1]:
        folder, other = (given.train, given.score) if folders[0] else (given.score, given.train)
        raise InputError(
            f"{folder} is a folder and {other} is none: give two folders of images, or two tables, "
            ".csv, .npy or .parquet"
        )


def train(given: argparse.Namespace, stack: ExitStack) -> tuple:
    """A model, the data that it was trained on, and the new rows if they are a table's.

    Of several processes only the first comes back from it, to score and write; the others end here.

    Args:
        stack: removes the decoded images, where they are not to be kept, once all is scored.

    Raises:
        InputError: the tables have other columns, the rows are too few for the rate, a setting is wrong.
    """
    overrides, trust = split_trust(given.overrides)
    images, new = Path(given.train).is_dir(), None
    named = ("data", "data.root") if images else ("data", "data.path", "data.shape")
    for override in overrides:
        if override.partition("=")[0] in named:
            raise InputError(f"{override} cannot be given here: --train names what to train on")
    path = given.train.replace("'", "\\'")
    if images:
        check_readable(Path(given.score))
        overrides = [*overrides, "data=folder", f"data.root='{path}'"]
        if not any(o.startswith(("data.cache=", "run_dir=")) for o in overrides):
            overrides.append(f"data.cache='{stack.enter_context(tempfile.TemporaryDirectory())}'")
    else:
        from energy_gan.data.table import read_table

        _, columns = read_table(given.train)
        new = new_rows(given, columns)
        overrides += ["data=points", f"data.path='{path}'", f"data.shape=[{len(columns)}]"]
    config = compose(overrides)

    from energy_gan.model import Model
    from energy_gan.run.run import Run, without_folder

    kept = config["run_dir"] is not None
    run = Run(config if kept else without_folder(config), trust)
    check_enough(given, run.data)
    if kept:
        run.create()
    run.fit()
    if not run.trainer.is_global_zero:
        sys.exit()
    run.method.calibrate()
    return Model(run.method.eval()), run.data, new


def trained(given: argparse.Namespace) -> tuple:
    """The model of a run, the data that it was trained on, and the new rows if they are a table's.

    Raises:
        InputError: the new rows have other columns than its data, or these are too few for the rate.
    """
    from energy_gan.run.build import build, check
    from energy_gan.run.checkpoints import load
    from energy_gan.run.compose import read_config

    trust = only_trust(given.overrides)
    model, new = load(given.run, trust), None
    if data_is_images(model):
        if not Path(given.score).is_dir():
            raise InputError(
                f"{given.run} was trained on images and {given.score} is no folder: give a folder of images"
            )
        check_readable(Path(given.score))
    elif Path(given.score).is_dir():
        raise InputError(
            f"{given.run} was trained on a table and {given.score} is a folder: give a .csv, .npy or .parquet"
        )
    else:
        new = new_rows(given, model.columns)
    config = read_config(given.run if given.run.is_dir() else given.run.parent.parent)
    check({"data": config["data"]}, trust)
    data = build(config["data"], "data")
    data.setup()
    check_enough(given, data)
    return model, data, new


def data_is_images(model) -> bool:
    return model.kind == "images"


def new_rows(given: argparse.Namespace, columns: Sequence[str]):
    from energy_gan.data.table import read_table

    return in_order(given.score, *read_table(given.score, columns=len(columns)), columns)


def score(given: argparse.Namespace, model, new) -> tuple[dict, np.ndarray, list[str]]:
    """What the new rows are called, a column by its title; their energies; and what could not be read."""
    if new is not None:
        return {"row": range(1, len(new) + 1)}, model.energy(new).numpy(), []
    names, energies, bad = [], [], []
    for some, x in folder_batches(Path(given.score), model.method.shape, crop_of(model), bad):
        names += some
        energies.append(model.energy(x).numpy())
    return {"file": names}, np.concatenate(energies), bad


def check_readable(folder: Path) -> None:
    """InputError unless the folder has an image, before anything is trained."""
    from energy_gan.data.folder import ENDINGS, find_images

    names, ignored = find_images(folder)
    if not names:
        raise InputError(
            f"--score {folder} holds no image and {ignored} other files (looked for {', '.join(ENDINGS)} in "
            f"{folder.absolute()}): give a folder of images"
        )


def check_enough(given: argparse.Namespace, data) -> None:
    """InputError if the held-out rows are too few to know how high the rarest of them reach."""
    from energy_gan.metrics.anomaly import least_for

    least, n_held_out = least_for(given.rate), len(data.held_out)
    what = "images" if data.held_out.ndim == 4 else "rows"
    if n_held_out < least:
        share = np.ceil(100 * least / (n_held_out + len(data.points))) / 100
        enough = f"data.held_out={share:g}, " if share <= 0.5 and not given.run else ""
        raise InputError(
            f"--rate {given.rate:g} takes at least {least} held-out normal {what}, there are {n_held_out}: "
            f"give {enough}more normal {what}, or a larger rate"
        )


def write(path: Path, names: dict[str, Sequence], energies: np.ndarray, anomalous: np.ndarray) -> None:
    """A line for each: its file, or its number counted from 1 without a header; its energy; yes or no."""
    import pandas as pd

    frame = pd.DataFrame(names | {"energy": energies, "anomalous": np.where(anomalous, "yes", "no")})
    write_frames(path, [frame])


if __name__ == "__main__":
    door(main)
