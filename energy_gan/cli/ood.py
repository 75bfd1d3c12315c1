"""Does a run's energy tell other images from those of its own kind?

    python -m energy_gan.cli.ood RUN --versus kmnist omniglot noise gaussian constant my/folder

For each other set the AUROC: the chance that an image of it has a higher score than a held-out image of the
run's own set. 1 tells them apart, 0.5 knows nothing, less finds the other set the likelier one. Beside the
energy E and ‖∇E‖², as yardsticks, the distance to the nearest training image and −log p of a mixture of
probabilistic principal component analysers. A folder holds images, which are cropped as the run's own and
resized.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.cli.energy import crop_of
from energy_gan.data.folder import folder_batches, warn_of
from energy_gan.errors import InputError
from energy_gan.metrics.anomaly import scores_of
from energy_gan.run.compose import only_trust
from energy_gan.studies.trials import keep
from energy_gan.system.tables import check_writable

FITTED = 50_000_000  # numbers that the yardsticks see


def main() -> None:
    parser = Parser("ood", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder or a checkpoint of it")
    parser.add_argument(
        "--versus", nargs="+", metavar="SET", help="kinds or folders of images (all kinds that are there)"
    )
    parser.add_argument(
        "--root", type=Path, help="of the files of kmnist and omniglot (data.root of the run)"
    )
    parser.add_argument("--n", type=int, default=1_000, help="images of each set, at most (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images and of noise (0)")
    parser.add_argument("--out", type=Path, help=".json (ood.json in the run's folder)")
    parser.add_argument("trust", nargs="*", help="trust=[my_package], if the run needs classes of it")
    given = parser.parse_args()
    trust = only_trust(given.trust)
    if given.n < 10:
        raise InputError(f"--n must be at least 10, got {given.n}")
    if given.seed < 0:
        raise InputError(f"--seed must be 0 or more, got {given.seed}")
    folder = given.run.parent.parent if given.run.suffix == ".ckpt" else given.run
    out = given.out or folder / "ood.json"

    from energy_gan.run.build import build, check
    from energy_gan.run.checkpoints import load
    from energy_gan.run.compose import read_config

    model = load(given.run, trust)
    check_writable(out, (".json",))
    if len(model.method.shape) != 3:
        raise InputError(f"{given.run} was trained on points, and ood takes runs on images")
    node = read_config(folder)["data"]
    check({"data": node}, trust)
    data = build(node, "data")
    root = given.root or Path(node.get("root") or "data")
    outside = other_sets(given, model.method.shape, root, crop_of(model))
    data.setup()
    rows = measure(given, model, data, outside)
    print(table(rows))
    keep(out, {"held_out": min(given.n, len(data.held_out)), "seed": given.seed, "auroc": rows})
    print(f"-> {out}")


def other_sets(given: argparse.Namespace, shape, root: Path, crop: str) -> dict:
    """The images of each set by name.

    Raises:
        InputError: a set that was asked for is not there.
    """
    import torch

    from energy_gan.data.outside import FROM_FILES, KINDS, find, other_set

    absent = [name for name in FROM_FILES if not given.versus and not find(name, root)]
    if absent:
        print(f"left out: {' and '.join(absent)}, not found in {root.absolute()}; give --root FOLDER")
    outside, bad = {}, []
    for name in given.versus or [name for name in KINDS if name not in absent]:
        if name in KINDS:
            outside[name] = other_set(name, shape, given.n, root, given.seed)
        elif Path(name).is_dir():
            batches = folder_batches(Path(name), shape, crop, bad, given.n, given.seed)
            outside[name] = torch.cat([x for _, x in batches])
        else:
            raise InputError(
                f"--versus {name} is no folder and no kind: give a folder of images or one of "
                f"{', '.join(KINDS)}"
            )
    warn_of(bad)
    return outside


def measure(given: argparse.Namespace, model, data, outside: Mapping) -> dict[str, dict[str, float]]:
    """The AUROC of each score for each set."""
    import torch

    from energy_gan.metrics.anomaly import MIXTURE, auroc, detectors
    from energy_gan.randomness import random_generator

    rng = random_generator(given.seed, 1)
    own = data.pixels(data.held_out[torch.randperm(len(data.held_out), generator=rng)[: given.n]])
    x = torch.cat([own, *outside.values()])
    scores = scores_of(given.run, model, x)
    order = torch.randperm(len(data.points), generator=rng)[: max(2, FITTED // x[0].numel())]
    train = data.pixels(data.points[order]).flatten(1).numpy()
    names = ["nearest neighbour", MIXTURE]
    scores |= detectors(train, x.flatten(1).numpy(), given.seed, names, rescale=False)
    numbers, start = {name: {} for name in outside}, len(own)
    for name, images in outside.items():
        for score, values in scores.items():
            numbers[name][score] = auroc(values[: len(own)], values[start : start + len(images)])
        start += len(images)
    return numbers


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each set, a column for each score."""
    titles = list(next(iter(rows.values())))
    width = max(map(len, ["AUROC versus", *rows]))
    lines = [f"{'AUROC versus':<{width}}" + "".join(f"  {title:>17}" for title in titles)]
    for name, row in rows.items():
        lines.append(f"{name:<{width}}" + "".join(f"  {row[title]:>17.4f}" for title in titles))
    return "\n".join(lines)


if __name__ == "__main__":
    door(main)
