"""A trial of a sweep: the values it was given, and what became of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["running", "finished", "stopped", "failed"]


@dataclass
class Trial:
    """One trial: its number, the values it was given, what became of it.

    Args:
        metric: the last value; None if there is none.
        step: that it was measured at.
    """

    number: int
    values: dict[str, Any]
    state: State = "running"
    metric: float | None = None
    step: int | None = None
    seconds: float | None = None
    history: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"trial_{self.number:03d}"

    @property
    def good(self) -> bool:
        """Whether its metric is a number."""
        return self.metric is not None and math.isfinite(self.metric)


def best_first(trials: Sequence[Trial], maximise: bool) -> list[Trial]:
    """Those with a number as metric by it, the others after them."""
    sign = -1 if maximise else 1
    return sorted(trials, key=lambda t: (not t.good, sign * t.metric if t.good else t.number))
