"""How one side of a game learns: a node of the config."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]
Schedule = Callable[[float], float]  # of progress, see energy_gan/optim/schedules.py


@dataclass(frozen=True)
class Learns:
    """By which optimizer, at which rates, how often.

    Args:
        optimizer: built as optimizer(parameters).
        schedule: the factor of the learning rates by progress; 1 throughout if None.
        steps: moves in each training step that it moves in, at least 1.
        every: training steps from one of these to the next, at least 1. Choose a divisor of
            log_every_n_steps, or its values are logged less often.
    """

    optimizer: MakeOptimizer
    schedule: Schedule | None = None
    steps: int = 1
    every: int = 1

    def __post_init__(self):
        for name in ("steps", "every"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
