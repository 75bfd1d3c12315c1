"""What a search has found, in one picture: the metric over trials, and against the parameters."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from energy_gan.reports.drawing import ENERGY, GENERATOR, REFERENCE
from energy_gan.search.file import Sweep, hyper_parameter, short_names
from energy_gan.search.trial import Trial, best_first

COLUMNS = 4  # of the panels against one parameter
LETTERS = 24  # of listed values that stand side by side below a panel
PAPER = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6}  # behind numbers that lines cross


def picture(trials: Sequence[Trial], sweep: Sweep) -> Figure:
    """Trials whose metric is no number are left out, and counted in the title.

    Where nothing varies, every parameter being one `value`, there is the metric over trials alone; where one
    parameter does, the metric against it stands beside that.
    """
    good = [trial for trial in trials if trial.good]
    names = [name for name, p in sweep.spec["parameters"].items() if "value" not in p]
    short = short_names(list(sweep.spec["parameters"]))
    label = (sweep.metric or "").removeprefix("val/")
    columns = max(1, min(COLUMNS, len(names)))
    rows = math.ceil(len(names) / columns) if len(names) > 1 else 0
    figure = Figure(figsize=(13, 4.4 + 2.9 * rows), layout="constrained")
    logarithmic = _spans_decades([trial.metric for trial in good])
    if rows:
        above, below = figure.subfigures(2, 1, height_ratios=[4.4, 2.9 * rows])
        left, right = above.subplots(1, 2, width_ratios=[1, 1.7])
        _over_trials(left, good, sweep, label, logarithmic)
        _parallel(right, good, sweep, names, short, label, logarithmic)
        panels = list(below.subplots(rows, columns, squeeze=False).flat)
        for axes in panels[len(names) :]:
            axes.set_axis_off()
    else:
        first, *panels = figure.subplots(1, 1 + len(names), squeeze=False)[0]
        _over_trials(first, good, sweep, label, logarithmic)
    for axes, name in zip(panels, names, strict=False):
        _against(axes, good, sweep, name, short[name], label, logarithmic)
    omitted = f", {len(trials) - len(good)} without a number left out" if len(good) < len(trials) else ""
    figure.suptitle(f"{sweep.name}: {len(good)} trials{omitted}", fontsize=11)
    return figure


def _spans_decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) > 20


def _over_trials(axes: Axes, trials: Sequence[Trial], sweep: Sweep, label: str, logarithmic: bool) -> None:
    numbers, values = [t.number for t in trials], [t.metric for t in trials]
    running_best = (np.maximum if sweep.maximise else np.minimum).accumulate(values)
    _points(axes, numbers, trials)
    axes.step(numbers, running_best, where="post", color=ENERGY, linewidth=1.8, label="best so far")
    axes.set(xlabel="trial", ylabel=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _finish(axes, logarithmic)
    axes.legend(frameon=False, fontsize=8)


def _points(axes: Axes, at: Sequence[int | float], trials: Sequence[Trial]) -> None:
    """Whole trials filled, those that were ended early hollow."""
    for state, face in (("finished", GENERATOR), ("stopped", "none")):
        shown = [(x, t.metric) for x, t in zip(at, trials, strict=True) if t.state == state]
        if shown:
            name = {"finished": "whole trials", "stopped": "ended early"}[state]
            axes.scatter(*zip(*shown, strict=True), s=26, facecolors=face, edgecolors=GENERATOR, label=name)


def _finish(axes: Axes, logarithmic: bool) -> None:
    if logarithmic:
        axes.set_yscale("log")
        _plain_ticks(axes.yaxis)
    axes.spines[["top", "right"]].set_visible(False)


def _plain_ticks(axis: Axis) -> None:
    """0.01 instead of 10⁻² on a logarithmic axis, and as many numbers as there is room for."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(
        LogLocator(subs=(1, 2, 5) if high < 20 * low else (1, 3) if high < 200 * low else (1,))
    )
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _against(
    axes: Axes,
    trials: Sequence[Trial],
    sweep: Sweep,
    name: str,
    short: str,
    label: str,
    logarithmic: bool,
) -> None:
    parameter = sweep.spec["parameters"][name]
    given = [t.values[name] for t in trials]
    if listed := parameter.get("values"):
        places = [listed.index(value) for value in given]
        jitter = np.random.default_rng(0).uniform(-0.12, 0.12, len(places))
        _points(axes, list(places + jitter), trials)
        words = [str(value) for value in listed]
        leaning = {"rotation": 30, "ha": "right"} if sum(map(len, words)) > LETTERS else {}
        axes.set_xticks(range(len(listed)), words, fontsize=8, **leaning)
        axes.set_xlim(-0.5, len(listed) - 0.5)
    else:
        _points(axes, given, trials)
        if "log" in parameter.get("distribution", ""):
            axes.set_xscale("log")
            if "max" in parameter:
                axes.set_xlim(*(float(hyper_parameter(name, parameter).ppf(at)) for at in (1e-9, 1 - 1e-9)))
            _plain_ticks(axes.xaxis)
    best = best_first(trials, sweep.maximise)[0]
    axes.axhline(best.metric, color=ENERGY, linewidth=0.8)
    axes.set(xlabel=short, ylabel=label)
    _finish(axes, logarithmic)


def _parallel(
    axes: Axes,
    trials: Sequence[Trial],
    sweep: Sweep,
    names: Sequence[str],
    short: dict[str, str],
    label: str,
    logarithmic: bool,
) -> None:
    """A line a trial over all parameters, each from its least to its greatest value; the best stands out."""
    values = [t.metric for t in trials]
    norm = (LogNorm if logarithmic else Normalize)(min(values), max(values))
    colours = ScalarMappable(norm, "viridis" if sweep.maximise else "viridis_r")
    ranked = best_first(trials, sweep.maximise)
    for trial in reversed(ranked):
        heights = [_height(sweep.spec["parameters"][name], name, trial.values[name]) for name in names]
        best = trial is ranked[0]
        axes.plot(
            heights,
            color=ENERGY if best else colours.to_rgba(trial.metric),
            linewidth=2.6 if best else 1.1,
            alpha=1 if best else 0.75,
            label=f"the best, trial {trial.number}" if best else None,
        )
    for place, name in enumerate(names):
        axes.axvline(place, color=REFERENCE, linewidth=0.8)
        for height, text in _ticks(name, sweep.spec["parameters"][name]):
            axes.text(place + 0.03, height, text, fontsize=7.5, va="center", bbox=PAPER)
    axes.set_xticks(range(len(names)), [short[name].replace(".", ".\n") for name in names], fontsize=8)
    axes.set(xlim=(-0.1, len(names) - 1 + 0.35), ylim=(-0.03, 1.03), yticks=[])  # few trials do not fill it
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(colours, ax=axes, label=label, pad=0.01)
    if logarithmic:
        _plain_ticks(bar.ax.yaxis)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.0))


def _height(parameter: dict, name: str, value) -> float:
    """Where a value stands between its least, 0, and its greatest, 1: by rank in a list, else by quantile."""
    if listed := parameter.get("values"):
        return listed.index(value) / max(1, len(listed) - 1)
    return float(np.clip(hyper_parameter(name, parameter).cdf(value), 0, 1))


def _ticks(name: str, parameter: dict) -> list[tuple[float, str]]:
    if listed := parameter.get("values"):
        return [(_height(parameter, name, value), str(value)) for value in listed]
    known = hyper_parameter(name, parameter)
    return [(at, f"{float(known.ppf(min(max(at, 1e-9), 1 - 1e-9))):.3g}") for at in (0.0, 0.5, 1.0)]
