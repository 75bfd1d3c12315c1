"""Samples of each class, and the latents of held-out points by their class, in two dimensions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from torch import Tensor

from energy_gan.data.images import viewable
from energy_gan.metrics.classifier import classified, classifier_of
from energy_gan.model import Model
from energy_gan.numerics.ppca import evenly
from energy_gan.reports import drawing
from energy_gan.reports.numbers import SYMBOLS
from energy_gan.reports.section import Section

EACH, SHOWN, CLASSES = 100, 10, 20  # samples of a class; of them in pictures; classes there at most
MAPPED = 2_000  # latents in the map
SAID = 3  # sentences of a class that are to be read


def samples_right(model: Model, data: Any, features: str | Path, seed: int) -> dict[str, float]:
    """Of a class, and of the worst class.

    Args:
        data: of images, all of whose labels the classifier saw.
        features: the folder where it is kept.
    """
    classifier = classifier_of(data, data.sources["train"].kind, features)
    right = []
    for number, name in enumerate(model.classes):
        images = model.sample_class(EACH, name, seed)
        right.append(float((classified(classifier, images.clamp(0, 1)).argmax(1) == number).float().mean()))
    return {"class_samples_right": sum(right) / len(right), "class_samples_worst": min(right)}


class Symbols(Section):
    """The share of the samples of a class that a classifier, which saw all labels, says are of it."""

    needs = "classes generator inference tilted labels"
    numbers = SYMBOLS

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full or model.kind != "images":
            return {}
        return samples_right(model, self.data, self.settings.features, self.seed)

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        figures = {"latents_by_class": self._map(model)}
        if model.kind == "images":
            by_class = [model.sample_class(SHOWN, name, self.seed) for name in model.classes[:CLASSES]]
            title = "a line for each class: " + ", ".join(model.classes[:CLASSES])
            rows = {title: viewable(torch.cat(by_class)).numpy()}
            figures["samples_by_class"] = drawing.images(rows, SHOWN, width=5.0)
        return figures

    def _map(self, model: Model) -> Figure:
        """The two principal directions of the latents."""
        places = evenly(torch.arange(len(self.data.held_out))[:, None], MAPPED)[:, 0]
        places = places[self.data.held_out_labels[places] >= 0]
        latent = model.reconstruct(self.data.held_out[places]).latent.numpy()
        flat = PCA(2, random_state=self.seed).fit_transform(latent) if latent.shape[1] > 2 else latent
        return drawing.labelled(flat, self.data.held_out_labels[places].numpy(), model.classes)

    def texts(self, model: Model) -> dict[str, str]:
        if model.kind != "text":
            return {}
        said = {name: model.decode(model.sample_class(SAID, name, self.seed)) for name in model.classes}
        return {
            "samples_by_class": "".join(
                f"- {name}\n" + "".join(f"  - {s}\n" for s in lines) for name, lines in said.items()
            )
        }
