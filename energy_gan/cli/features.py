"""Train the small classifier that a labelled set of images is measured with, and keep it.

    python -m energy_gan.cli.features data=mnist data.root=/where/it/lies

Training a model does the same by itself the first time.
"""

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.run.compose import compose
from energy_gan.run.words import split_trust


def main() -> None:
    parser = Parser("features", __doc__)
    parser.add_argument("overrides", metavar="data=NAME", nargs="+", help="of conf/data, and data.KEY=VALUE")
    parser.add_argument("--folder", default="data/features", help="where it is kept (data/features)")
    given = parser.parse_args()
    overrides, trust = split_trust(given.overrides)
    if not any(override.startswith("data=") for override in overrides):
        raise InputError(f"{' '.join(overrides)!r} names no data set: give data=NAME, as data=mnist")

    from energy_gan.metrics.classifier import classifier_of, classifier_path
    from energy_gan.run.build import build_data

    config = compose(overrides)
    data, name = build_data(config["data"], trust), config["name"].rpartition("/")[2]
    data.prepare_data()
    data.setup()
    right = float(classifier_of(data, name, given.folder).accuracy)
    print(
        f"the classifier of {name} names {right:.2%} of {len(data.held_out)} held-out images right -> "
        f"{classifier_path(name, given.folder)}"
    )


if __name__ == "__main__":
    door(main)
