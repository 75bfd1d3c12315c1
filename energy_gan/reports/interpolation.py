"""Paths in latent space: is what lies between two samples like the data, or a mixture of their pixels?"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.images import ImageData, viewable
from energy_gan.metrics.classifier import classified, classifier_of
from energy_gan.model import Model
from energy_gan.reports import drawing
from energy_gan.reports.numbers import INTERPOLATION
from energy_gan.reports.section import Section

SHOWN, PATHS, STEPS = 8, 64, 9
CONFIDENCE = 0.9

Paths = Float[Tensor, "n T C H W"]


class Interpolation(Section):
    """The share of images between the ends to which a classifier gives one class with 0.9 or more.

    Beside it that of the pixels of the same ends, mixed in the same shares.
    """

    needs = "images generator"
    numbers = INTERPOLATION

    def prepare(self, data: ImageData) -> None:
        self.data = data

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full or "labels" not in self.data.has:
            return {}
        paths = model.interpolate(PATHS, STEPS, self.seed)
        return {
            "interpolation_confident": self._confident(paths),
            "cross_fade_confident": self._confident(cross_fade(paths)),
        }

    def _confident(self, paths: Paths) -> float:
        classifier = classifier_of(self.data, self.data.sources["train"].kind, self.settings.features)
        between = paths[:, 1:-1].flatten(0, 1).clamp(0, 1)
        return float((classified(classifier, between).amax(1) >= CONFIDENCE).double().mean())

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        paths = model.interpolate(SHOWN, STEPS, self.seed)
        rows = {
            "left and right a sample each, between them a path in latent space": paths,
            "the pixels of the same ends, mixed": cross_fade(paths),
        }
        shown = {title: viewable(part.flatten(0, 1)).numpy() for title, part in rows.items()}
        return {"interpolation": drawing.images(shown, STEPS, width=6.0)}


def cross_fade(paths: Paths) -> Paths:
    """(1 − t) first + t last, of the pixels of the ends of each path."""
    t = torch.linspace(0, 1, paths.shape[1]).view(-1, 1, 1, 1)
    return (1 - t) * paths[:, :1] + t * paths[:, -1:]
