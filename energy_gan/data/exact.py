"""What the exact laws share: their arguments are checked, and densities are evaluated in float64."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

ELEMENTS = 2**15  # of a temporary in float64: below what torch splits among threads, who would wait


def require_positive(**arguments: float | int) -> None:
    """Raises ValueError for the first argument that is not a positive finite number."""
    for name, value in arguments.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}")


def in_float64(function: Callable[[Tensor], Tensor], x: Float[Tensor, "B D"], width: int) -> Tensor:
    """function(x) in float64, with bounded memory.

    Args:
        width: how many numbers the function computes at a time for one point.
    """
    return torch.cat([function(part) for part in x.double().split(max(1, ELEMENTS // width))])
