"""The input: batches from the memory map beside decoding JPEGs, images per second of one core."""

import tempfile
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from timing import Row, Work, interleave, median, repeat

from energy_gan.data.images import ImageData, Split, read_image
from energy_gan.data.source import ArraySource

SHAPE, BATCH, MAPPED = (3, 64, 64), 128, 8192
BATCHES, DECODED = 20, 100  # in a round


class Mapped(ImageData):
    """Random pixels that were decoded into a folder, as a set's are."""

    in_memory = True

    def source(self, split: Split) -> ArraySource:
        n = MAPPED if split == "train" else 2
        return ArraySource("noise", split, np.random.default_rng(0).integers(0, 256, (n, *SHAPE), np.uint8))


def rows(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        data = Mapped(SHAPE, folder, folder, BATCH, 0, 0, "stop")
        data.setup()
        loader, index = iter(data.train_dataloader()), torch.randperm(MAPPED)[:BATCH]
        variants: dict[str, Work] = {
            "jpeg": _decode(),
            "uint8": repeat(lambda: next(loader), BATCHES),
            "float": repeat(lambda: data.on_after_batch_transfer(next(loader), 0), BATCHES),
            "bare": repeat(lambda: data.points.index_select(0, index), BATCHES),
        }
        times = interleave(variants, rounds)
    rate = {name: BATCHES * BATCH / median(times, name) for name in ("uint8", "float", "bare")}
    jpeg = DECODED / median(times, "jpeg")
    return [
        Row("memory map / JPEG, images per second and core: uint8", rate["uint8"] / jpeg, "at least", 80,
            f"{rate['uint8']:,.0f} and {jpeg:,.0f} a second; a bare `index_select` {rate['bare']:,.0f}"),
        Row("memory map / JPEG, images per second and core: normalised float", rate["float"] / jpeg,
            "at least", 40, f"{rate['float']:,.0f} and {jpeg:,.0f} a second"),
    ]  # fmt: skip


def _decode() -> Work:
    """Faces' size, 178×218, kept 148 of it, resized to 64: what a set such as CelebA takes."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(20):  # smooth, with some grain, so that they compress about as photographs do
        small = Image.fromarray(rng.integers(0, 256, (27, 22, 3), np.uint8)).resize((178, 218), Image.BICUBIC)
        grain = np.clip(np.asarray(small) + rng.normal(0, 4, (218, 178, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(grain).save(file := BytesIO(), "JPEG", quality=90)
        files.append(file.getvalue())

    def work() -> None:
        for i in range(DECODED):
            image = read_image(BytesIO(files[i % len(files)]), SHAPE, 148)
            (torch.from_numpy(image).float() / 255 - 0.5) / 0.5

    return work
