"""Images as files: what the doors write. Of four channels the fourth stands beside the others, in grey."""

import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torchvision.utils import save_image

from energy_gan.data.images import viewable

Images = Float[Tensor, "N C H W"]  # values from 0 to 1


def write_grid(path: Path, images: Images, columns: int) -> None:
    """All images in one picture, row by row, each enlarged to at least 28 pixels."""
    factor = max(1, 28 // images.shape[2])
    enlarged = viewable(images).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    save_image(enlarged.clamp(0, 1), path, nrow=columns, padding=2, pad_value=1)


def write_pictures(folder: Path, blocks: Iterable[Images], n: int) -> None:
    """One .png for each image, 00000.png, 00001.png, …; the folder takes its name when it has all of them."""
    width = max(5, len(str(n - 1)))
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        images = (image for block in blocks for image in viewable(block).clamp(0, 1))
        for number, image in enumerate(images):
            save_image(image, temporary / f"{number:0{width}d}.png")
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
