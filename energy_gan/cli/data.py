"""Decode an image set once, into one array that training maps into memory.

    python -m energy_gan.cli.data data=celeba data.root=FOLDER data.on_error=skip

`train` does the same by itself the first time. Killed and started again, it goes on where it was.
"""

import argparse

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.run.compose import compose, split_trust

NAMED = 20  # bad files that are listed; the manifest lists all


def main() -> None:
    parser = Parser("data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", metavar="data=NAME", nargs="+", help="of conf/data, and data.KEY=VALUE")
    overrides, trust = split_trust(parser.parse_args().overrides)
    config = compose(overrides)

    from energy_gan.data.images import ImageData
    from energy_gan.run.build import build, check

    check({"data": config["data"]}, trust)
    data = build(config["data"], "data")
    name = config["name"].rpartition("/")[2]
    if not isinstance(data, ImageData):
        raise InputError(f"data={name} is no image set and needs no decoding: train on it as it is")
    data.setup()
    print(summary(name, data))


def summary(name: str, data) -> str:
    """What there is of each split, where, and what was left out."""
    from energy_gan.system.files import in_bytes

    lines = [f"{name}, images of shape {'×'.join(map(str, data.shape))}"]
    for split, decoded in data.decoded.items():
        where = f"{'built' if decoded.built else 'found'} {decoded.file}" if decoded.file else "in memory"
        size = in_bytes(decoded.images.nbytes)
        lines.append(
            f"  {split:<9}{len(decoded.images):>9} images  {size:>9}  {where}  sha256 {decoded.sha256[:16]}…"
        )
    if data.classes:
        shown = ", ".join(data.classes[:12]) + ", …" * (len(data.classes) > 12)
        lines.append(f"  {'classes':<9}{len(data.classes):>9}  {shown}")
    bad = [line for decoded in data.decoded.values() for line in decoded.skipped]
    lines.append(f"  {'skipped':<9}{len(bad):>9}  that cannot be decoded")
    lines += [f"    {line}" for line in bad[:NAMED]]
    if len(bad) > NAMED:
        lines.append(f"    … and {len(bad) - NAMED} more, listed in the .json beside the array")
    ignored = data.sources["train"].ignored
    if ignored:
        lines.append(f"  {'ignored':<9}{ignored:>9}  hidden, or no image by their ending")
    return "\n".join(lines)


if __name__ == "__main__":
    door(main)
