"""What an image set holds once it is decoded, in lines."""

from energy_gan.data.images import ImageData
from energy_gan.system.files import in_bytes

NAMED = 20  # bad files that are listed; the manifest lists all


def inventory(name: str, data: ImageData) -> str:
    """What there is of each split, where, and what was left out."""
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
