"""Decode an image set once, into one array that training maps into memory.

    python -m energy_gan.cli.data data=celeba data.root=FOLDER data.on_error=skip

`train` does the same by itself the first time. Killed and started again, it goes on where it was.
"""

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.run.compose import compose
from energy_gan.run.words import split_trust


def main() -> None:
    parser = Parser("data", __doc__)
    parser.add_argument("overrides", metavar="data=NAME", nargs="+", help="of conf/data, and data.KEY=VALUE")
    overrides, trust = split_trust(parser.parse_args().overrides)
    config = compose(overrides)

    from energy_gan.data.inventory import inventory
    from energy_gan.run.build import build_data

    data, name = build_data(config["data"], trust), config["name"].rpartition("/")[2]
    if data.kind != "images":
        raise InputError(f"data={name} is no image set and needs no decoding: train on it as it is")
    data.setup()
    print(inventory(name, data))


if __name__ == "__main__":
    door(main)
