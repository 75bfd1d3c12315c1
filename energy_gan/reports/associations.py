"""Of a table: frequencies of levels and mutual information of pairs of columns, beside the data's."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.metrics.associations import Associations
from energy_gan.model import Model
from energy_gan.reports import drawing
from energy_gan.reports.numbers import OF_COLUMNS
from energy_gan.reports.section import Section

ROWS = 20_000


class ColumnAssociations(Section):
    """As many samples as rows, at most 20,000, by `metrics/associations.py`."""

    needs = "columns generator"
    numbers = OF_COLUMNS

    def prepare(self, data: DataModule) -> None:
        self.rows = data.points[:ROWS].numpy()
        self.of_data = Associations([c.values for c in data.schema.columns], self.rows)

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full or samples is None:
            return {}
        x, numbers = samples[: len(self.rows)].numpy(), {}
        levels, (data, generator) = self.of_data.frequencies(x), self.of_data.pairs(x)
        if len(levels.data):
            off = np.abs(levels.generator - levels.data) / np.maximum(levels.error, 1e-12)
            numbers["level_deviation"] = float(off.max())
        if len(data):
            numbers["association_gap"] = float(np.abs(generator - data).max())
        return numbers

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        if "generator" not in sets:
            return {}
        x = sets["generator"].numpy()
        return {"associations": drawing.associations(self.of_data.frequencies(x), *self.of_data.pairs(x))}
