"""Fill in hidden pixels of images, by a run whose generator goes from coarse to fine: METHOD=multigrid.

    python -m energy_gan.cli.inpaint RUN --mask block --n 16 --out inpainting.png
    python -m energy_gan.cli.inpaint RUN --input FOLDER --mask mask.png --out filled.npy

On each grid the cells of which all pixels are known stay as they are and the others walk. Masks are
`block`, the middle quarter of the image, `doodle`, strokes that hide a quarter, `pepper`, six pixels in ten
at random, or a picture of the images' size, white where they are to be filled in. Without `--input` they are
the run's held-out images. `.png` shows each image, what is left of it, three walks, the mean of four, the
conditional mean of a mixture of PPCA that is fitted to the run's training images, and their mean; `.npy`
holds the first walk. Printed is the mean |error| of the hidden pixels, in [0, 1], of each of these.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from energy_gan.cli import Parser, door, opened
from energy_gan.cli.reconstruct import points_of
from energy_gan.errors import InputError
from energy_gan.system.tables import check_writable, write_table

if TYPE_CHECKING:
    from energy_gan.numerics.masks import Mask

IN_A_LINE = 2  # images of the picture, each with what was made of it


def main() -> None:
    parser = Parser("inpaint", __doc__)
    parser.takes_run()
    parser.add_argument("--input", help="a folder of images, or one image (the held-out images)")
    parser.add_argument("--mask", default="block", help="block, doodle, pepper or a picture (block)")
    parser.takes_number("--n", 1, "at most so many (64)", default=64)
    parser.takes_out("inpainting.png", ".png, or .npy with the first walk")
    parser.takes_seed("of the mask and of the walks (0)")
    given = parser.parse_args()
    check_writable(given.out, (".png", ".npy"))

    import torch

    from energy_gan.reports.inpainting import Yardsticks, filled_in
    from energy_gan.reports.pictures import write_grid
    from energy_gan.run.checkpoints import data_of

    model = opened(given.run, given.trust, ["generator", "images"])
    hidden = mask_of(given.mask, model.method.shape, given.seed)
    model.check_inpainting()
    x, bad = points_of(model, given)
    data = data_of(given.run, given.trust)
    data.setup()
    found = filled_in(model, x, hidden, Yardsticks(data.points), given.seed)
    if given.out.suffix == ".npy":
        write_table(given.out, [found.walks[0].numpy()], tuple(x.shape), model.columns)
    else:
        left = torch.where(hidden, 0.5, x)
        columns = torch.stack([x, left, *found.walks[:3], *found.others.values()], 1)
        write_grid(given.out, columns.flatten(0, 1), IN_A_LINE * columns.shape[1])
    errors = ", ".join(f"{name} {value:.4f}" for name, value in found.errors(x, hidden).items())
    n, of = int(hidden.sum()), hidden.numel()
    print(f"{len(x)} images, {n} of {of} pixels filled in; their mean |error|: {errors} -> {given.out}")
    if bad:
        from energy_gan.data.folder import warn_of

        warn_of(bad)


def mask_of(name: str, shape: tuple[int, ...], seed: int) -> "Mask":
    """The mask of that name, or of that file.

    Raises:
        InputError: there is none, it cannot be read, is of another size or hides nothing.
    """
    import numpy as np
    import torch
    from PIL import Image

    from energy_gan.numerics.masks import MASKS

    if name in MASKS:
        return MASKS[name](*shape[1:], seed)
    if not Path(name).is_file():
        raise InputError(
            f"MASK={name} is no mask and no file: give {', '.join(MASKS)} or a picture, white where images "
            "are to be filled in"
        )
    try:
        with Image.open(name) as picture:
            hidden = torch.from_numpy(np.asarray(picture.convert("L")) > 127)
    except Exception as error:  # Pillow raises whatever the damaged bytes lead to
        raise InputError(f"MASK={name} is no picture that can be read ({error}): give another") from error
    if hidden.shape != shape[1:]:
        sizes = " and the images ".join(f"{h}×{w}" for h, w in (hidden.shape, shape[1:]))
        raise InputError(f"MASK={name} is {sizes}: give a mask of their height and width")
    if not hidden.any():
        raise InputError(f"MASK={name} hides nothing: make white what is to be filled in")
    return hidden


if __name__ == "__main__":
    door(main)
