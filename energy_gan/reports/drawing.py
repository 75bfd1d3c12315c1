"""Pictures of points, energies and runs. Numbers in, figure out; nothing here knows a trainer.

Colours: data red, generator blue (Figure 2 of the paper), energy orange, references grey.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DATA, GENERATOR, ENERGY, REFERENCE = "#c0392b", "#2458a6", "#d9822b", "#7f8c8d"
SHOWN_POINTS = 4_000
LOG_RANGE = 12.0  # nats below the highest density that a map resolves

Points2 = Float[np.ndarray, "N 2"]
Map = Float[np.ndarray, "H W"]
Images = Float[np.ndarray, "N C H W"]  # values from 0 to 1
Box = tuple[float, float, float, float]  # left, right, bottom, top


def samples(data: Points2, generated: Float[np.ndarray, "M 2"] | None, box: Box) -> Figure:
    """Data and samples on the same axes, the left half of the paper's Figure 2."""
    panels = {"data": (data, DATA)} | ({"generator": (generated, GENERATOR)} if generated is not None else {})
    figure = Figure(figsize=(4.2 * len(panels), 4.4), layout="constrained")
    for axes, (title, (points, colour)) in zip(_row(figure, len(panels)), panels.items(), strict=True):
        axes.scatter(*points[:SHOWN_POINTS].T, s=2, color=colour, linewidths=0, alpha=0.6)
        _frame(axes, title, box)
    return figure


def energy_map(maps: Mapping[str, Map], box: Box) -> Figure:
    """Log-densities side by side on one colour scale: where they agree they look the same."""
    top = max(float(np.nanmax(m[np.isfinite(m)])) for m in maps.values() if np.isfinite(m).any())
    figure = Figure(figsize=(4.4 * len(maps) + 0.8, 4.4), layout="constrained")
    for axes, (title, values) in zip(_row(figure, len(maps)), maps.items(), strict=True):
        image = axes.imshow(
            np.clip(values, top - LOG_RANGE, top),
            extent=box,
            origin="lower",
            aspect="auto",
            cmap="RdYlBu_r",
            vmin=top - LOG_RANGE,
            vmax=top,
        )
        _frame(axes, title, box)
    figure.colorbar(image, ax=figure.axes, label="log density (nats)", shrink=0.85)
    return figure


def energy_histograms(energies: Mapping[str, Float[np.ndarray, "_"]], what: str = "energy E(x)") -> Figure:
    """The energies of several sets of points: two that agree cover each other."""
    colours = {"data": DATA, "generator": GENERATOR}
    pooled = np.concatenate([e[np.isfinite(e)] for e in energies.values()])
    edges = np.linspace(*np.quantile(pooled, [0.001, 0.98]), 80)
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.subplots()
    styles = cycle(("-", "--", ":"))
    for name, values in energies.items():
        axes.hist(
            values,
            edges,
            density=True,
            histtype="stepfilled" if name == "data" else "step",
            alpha=0.5 if name == "data" else 1,
            linewidth=1.5,
            color=colours.get(name, REFERENCE),
            linestyle="-" if name in colours else next(styles),
            label=name,
        )
    axes.set(xlabel=f"{what}, low is likely (nats)", ylabel="share per nat")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def curves(runs: Mapping[str, Sequence[Mapping[str, float | int]]], titles: Mapping[str, str]) -> Figure:
    """Numbers by step, a panel each under its title, one line a run. Rows are {"step": …, name: value, …}.

    Steps begin at 0, so that a number that was measured once stands at the end.
    """
    names = [n for n in titles if any(n in row for history in runs.values() for row in history)]
    columns = min(3 if len(names) <= 12 else 5, max(1, len(names)))
    rows = -(-len(names) // columns) or 1
    figure = Figure(figsize=(4.2 * columns, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for name, axes in zip(names, panels, strict=False):  # in this order, or zip takes a panel too many
        for number, (run, history) in enumerate(runs.items()):
            pairs = np.array([(row["step"], row[name]) for row in history if name in row]).reshape(-1, 2)
            axes.plot(*pairs.T, marker=".", linewidth=1.2, color=f"C{number}", label=run)
            if len(pairs) == 1:  # no curve: its number says more than a dot
                axes.annotate(f"{pairs[0, 1]:.3g} ", pairs[0], ha="right", va="bottom", fontsize=9)
        axes.set_xlim(left=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(titles[name], fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    for axes in list(panels):
        axes.set_visible(False)
    if len(runs) > 1:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", frameon=False, fontsize=8)
    figure.supxlabel("step", fontsize=10)
    return figure


def marginals(
    data: Float[np.ndarray, "N D"],
    generated: Float[np.ndarray, "M D"] | None,
    names: Sequence[str],
    most: int = 5,
) -> Figure:
    """Every pair of the first few dimensions: data below the diagonal, samples above, both on it."""
    shown = min(data.shape[1], most)
    side = max(2.1, 5 / shown)  # inches of a panel
    figure = Figure(figsize=(side * shown + 1, side * shown + 0.6), layout="constrained")
    grid = figure.subplots(shown, shown, squeeze=False)
    sets = [(data, DATA)] + ([(generated, GENERATOR)] if generated is not None else [])
    limits = np.quantile(data[:, :shown], [0.001, 0.999], axis=0).T
    limits += 0.15 * (limits[:, 1:] - limits[:, :1]) * np.array([-1, 1])
    for i, j in np.ndindex(shown, shown):
        axes = grid[i, j]
        if i == j:
            for points, colour in sets:
                edges = np.linspace(*limits[i], 50)
                axes.hist(points[:, i], edges, density=True, histtype="step", color=colour)
            axes.set_yticks([])
        elif i > j or len(sets) > 1:
            points, colour = sets[0] if i > j else sets[1]
            axes.scatter(points[:SHOWN_POINTS, j], points[:SHOWN_POINTS, i], s=1, color=colour, alpha=0.4)
            axes.set_ylim(*limits[i])
        else:
            axes.set_visible(False)
        axes.set_xlim(*limits[j])
        axes.tick_params(labelsize=6)
        if i == shown - 1:
            axes.set_xlabel(names[j], fontsize=8)
        if j == 0 < i:
            axes.set_ylabel(names[i], fontsize=8)
    figure.suptitle("data red, generator blue" if len(sets) > 1 else "data", fontsize=10)
    return figure


def associations(
    levels: tuple[Float[np.ndarray, "K"], ...],
    data: Float[np.ndarray, "P"],
    generated: Float[np.ndarray, "P"],
) -> Figure:
    """Frequencies of levels and mutual information of pairs, samples over data: on the diagonal they agree.

    Args:
        levels: of the data, of samples, and the standard error of the difference, of which bars show three.
    """
    n = 1 + (len(levels[0]) > 0)
    figure = Figure(figsize=(4.2 * n, 4.4), layout="constrained")
    *of_levels, of_pairs = _row(figure, n)
    of_pairs.scatter(data, generated, s=14, color=GENERATOR, linewidths=0)
    of_pairs.set_title("mutual information of pairs (nats)", fontsize=10)
    for axes in of_levels:
        axes.errorbar(*levels[:2], yerr=3 * levels[2], fmt="o", ms=4, lw=1, color=GENERATOR)
        axes.set_title("frequency of each level, 3 standard errors", fontsize=10)
    for axes in figure.axes:
        axes.axline((0, 0), slope=1, color=REFERENCE, lw=1)
        axes.set(xlabel="data", ylabel="generator")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def images(rows: Mapping[str, Images], columns: int | None = None, width: float = 8.0) -> Figure:
    """Images in a grid, set by set, each under its name; all of one set in one line if columns is None."""
    blocks = {name: tile(part, columns or len(part)) for name, part in rows.items() if len(part)}
    heights = [block.shape[0] / block.shape[1] * width + 0.3 for block in blocks.values()]
    figure = Figure(figsize=(width, max(1.0, sum(heights))), layout="constrained")
    panels = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, block) in zip(panels, blocks.items(), strict=True):
        axes.imshow(block.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_axis_off()
    return figure


def tile(images: Images, columns: int, gap: int = 1) -> Float[np.ndarray, "h w C"]:
    """Images row by row in one, white lines between them; values from 0 to 1."""
    n, channels, height, width = images.shape
    n_rows = -(-n // columns)
    canvas = np.ones((n_rows * (height + gap) - gap, columns * (width + gap) - gap, channels), np.float32)
    for k, image in enumerate(images):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return canvas.clip(0, 1)


def chain(energy: Float[np.ndarray, "_"], acceptance_rate: Float[np.ndarray, "T"]) -> Figure:
    """Mean energy and acceptance rate along chains; the energy has one number more, of their start."""
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(np.arange(len(energy)), energy, color=ENERGY, linewidth=1.5)
    upper.set_ylabel("mean energy E(G(z)) (nats)")
    lower.plot(np.arange(1, len(energy)), acceptance_rate, color=REFERENCE, linewidth=1.5)
    lower.set(xlabel="step", ylabel="acceptance rate", ylim=(-0.02, 1.02))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    return figure


def drift(
    along: Mapping[str, Float[np.ndarray, "N T"]], level: float, spread: float, best: float = 2.0
) -> Figure:
    """Energies of chains that start in several places, from the data's mean.

    The line is the mean over the chains, the band the middle half of them. The dotted lines are `best` of the
    data's standard deviations away.
    """
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    _energies_along(axes, along, level, spread, best)
    axes.set_xlabel("moves of MALA")
    return figure


def _energies_along(
    axes: Axes, along: Mapping[str, Float[np.ndarray, "N T"]], level: float, spread: float, best: float
) -> None:
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    for side in (-best, best):
        axes.axhline(side * spread, color=REFERENCE, linewidth=0.8, linestyle=":")
    for (name, energies), color in zip(along.items(), (DATA, GENERATOR), strict=False):
        away = energies - level
        low, high = np.quantile(away, (0.25, 0.75), axis=0)
        steps = np.arange(away.shape[1])
        axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
        axes.plot(steps, away.mean(0), color=color, linewidth=1.5, label=f"from {name}")
    axes.set_ylabel(f"energy from the data's mean (nats)\ndotted: {best:g} of their standard deviations")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def anatomy(
    gaps: Float[np.ndarray, "T"],
    gradients: Float[np.ndarray, "T"],
    correlations: Mapping[str, Sequence[float]],
    along: Mapping[str, Float[np.ndarray, "N steps"]],
    level: float,
    spread: float,
) -> Figure:
    """An energy that learns by its own chains: the gap d and the gradient r over training's last steps, their
    correlations by lag, and the energies of long chains afterwards.
    """
    figure = Figure(figsize=(10, 6), layout="constrained")
    (gap, gradient), (lags, chains) = figure.subplots(2, 2)
    steps = np.arange(len(gaps)) - len(gaps)
    gap.plot(steps, gaps, color=ENERGY, linewidth=0.7)
    gap.axhline(0, color=REFERENCE, linewidth=0.8)
    gap.set(xlabel="step, from the end of training", ylabel="d, energies, data − samples")
    gradient.plot(steps, gradients, color=ENERGY, linewidth=0.7)
    gradient.set(xlabel="step, from the end of training", ylabel="r, gradient, samples", ylim=(0, None))
    for (name, values), colour in zip(correlations.items(), (ENERGY, REFERENCE, GENERATOR), strict=False):
        half = len(values) // 2
        lags.plot(np.arange(-half, half + 1), values, ".-", color=colour, linewidth=1, label=name)
    lags.axhline(0, color=REFERENCE, linewidth=0.8)
    lags.set(xlabel="lag, steps", ylabel="correlation", ylim=(-1.05, 1.05))
    lags.legend(frameon=False)
    _energies_along(chains, along, level, spread, 0.5)
    chains.set_xlabel("steps of long chains")
    for axes in (gap, gradient, lags):
        axes.spines[["top", "right"]].set_visible(False)
        axes.locator_params("x", nbins=6)
    return figure


def classes(
    confusion: Integer[np.ndarray, "K K"],
    confidence: Float[np.ndarray, "b"],
    accuracy: Float[np.ndarray, "b"],
    share: Float[np.ndarray, "b"],
    names: Sequence[str],
) -> Figure:
    """How many of each class are taken for which, and how right one is at each confidence, by its share."""
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    left, right = _row(figure, 2)
    left.imshow(np.log1p(confusion), cmap="Blues")
    if len(names) <= 20:  # more would not be read
        for i, j in np.argwhere(confusion):
            of_class = confusion[i, j] > confusion.max() / 4
            left.text(j, i, confusion[i, j], ha="center", va="center", fontsize=6, color="wk"[not of_class])
        left.set(xticks=range(len(names)), yticks=range(len(names)), yticklabels=names)
        left.set_xticklabels(names, rotation=90)
    left.set(xlabel="taken for", ylabel="is")
    right.plot([0, 1], [0, 1], color=REFERENCE, linewidth=0.8)
    right.scatter(confidence, accuracy, s=10 + 400 * share, color=ENERGY, alpha=0.7)
    right.set(xlabel="confidence", ylabel="accuracy", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    return figure


def labelled(
    points: Float[np.ndarray, "N 2"], labels: Integer[np.ndarray, "N"], names: Sequence[str]
) -> Figure:
    """Points in the colours of their classes, the first twenty of which are named."""
    figure = Figure(figsize=(6.4, 5), layout="constrained")
    (axes,) = _row(figure, 1)
    for number, name in enumerate(names):
        x, y = points[labels == number].T
        colour = f"C{number % 10}" if len(names) <= 10 else None
        axes.scatter(x, y, s=5, alpha=0.6, color=colour, label=name if number < 20 else None)
    axes.legend(markerscale=3, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(title="latents of held-out points", xticks=[], yticks=[])
    return figure


def _row(figure: Figure, n: int) -> list[Axes]:
    return list(figure.subplots(1, n, squeeze=False).flat)


def _frame(axes: Axes, title: str, box: Box) -> None:
    axes.set(title=title, xlim=box[:2], ylim=box[2:])
    axes.tick_params(labelsize=8)
    axes.set_aspect("equal")
