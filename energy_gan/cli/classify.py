"""Say of what class rows, images or sentences are: `python -m energy_gan.cli.classify RUN --input FILE`.

Writes a line for each: its class, the probability of each class, and its energy, or what else the run ranks
by, which is high where it is like nothing that was trained on. Of a table with the run's column of labels, or
a folder with a folder for each class, the share that is right is told as well.
"""

from energy_gan.cli import Parser, door, opened
from energy_gan.system.tables import check_writable, write_frames


def main() -> None:
    parser = Parser("classify", __doc__)
    parser.takes_run()
    parser.add_argument("--input", required=True, help="a table, a folder of images, or a text")
    parser.takes_out("classes.csv", ".csv or .parquet")
    given = parser.parse_args()
    check_writable(given.out, (".csv", ".parquet"))
    model = opened(given.run, given.trust, ["classes"])

    import numpy as np
    import pandas as pd

    from energy_gan.classification import classified
    from energy_gan.data.folder import warn_of

    found = classified(model, given.run, given.input)
    believed = found.probabilities.argmax(1).numpy()
    columns = {**found.names, "class": np.array(model.classes)[believed]}
    columns |= {f"p({name})": p.numpy() for name, p in zip(model.classes, found.probabilities.T, strict=True)}
    write_frames(given.out, [pd.DataFrame(columns | {model.ranked_by: found.ranks.numpy()})])
    there, told = found.labels >= 0, ""
    if there.any():
        right = (believed == found.labels)[there].mean()
        told = f"{right:.2%} of {there.sum():,} with a label are right, "
    print(f"the classes of {len(believed):,}: {told}-> {given.out}")
    warn_of(found.unreadable)


if __name__ == "__main__":
    door(main)
