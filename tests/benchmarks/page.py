"""The table in the terminal, and docs/performance.md with its figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import use
from matplotlib.figure import Figure

use("Agg")
PAGE = Path(__file__).parents[2] / "docs/performance.md"
FIGURE = PAGE.parent / "figures/performance_growth.png"
TICKS = (1, 2, 5, 10, 20, 30)
Found = Mapping[str, Mapping[str, Any]]

HEAD = """\
# How fast it is

`make bench` measures these numbers and needs no data set; `make bench ONLY=step` measures a part, and
`make bench ARGS=--page` writes this page, which may hold parts of several runs. Do not edit it by hand.

Ratios are of two things that took turns in one process, on one thread: the median over the rounds of the
ratios within a round. On a CPU they are timed by the process's CPU time, because other processes use the same
cores; these still share caches, memory and clock rate with it, so ratios carry over and times do not.
Floating-point operations are those of matrix products and convolutions, counted and not estimated.

The pairs are `method=kim_bengio` as configured: four_spin for 2D, the MNIST networks on random pixels, and
the 64×64 networks with half the paper's channels and batches of 16. "Straightforward" is
`tests/benchmarks/straightforward.py`: the same mathematics with nothing saved. With
`method.draws.reuse=forward` one forward of the generator serves all moves of a step; `EnergyGAN` says what
that changes. In the loop the Trainer runs with everything that a run has by default but the report, which
measures samples every few hundred steps, and 64×64 has a quarter of the channels. Beside sampling and
scoring, the bare forward draws its latents and collects what comes out as well; the project adds the way to
and from the data's own units. At the start Python's byte code is cached, as it is after a first start, but
not where `PYTHONDONTWRITEBYTECODE` forbids it: there it takes twice as long. What a step needs of memory are
the weights, the optimizers' state, the batch, and the gradients and saved tensors of its larger move.

Muon iterates in float32 on a CPU and in bfloat16, as torch's does, on a GPU: few CPUs have instructions for
the second, and without them it takes 20 times as long. "Without bfloat16" is oneDNN held to AVX2.

On a GPU there are `trainer=gpu trainer.precision=bf16-mixed`, `channels_last=true`,
`float32_matmul_precision=high` (TF32) and `compile=true` (`torch.compile`; players that take turns make it
compile nothing anew). Their steps are tested against the plain ones on a CPU, where they gain nothing; what
they gain on a GPU stands in [gpu](gpu.md), from `make bench ONLY=gpu`.
"""


def table(found: Found) -> str:
    """As Markdown, which a terminal shows as well."""
    lines = ["| path | measured | at most / at least | reached | |", "|---|---|---|---|---|"]
    for part in found.values():
        for row in part["rows"]:
            limit = "" if row["limit"] is None else f"{row['kind']} {row['limit']:g}"
            reached = {True: "yes", False: "**no**", None: ""}[row["reached"]]
            lines.append(
                f"| {row['path']} | {number(row['measured'])} | {limit} | {reached} | {row['note']} |"
            )
    return "\n".join(lines)


def number(value: float) -> str:
    return f"{value:.1e}" if value and abs(value) < 1e-3 else f"{value:.3g}"


def write_page(found: Found) -> None:
    devices = ", ".join(sorted({part["device"] for part in found.values()}))
    took = ", ".join(f"{name} {part['seconds']} s ({part['rounds']} rounds)" for name, part in found.items())
    parts = [HEAD, table(found) + "\n"]
    if curves := found.get("growth", {}).get("curves"):
        draw(curves)
        parts.append(
            "## As the work grows\n\n"
            f"![time and arithmetic of a step as the work grows](figures/{FIGURE.name})\n\n"
            "Time and floating-point operations of a step, relative to the smallest. Where time lies below\n"
            "the arithmetic it grows more slowly: what a step costs beside it is shared by more.\n"
        )
    versions = ", ".join(sorted({part["torch"] for part in found.values()}))
    parts.append(
        f"Measured on {devices} with torch {versions}; the parts took {took}; rounds are at most these.\n"
    )
    PAGE.write_text("\n".join(parts))


def draw(curves: Mapping[str, Mapping[str, list[float]]]) -> None:
    figure = Figure(figsize=(3.1 * len(curves), 3.2), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for ax, (name, curve) in zip(axes, curves.items(), strict=True):
        for key, style, label in (("seconds", "o-", "time"), ("operations", "s--", "operations")):
            relative = [value / curve[key][0] for value in curve[key]]
            ax.loglog(curve["sizes"], relative, style, label=label, markersize=4)
        ax.set_xlabel(name)
        ax.set_xticks([], minor=True)
        ax.set_xticks(curve["sizes"], [f"{size:,}" for size in curve["sizes"]], rotation=30, fontsize=8)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("of a step, relative to the smallest")
    axes[0].set_yticks([], minor=True)
    axes[0].set_yticks(TICKS, map(str, TICKS))
    axes[0].legend()
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=110)
