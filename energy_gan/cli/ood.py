"""Does a run tell other images from those of its own kind?

    python -m energy_gan.cli.ood RUN --versus kmnist omniglot noise gaussian constant my/folder

For each other set the AUROC: the chance that an image of it has a higher score than a held-out image of the
run's own set. 1 tells them apart, 0.5 knows nothing, less finds the other set the likelier one. Beside the
energy E and ‖∇E‖², or what else the run ranks by, as yardsticks, the distance to the nearest training image
and −log p of a mixture of probabilistic principal component analysers. A folder holds images, which are
cropped as the run's own and resized.
"""

from collections.abc import Mapping
from pathlib import Path

from energy_gan.cli import Parser, door, opened
from energy_gan.system.files import write_json
from energy_gan.system.tables import check_writable


def main() -> None:
    parser = Parser("ood", __doc__)
    parser.takes_run()
    said = "kinds or folders of images (all kinds that are there)"
    parser.add_argument("--versus", nargs="+", metavar="SET", help=said)
    said = "of the files of kmnist and omniglot (data.root of the run)"
    parser.add_argument("--root", type=Path, help=said)
    parser.takes_number("--n", 10, "images of each set, at most (1000)", default=1_000)
    parser.takes_seed("of the choice of images and of noise (0)")
    parser.takes_out(None, ".json (ood.json in the run's folder)")
    given = parser.parse_args()

    from energy_gan.data.folder import warn_of
    from energy_gan.data.outside import other_sets, there
    from energy_gan.detection import crop_of, versus
    from energy_gan.run.checkpoints import data_of, folder_of

    model = opened(given.run, given.trust, ["ranking", "images"])
    out = given.out or folder_of(given.run) / "ood.json"
    check_writable(out, (".json",))
    data = data_of(given.run, given.trust)
    root, bad = given.root or (data.root if data.root.name else Path("data")), []
    sets, crop = given.versus or there(root), crop_of(model.method.hparams["data"])
    outside = other_sets(sets, data.shape, given.n, root, crop, given.seed, bad)
    warn_of(bad)
    data.setup()
    rows = versus(given.run, model, data, outside, given.n, given.seed)
    print(table(rows))
    write_json(out, {"held_out": min(given.n, len(data.held_out)), "seed": given.seed, "auroc": rows})
    print(f"-> {out}")


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
