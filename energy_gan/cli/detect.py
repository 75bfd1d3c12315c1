"""Find the unusual rows of a table, or images of a folder, knowing normal ones only.

    python -m energy_gan.cli.detect --train normal.csv --score new.csv --rate 0.01 --out scores.csv
    python -m energy_gan.cli.detect --train normal/ --score new/ --rate 0.01 data.shape=[1,28,28]

Trains an energy on the normal rows, all but a part that is held out, and flags the new rows whose energy is
above that of all but a share `--rate` of the held-out ones: of new normal rows so many, or fewer, are flagged
by mistake. An energy of method=aligned is −log p(x) up to a constant; a method without an energy, as lebm,
ranks by −log p(x, z), z inferred. A row with a level that no normal row has, or beyond a bound, is flagged:
its energy is inf. Every setting can be given as key=value: method=NAME seed=1
trainer.max_steps=500 data.held_out=0.2; run_dir=FOLDER keeps the run.

Of folders, the images below them are trained on and scored, cropped and resized to data.shape ([3,64,64]);
the method is the best for images. experiment=critic/small_images is quick, minutes, for small grey ones.

With --run RUN a trained run is used instead; its data's held-out rows set the threshold. One of text scores
the lines of a text.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from energy_gan.cli import Parser, door, opened
from energy_gan.errors import InputError
from energy_gan.run.words import only_trust, split_trust
from energy_gan.system.tables import check_writable, write_frames


def main() -> None:
    parser = Parser("detect", __doc__)
    normal = parser.add_mutually_exclusive_group(required=True)
    normal.add_argument("--train", help="a table of normal rows, or a folder of normal images")
    normal.add_argument("--run", type=Path, help="the folder of a run that was trained on normal rows")
    parser.add_argument("--score", required=True, help="a table of new rows, or a folder of new images")
    parser.add_argument("--rate", type=float, default=0.01, help="wanted share of false alarms (0.01)")
    parser.takes_out("scores.csv", ".csv or .parquet")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as for training")
    given = parser.parse_args()
    if not 0 < given.rate < 1:
        raise InputError(
            f"--rate {given.rate:g} is no share of normal rows to flag by mistake: give one between 0 and 1, "
            "as 0.01"
        )
    check_writable(given.out, (".csv", ".parquet"))

    from energy_gan.data.folder import warn_of
    from energy_gan.detection import called, learn, new_of, require_enough, said_of_foreign, score, threshold
    from energy_gan.model import Model
    from energy_gan.run.checkpoints import data_of

    with TemporaryDirectory() as scratch:
        if given.run:
            trust = only_trust(given.overrides)
            model = opened(given.run, trust, ["ranking"])
            new = new_of(model, given.run, given.score, strict=False)
            data = data_of(given.run, trust)
            data.setup()
            require_enough(data, given.rate, is_trained=True)
        else:
            run, new = learn(given.train, given.score, *split_trust(given.overrides), given.rate, scratch)
            if not run.trainer.is_global_zero:
                sys.exit()  # of several processes the first scores and writes
            run.method.calibrate()
            model, data = Model(run.method.eval()), run.data
        scored = score(model, new, model.ranking)
        least = threshold(model, data, scored, given.rate)
    anomalous = scored.ranks > least
    write(given.out, scored, model.ranked_by, anomalous)
    what = called(data)
    print(
        f"{anomalous.sum()} of {len(anomalous)} {what} of {given.score} are anomalous: their "
        f"{model.ranked_by} is above {least:.4g}, as at most {given.rate:.3g} of normal {what} are, by "
        f"{len(data.held_out)} held out -> {given.out}"
    )
    if said := said_of_foreign(new, model.schema, scored, model.ranked_by):
        print(said)
    warn_of(scored.unreadable)


def write(path: Path, scored, ranked_by: str, anomalous) -> None:
    """A line for each: its file, or its number counted from 1 without a header; its energy; yes or no."""
    import numpy as np
    import pandas as pd

    flags = {ranked_by: scored.ranks, "anomalous": np.where(anomalous, "yes", "no")}
    write_frames(path, [pd.DataFrame(scored.names | flags)])


if __name__ == "__main__":
    door(main)
