"""Images as files: what the doors write. Of four channels the fourth stands beside the others, in grey."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torchvision.utils import save_image

from energy_gan.data.images import viewable
from energy_gan.errors import InputError
from energy_gan.model import Model

Images = Float[Tensor, "N C H W"]  # values from 0 to 1


def require_images(model: Model, run: Path) -> None:
    """InputError where a run's samples are not images."""
    if model.kind != "images" or model.method.shape[0] not in (1, 3, 4):
        raise InputError(
            f"RUN={run} was trained on points of {model.dimension} numbers, which are no images: "
            "give OUT=samples.csv, .npy or .parquet"
        )


def write_grid(path: Path, images: Images, columns: int) -> None:
    """All images in one picture, row by row, each enlarged to at least 28 pixels."""
    factor = max(1, 28 // images.shape[2])
    enlarged = viewable(images).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    save_image(enlarged.clamp(0, 1), path, nrow=columns, padding=2, pad_value=1)
