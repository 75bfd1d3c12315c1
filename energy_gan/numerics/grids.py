"""Images on coarser and finer grids: means over cells, copies of pixels."""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor


def shrunk(x: Float[Tensor, "B C H W"], size: Sequence[int]) -> Float[Tensor, "B C h w"]:
    """The mean of each cell, h × w of them. That of equal pixels is their value, exactly."""
    cells = _cells(x, size)
    corner = cells[:, :, :, :1, :, :1]
    return corner[:, :, :, 0, :, 0] + (cells - corner).mean((3, 5))


def enlarged(x: Float[Tensor, "B C h w"], size: Sequence[int]) -> Float[Tensor, "B C H W"]:
    """Each pixel as often as the greater size asks for. `shrunk` undoes it."""
    (height, width), (h, w) = size, x.shape[2:]
    return x.repeat_interleave(height // h, 2).repeat_interleave(width // w, 3)


def all_within(mask: Bool[Tensor, "B C H W"], size: Sequence[int]) -> Bool[Tensor, "B C h w"]:
    """Whether the mask is true all over a cell."""
    return _cells(mask, size).all(5).all(3)


def _cells(x: Tensor, size: Sequence[int]) -> Tensor:
    return x.unflatten(3, (size[1], -1)).unflatten(2, (size[0], -1))
