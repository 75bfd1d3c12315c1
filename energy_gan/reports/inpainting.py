"""Hidden pixels filled in: by walks from coarse to fine, by a mixture of Gaussians, by the mean image."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from energy_gan.metrics.images import as_images
from energy_gan.model import Model
from energy_gan.numerics.ppca import PPCAMixture, evenly

WALKS = 4  # for each image
FITTED, COMPONENTS, RANK = 20_000, 50, 40

Images = Float[Tensor, "N C H W"]


class FilledIn(NamedTuple):
    """Images with their hidden pixels filled in, each in several ways.

    walks: one after the other.
    others: by name, one for each image; "the mean of … walks" among them.
    """

    walks: list[Images]
    others: dict[str, Images]

    def errors(self, x: Images, hidden: Bool[Tensor, "H W"]) -> dict[str, float]:
        """The mean |error| of hidden pixels."""
        of_walks = [error(walk, x, hidden) for walk in self.walks]
        return {"one walk": sum(of_walks) / len(of_walks)} | {
            name: error(images, x, hidden) for name, images in self.others.items()
        }


def error(images: Images, x: Images, hidden: Bool[Tensor, "H W"]) -> float:
    """The mean of |x̂ − x| over the hidden pixels of all images, each in [0, 1]."""
    return float((images.clamp(0, 1) - x)[..., hidden].abs().mean())


class Yardsticks:
    """What needs no walk: the conditional mean of a mixture of PPCA, and the mean image.

    The first is exact, and among all that the mixture could say the best in squared error.

    Args:
        points: the training images; the mixture is fitted to at most 20,000 of them.
    """

    def __init__(self, points: Tensor, seed: int = 0):
        some = as_images(evenly(points, FITTED)).flatten(1)
        components = max(1, min(COMPONENTS, len(some) // 100))
        rank = max(1, min(RANK, some.shape[1] // 2, len(some) - 1))
        self.mixture = PPCAMixture.fit(some, components, rank, seed=seed)
        self.mean = some.mean(0).unflatten(0, points.shape[1:])

    def of(self, x: Images, hidden: Bool[Tensor, "H W"]) -> dict[str, Images]:
        known = ~hidden.expand(x.shape[1:]).flatten()
        mixed = self.mixture.conditional_mean(x.flatten(1), known).view_as(x)
        n = len(self.mixture.weights)
        return {f"mixture of {n} PPCA": mixed, "mean image": torch.where(hidden, self.mean, x)}


def filled_in(
    model: Model, x: Images, hidden: Bool[Tensor, "H W"], yardsticks: Yardsticks | None, seed: int = 0
) -> FilledIn:
    """The images x without their hidden pixels, filled in."""
    walks = [model.inpaint(x, ~hidden, seed + k) for k in range(WALKS)]
    others: Mapping[str, Images] = yardsticks.of(x, hidden) if yardsticks else {}
    return FilledIn(walks, {f"the mean of {WALKS} walks": torch.stack(walks).mean(0), **others})
