"""Images of a buffer, each changed by chance before its chain goes on: what a chain cannot cross, this may.

Reference: Improved Contrastive Divergence Training of Energy Based Models (Du et al., 2021),
https://arxiv.org/abs/2012.01316.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torchvision.transforms import v2

from energy_gan.shapes import Points


class Augmentation(nn.Module):
    """A part of the image enlarged, left for right, other colours, no colours: each with its chance.

    The reference's is least_area=0.08, flip=0.5, colour=0.8, grey=0.2. What comes out has
    to be an image of the same kind: no flip of letters and digits, and too small a part of a digit is none.

    Args:
        shape: of one image, [C, H, W].
        least_area: the smallest share of the area, above 0, that is enlarged; 1 leaves this out.
        flip: the chance of left for right.
        colour: the chance of another brightness, contrast (by up to 80 %), saturation and hue.
        grey: the chance of losing all colour.
    """

    def __init__(
        self,
        shape: Sequence[int],
        least_area: float = 0.08,
        flip: float = 0.0,
        colour: float = 0.0,
        grey: float = 0.0,
    ):
        super().__init__()
        chances = {"least_area": least_area, "flip": flip, "colour": colour, "grey": grey}
        if not least_area > 0 or not all(0 <= p <= 1 for p in chances.values()):
            raise ValueError(f"least_area must be above 0 and each of these 0 to 1, got {chances}")
        if len(shape) != 3:
            raise ValueError(f"shape must be that of images, [C, H, W], got {list(shape)}")
        if (colour or grey) and shape[0] != 3:
            raise ValueError(f"colour and grey must be 0 for images without colour, got {colour} and {grey}")
        steps: list[nn.Module] = []
        if least_area < 1:
            steps.append(v2.RandomResizedCrop(tuple(shape[1:]), (least_area, 1.0), antialias=True))
        if flip:
            steps.append(v2.RandomHorizontalFlip(flip))
        if colour:
            steps.append(v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.4)], colour))
        if grey:
            steps.append(v2.RandomGrayscale(grey))
        self.steps, self.in_range = nn.Sequential(*steps), bool(colour or grey)

    def forward(self, x: Points) -> Points:
        """The images in [−1, 1], each changed on its own."""
        pixels = (x.clamp(-1, 1) if self.in_range else x) / 2 + 0.5  # colours are those of [0, 1]
        return 2 * torch.stack([self.steps(image) for image in pixels]) - 1
