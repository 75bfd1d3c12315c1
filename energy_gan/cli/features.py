"""Train the small classifier that a labelled set of images is measured with, and keep it.

    python -m energy_gan.cli.features data=mnist data.root=/where/it/lies

Training a model does the same by itself the first time.
"""

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.run.compose import split_trust


def main() -> None:
    parser = Parser("features", description=__doc__)
    parser.add_argument("overrides", metavar="data=NAME", nargs="+", help="of conf/data, and data.KEY=VALUE")
    parser.add_argument("--folder", default="data/features", help="where it is kept (data/features)")
    given = parser.parse_args()
    overrides, trust = split_trust(given.overrides)
    if not any(override.startswith("data=") for override in overrides):
        raise InputError(f"{' '.join(overrides)!r} names no data set: give data=NAME, as data=mnist")

    from energy_gan.run.build import build, check
    from energy_gan.run.compose import compose

    config = compose(overrides)
    check({"data": config["data"]}, trust)
    print(classifier_line(build(config["data"], "data"), config["name"].rpartition("/")[2], given.folder))


def classifier_line(data, name: str, folder: str) -> str:
    """Train or find the classifier of a data module; what was reached and where it is kept."""
    from energy_gan.metrics.classifier import classifier_of, classifier_path

    data.prepare_data()
    data.setup()
    network = classifier_of(data, name, folder)
    right = f"{float(network.accuracy):.2%} of {len(data.held_out)} held-out images right"
    return f"the classifier of {name} names {right} -> {classifier_path(name, folder)}"


if __name__ == "__main__":
    door(main)
