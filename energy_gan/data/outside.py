"""Images of other kinds than those trained on, which an energy should find unlikely.

    kmnist      the test part of Kuzushiji-MNIST, cursive characters
    omniglot    characters of many alphabets, made white on black and resized
    noise       every pixel uniform on [0, 1]
    gaussian    every pixel normal with mean ½ and standard deviation ¼, cut off at 0 and 1
    constant    every image of one colour, uniform on [0, 1]

Reference: Deep Learning for Classical Japanese Literature (Clanuwat et al., 2018),
https://arxiv.org/abs/1812.01718; Human-level concept learning through probabilistic program induction (Lake,
Salakhutdinov, Tenenbaum, 2015), https://doi.org/10.1126/science.aab3050.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from energy_gan.data.folder import folder_batches
from energy_gan.errors import InputError
from energy_gan.randomness import random_generator

Images = Float[Tensor, "N C H W"]
KMNIST_FILES = ("kmnist/kmnist-test-imgs.npz", "KMNIST/raw/t10k-images-idx3-ubyte")
OMNIGLOT_FILES = ("omniglot/images_*.zip", "omniglot-py/images_*")


def other_set(name: str, shape: Sequence[int], n: int, root: Path, seed: int = 0) -> Images:
    """At most n images of one of the kinds above, of the shape [C, H, W], in [0, 1].

    Args:
        root: the folder of the files, where the kind has some: `KMNIST_FILES`, `OMNIGLOT_FILES`.

    Raises:
        InputError: they are not there, or damaged.
        ValueError: there is no such kind, or n is less than 1.
    """
    if name not in KINDS:
        raise ValueError(f"the kind must be one of {', '.join(KINDS)}, got {name}")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return KINDS[name](tuple(shape), n, root, random_generator(seed))


def other_sets(
    names: Sequence[str], shape: Sequence[int], n: int, root: Path, crop: str, seed: int, bad: list[str]
) -> dict[str, Images]:
    """At most n images of each kind or folder by its name; of folders, cropped and resized.

    Args:
        root: as in `other_set`.
        crop, bad: as in `folder_batches`.

    Raises:
        InputError: one is neither, or cannot be had.
    """
    found = {}
    for name in names:
        if name in KINDS:
            found[name] = other_set(name, shape, n, root, seed)
        elif Path(name).is_dir():
            found[name] = torch.cat([x for _, x in folder_batches(Path(name), shape, crop, bad, n, seed)])
        else:
            raise InputError(
                f"--versus {name} is no folder and no kind: give a folder of images or one of "
                f"{', '.join(KINDS)}"
            )
    return found


def there(root: Path) -> list[str]:
    """The kinds that can be had with this folder of files; prints which cannot."""
    absent = [name for name in FROM_FILES if not find(name, root)]
    if absent:
        print(f"left out: {' and '.join(absent)}, not found in {root.absolute()}; give --root FOLDER")
    return [name for name in KINDS if name not in absent]


def find(name: str, root: Path) -> list[Path]:
    """The files or folders of a kind that has some, below the root, by the first layout that is there."""
    layouts = {"kmnist": KMNIST_FILES, "omniglot": OMNIGLOT_FILES}.get(name, ())
    return next((found for layout in layouts if (found := sorted(root.glob(layout)))), [])


def _noise(shape: Sequence[int], n: int, root: Path, rng: torch.Generator) -> Images:
    return torch.rand(n, *shape, generator=rng)


def _gaussian(shape: Sequence[int], n: int, root: Path, rng: torch.Generator) -> Images:
    return (0.5 + 0.25 * torch.randn(n, *shape, generator=rng)).clamp(0, 1)


def _constant(shape: Sequence[int], n: int, root: Path, rng: torch.Generator) -> Images:
    return torch.rand(n, shape[0], 1, 1, generator=rng).expand(n, *shape).contiguous()


def _kmnist(shape: Sequence[int], n: int, root: Path, rng: torch.Generator) -> Images:
    file = _required("kmnist", root, KMNIST_FILES, "https://github.com/rois-codh/kmnist")[0]
    try:
        npz = file.suffix == ".npz"
        images = np.load(file)["arr_0"] if npz else np.fromfile(file, np.uint8, offset=16)
        images = images.reshape(-1, 28, 28).astype(np.uint8, casting="safe")
    except Exception as error:  # NumPy raises whatever the damaged bytes lead to
        raise InputError(f"{file} cannot be read ({' '.join(str(error).split())}): get it anew") from error
    chosen = torch.randperm(len(images), generator=rng)[:n]
    return _stacked((Image.fromarray(images[i]) for i in chosen), shape)


def _omniglot(shape: Sequence[int], n: int, root: Path, rng: torch.Generator) -> Images:
    places = _required("omniglot", root, OMNIGLOT_FILES, "https://github.com/brendenlake/omniglot")
    drawings: dict[str, tuple[Path, str]] = {}  # by file name, unique to a drawing: archives overlap
    for place in places:
        try:
            names = (
                sorted(str(file.relative_to(place)) for file in place.rglob("*.png"))
                if place.is_dir()
                else sorted(ZipFile(place).namelist())
            )
        except Exception as error:
            raise InputError(f"{place} cannot be read ({error}): get it anew") from error
        drawings |= {
            Path(name).name: (place, name)
            for name in names
            if name.endswith(".png") and not Path(name).name.startswith(".")
        }
    if not drawings:
        raise InputError(f"there is no .png in {', '.join(map(str, places))}: get them anew")
    chosen = torch.randperm(len(drawings), generator=rng)[:n].tolist()
    ordered = [drawings[name] for name in sorted(drawings)]
    return _stacked(_inverted([ordered[i] for i in chosen]), shape)


def _inverted(drawings: Sequence[tuple[Path, str]]) -> Iterator[Image.Image]:
    """Black ink on white made white on black."""
    archives = {place: ZipFile(place) for place, _ in drawings if not place.is_dir()}
    for place, name in drawings:
        try:
            with archives[place].open(name) if place in archives else (place / name).open("rb") as file:
                picture = Image.open(file).convert("L")
        except Exception as error:  # Pillow and zipfile raise whatever the damaged bytes lead to
            raise InputError(f"{name} of {place} cannot be read ({error}): get it anew") from error
        yield ImageOps.invert(picture)


def _stacked(pictures: Iterator[Image.Image], shape: Sequence[int]) -> Images:
    channels, height, width = shape
    rows = []
    for picture in pictures:
        picture = picture.convert("L" if channels == 1 else "RGB")
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        rows.append(np.array(picture).reshape(height, width, channels).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(rows)).float() / 255


def _required(name: str, root: Path, layouts: Sequence[str], page: str) -> list[Path]:
    if found := find(name, root):
        return found
    raise InputError(
        f"{name} is not there: looked for {' and '.join(layouts)} in {root.absolute()}; put it there from "
        f"{page}, or give the folder that holds it, --root FOLDER"
    )


KINDS: dict[str, Callable[[Sequence[int], int, Path, torch.Generator], Images]] = {
    "kmnist": _kmnist,
    "omniglot": _omniglot,
    "noise": _noise,
    "gaussian": _gaussian,
    "constant": _constant,
}
FROM_FILES = ("kmnist", "omniglot")
