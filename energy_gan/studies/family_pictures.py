"""Of several methods on one set: quality against time, and their samples."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, StrMethodFormatter

from energy_gan.reports.drawing import ENERGY, GENERATOR, tile

COLUMNS = 6
NUMBER = StrMethodFormatter("{x:g}")
WIDTH, HEIGHT = 85, 12  # of a name, pixels


class PlainMinor(LogFormatter):
    """Between the decades where these are few: 0.6 and not 6e-01."""

    def __call__(self, x, pos=None):
        return NUMBER(x, pos) if super().__call__(x, pos) else ""


def quality_by_time(points: Mapping[str, tuple[float, float]], quality: str) -> Figure:
    """A dot for each method at its seconds of training and its quality."""
    figure = Figure(figsize=(9.5, 5), layout="constrained")
    axes = figure.subplots()
    x, y = np.array(list(points.values())).T
    axes.scatter(x, y, color=ENERGY)
    axes.set(xscale="log", xlabel="seconds of training", ylabel=quality)
    if (y > 0).all() and y.max() > 10 * y.min():
        axes.set_yscale("log")
    _name(axes, points)
    for axis in (axes.xaxis, axes.yaxis):  # 200 and not 2 × 10²
        if axis.get_scale() == "log":
            axis.set_major_formatter(NUMBER)
            axis.set_minor_formatter(PlainMinor(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure


def _name(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """The name of each dot, above that of another which it would lie on."""
    axes.figure.draw_without_rendering()  # the limits are known now
    taken: list[np.ndarray] = []
    for name, place in sorted(points.items(), key=lambda point: point[1][1]):
        x, y = axes.transData.transform(place)
        for x_other, y_other in taken:
            if abs(x - x_other) < WIDTH and y - y_other < HEIGHT:
                y = y_other + HEIGHT
        taken.append(np.array([x, y]))
        up = (y - axes.transData.transform(place)[1]) * 72 / axes.figure.dpi
        axes.annotate(name, place, xytext=(5, 3 + up), textcoords="offset points", fontsize=8)


def sheet(samples: Mapping[str, Float[np.ndarray, "n *S"]]) -> Figure:
    """Samples of each method in a panel of its own: images in a square, of points the first two columns."""
    rows = -(-len(samples) // COLUMNS)
    figure = Figure(figsize=(1.9 * COLUMNS, 2.1 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    ends = [np.quantile(x[:, :2], (0.001, 0.999), axis=0) for x in samples.values() if x.ndim == 2]
    if ends:  # one box for all: samples of some have gone astray
        box = np.median(ends, axis=0)
        box += 0.1 * (box[1] - box[0]) * np.array([[-1], [1]])
    for axes, (name, x) in zip(panels, samples.items(), strict=False):
        if x.ndim == 4:
            square = int(len(x) ** 0.5)
            axes.imshow(tile(x[: square**2], square).squeeze(), cmap="gray", vmin=0, vmax=1)
        else:
            axes.scatter(*x[:, :2].T, s=0.5, color=GENERATOR, linewidths=0)
            axes.set(xlim=box[:, 0], ylim=box[:, 1])
        axes.set_title(name, fontsize=8)
    return figure
