"""Draw samples from a run's generator: `python -m energy_gan.cli.sample RUN --n 1000 --out FILE`.

Points become a table, .csv, .npy or .parquet. Images become one picture, .png, a folder of pictures, for a
name without an ending, or an array, .npy.
"""

import argparse
from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.cli.tables import WRITERS, check_writable, write_table
from energy_gan.cli.train import only_trust


def main() -> None:
    parser = Parser("sample", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder or a checkpoint of it")
    parser.add_argument("--n", type=int, help="how many (1000, of images 64)")
    parser.add_argument("--out", type=Path, help="(samples.csv, of images samples.png)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--refine", type=int, default=0, help="steps of MALA on the energy afterwards (0)")
    parser.add_argument("trust", nargs="*", help="trust=[my_package], if the run needs classes of it")
    given = parser.parse_args()
    trust = only_trust(given.trust)
    endings = (*WRITERS, ".png", "")
    if given.out:
        check_writable(given.out, endings)

    import numpy as np

    from energy_gan.build import load
    from energy_gan.cli.pictures import require_images, write_each, write_grid

    model = load(given.run, trust)
    are_images = len(model.method.shape) == 3
    out = given.out or Path("samples.png" if are_images else "samples.csv")
    check_writable(out, endings)
    pictures = out.suffix not in WRITERS
    if pictures:
        require_images(model, given.run)
    n = given.n if given.n is not None else 64 if are_images else 1000
    samples = model.sample(n, given.seed, given.refine)
    if pictures and out.suffix:
        write_grid(out, samples, columns=max(1, round(n**0.5)))
    elif pictures:
        write_each(out, samples)
    elif are_images and out.suffix == ".npy":
        np.save(out, samples.numpy())
    else:
        write_table(out, samples.flatten(1).numpy(), model.columns)
    print(f"{n} samples of {given.run}, in the data's own units -> {out}")


if __name__ == "__main__":
    door(main)
