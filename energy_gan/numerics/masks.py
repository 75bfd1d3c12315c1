"""Which pixels of an image are hidden: a block, a doodle, salt and pepper."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from energy_gan.randomness import random_generator

Mask = Bool[Tensor, "H W"]  # true where a pixel is hidden
DOODLED, PEPPERED = 0.25, 0.6  # shares of the pixels


def block(height: int, width: int, seed: int = 0) -> Mask:
    """The middle half of each side: a quarter of the image."""
    hidden = torch.zeros(height, width, dtype=torch.bool)
    hidden[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return hidden


def doodle(height: int, width: int, seed: int = 0) -> Mask:
    """Strokes of a pen that turns as it goes, until a quarter of the image is hidden."""
    rng, side = random_generator(seed), min(height, width)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    hidden = torch.zeros(height, width, dtype=torch.bool)
    while hidden.double().mean() < DOODLED:
        y, x, angle = (torch.rand(3, generator=rng) * torch.tensor([height, width, 2 * math.pi])).tolist()
        for turn in torch.randn(side, generator=rng).tolist():
            hidden |= (rows - y) ** 2 + (columns - x) ** 2 <= max(1.0, side / 28) ** 2
            if hidden.double().mean() >= DOODLED:
                break
            angle += 0.4 * turn
            y, x = y + math.sin(angle), x + math.cos(angle)
    return hidden


def pepper(height: int, width: int, seed: int = 0) -> Mask:
    """Six pixels in ten, at random."""
    order = torch.randperm(height * width, generator=random_generator(seed))
    return (order < round(PEPPERED * height * width)).view(height, width)


MASKS: dict[str, Callable[[int, int, int], Mask]] = {"block": block, "doodle": doodle, "pepper": pepper}
