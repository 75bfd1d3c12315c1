"""Variants that take turns in one process, their times, and the rows of the table that come of them.

CPU time of this process on a CPU, so that what else the machine does counts less than on a clock; CUDA events
on a GPU. The ratio of two variants is the median over the rounds of the ratios within a round.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

Work = Callable[[], object]
Times = Mapping[str, list[float]]


@dataclass(frozen=True)
class Row:
    """One line of the table: `kind` says which side of `limit` is good; "stated" rows have no limit."""

    path: str
    measured: float
    kind: Literal["at most", "at least", "stated"] = "stated"
    limit: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        if self.kind == "stated":
            return None
        return self.measured <= self.limit if self.kind == "at most" else self.measured >= self.limit


def seconds(work: Work) -> float:
    """Of the device that works: the GPU where there is one, else the CPU time of this process."""
    if not torch.cuda.is_available():
        start = time.process_time()
        work()
        return time.process_time() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def interleave(variants: Mapping[str, Work], rounds: int, warm: bool = True) -> Times:
    """Seconds of every variant in every round, after one round that does not count; who is first changes."""
    names = list(variants)
    for name in names if warm else ():
        variants[name]()
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(seconds(variants[name]))
    return times


def ratio(times: Times, a: str, b: str) -> float:
    """Median of a / b within the rounds."""
    return statistics.median(x / y for x, y in zip(times[a], times[b], strict=True))


def spread(times: Times, a: str, b: str) -> str:
    """The smallest and the largest of the ratios whose median is told."""
    ratios = [x / y for x, y in zip(times[a], times[b], strict=True)]
    return f"rounds {min(ratios):.2f} to {max(ratios):.2f}"


def median(times: Times, name: str) -> float:
    return statistics.median(times[name])


def repeat(work: Work, n: int) -> Work:
    """The work n times over, for what is too short to be timed alone."""

    def all_of_it() -> None:
        for _ in range(n):
            work()

    return all_of_it


class NoModules(nullcontext):
    """In place of the counter's own, which raises where a penalty differentiates with respect to x."""

    parents = frozenset({"Global"})


def operations(work: Work) -> int:
    """Floating-point operations of matrix products and convolutions, a product and a sum counting as 2."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = NoModules()
    with counter:
        work()
    return counter.get_total_flops()
