"""Pictures of many networks: how good they are, what lies between two, and where they change their mind."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.figure import Figure

from energy_gan.reports.drawing import DATA, ENERGY, GENERATOR, REFERENCE, Box

COLOURS = (DATA, GENERATOR, ENERGY, "#2e8b57", "#7d3c98", REFERENCE)
SHOWN = 1_000


def networks(
    singles: Float[np.ndarray, "M"],
    ensembles: Mapping[int, float],
    paths: Mapping[str, Float[np.ndarray, "P T"]],
) -> Figure:
    """Accuracies of single networks, with those of ensembles as lines; losses along paths between two."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist(singles, 30, color=GENERATOR, alpha=0.6, label="one network")
    for (n, accuracy), style in zip(ensembles.items(), (":", "--", "-"), strict=False):
        left.axvline(accuracy, color=ENERGY, linestyle=style, label=f"{n} together")
    left.set(xlabel="accuracy", ylabel="networks")
    left.legend(frameon=False, fontsize=8)
    for (name, losses), colour in zip(paths.items(), (GENERATOR, DATA), strict=True):
        t = np.linspace(0, 1, losses.shape[1])
        right.plot(t, losses.T, color=colour, linewidth=0.6, alpha=0.5)
        right.plot(t, losses.mean(0), color=colour, linewidth=2, label=name)
    right.set(xlabel="share of the way from one network to another", ylabel="loss (nats)", yscale="log")
    right.legend(frameon=False, fontsize=8)
    left.locator_params("x", nbins=5)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def boundaries(
    named: Mapping[str, Integer[np.ndarray, "M H W"]],
    x: Float[np.ndarray, "N 2"],
    labels: Integer[np.ndarray, "N"],
    box: Box,
) -> Figure:
    """Where each network goes from one class to another, over points coloured by their class."""
    figure = Figure(figsize=(4.6 * len(named), 4.2), layout="constrained")
    for axes, (title, maps) in zip(
        figure.subplots(1, len(named), squeeze=False)[0], named.items(), strict=True
    ):
        for k in np.unique(labels[:SHOWN]):
            own = x[:SHOWN][labels[:SHOWN] == k]
            axes.scatter(*own.T, s=3, linewidths=0, color=COLOURS[k % len(COLOURS)], alpha=0.5)
        for values in maps:
            if values.min() < values.max():
                levels = np.arange(values.min(), values.max()) + 0.5
                axes.contour(values, levels, extent=box, colors="black", linewidths=0.6, alpha=0.6)
        axes.set(title=title, xlim=box[:2], ylim=box[2:])
        axes.set_aspect("equal")
    return figure
