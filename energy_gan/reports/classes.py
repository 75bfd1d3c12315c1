"""The classes of held-out points: how many are right, and how far their probabilities can be trusted."""

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.metrics.anomaly import auroc
from energy_gan.metrics.calibration import confusion, of_classes, reliability
from energy_gan.model import Model
from energy_gan.reports import drawing
from energy_gan.reports.numbers import CLASSES
from energy_gan.reports.section import Section

COMPARED = 2_000  # images whose energies are compared with others'


class Classes(Section):
    """Accuracy and calibration. Of images also the AUROC of the energy, or of what else ranks: the chance
    that another image has a higher one than one held out, against noise, every pixel uniform, and against
    copies of half the contrast.
    """

    needs = "classes labels"
    numbers = CLASSES

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        self.labelled = self.data.held_out_labels >= 0
        self.labels = self.data.held_out_labels[self.labelled]
        self.probabilities = model.classify(self.data.held_out[self.labelled])
        numbers = of_classes(self.probabilities, self.labels)
        return numbers | self._told(model) if model.kind == "images" else numbers

    def _told(self, model: Model) -> dict[str, float]:
        own = self.data.pixels(self.data.held_out[:COMPARED])
        noise = torch.rand(own.shape, generator=torch.Generator().manual_seed(self.seed))
        inside = model.ranking(own).numpy()
        others = {"noise": noise, "scaled": own / 2}
        return {f"auroc_{name}": auroc(inside, model.ranking(x).numpy()) for name, x in others.items()}

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        found = self.probabilities, self.labels
        bins = (part.numpy() for part in reliability(*found))
        names = list(map(str, self.data.classes))
        return {"classes": drawing.classes(confusion(*found).numpy(), *bins, names)}
