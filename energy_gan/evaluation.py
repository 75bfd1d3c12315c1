"""How networks are asked about points in the data's own units: in evaluation mode, batch by batch.

The networks see u. A density changes with its variable, p(x) = p(u) |du/dx|, so the energy that belongs to x
is E(x) = E(u) + log |dx/du|: one constant, Σ log scale, where u = (x − shift) / scale, and another number for
each row of a table whose columns have bounds or levels, see `energy_gan/data/units.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn

from energy_gan.data.units import Units
from energy_gan.methods.base import Method
from energy_gan.nn import eagerly

BATCH = 1_024  # points at a time,
LARGE = 1_024  # of this many numbers at most, in proportion fewer of larger ones
T = TypeVar("T", bound=nn.Module)


@contextmanager
def evaluating(module: T) -> Iterator[T]:
    """The module in evaluation mode, not compiled, and afterwards as it was."""
    training = module.training
    module.eval()
    try:
        with eagerly(module):
            yield module
    finally:
        module.train(training)


def in_batches(function: Callable[[Tensor], Tensor], x: Tensor, device: torch.device | None = None) -> Tensor:
    """In batches that suit the device where it is computed, that of x if None."""
    size = batch_size(device or x.device, x[:1].numel())
    return torch.cat([function(part) for part in x.split(size)]) if len(x) > size else function(x)


def batch_size(device: torch.device, numbers: int) -> int:
    """Points of so many numbers that a processor's cache takes, four times as many on a GPU.

    A multiple of 16, by which torch's normal numbers come.
    """
    size = BATCH if device.type == "cpu" else 4 * BATCH
    return max(16, min(size, size * LARGE // max(1, numbers)) // 16 * 16)


class Standardised:
    """u = (x − shift) / scale with those of a method, in float32; images are in [0, 1] or bytes.

    Where the method has filled the shades of images, an image is in the middle of its shades, and what comes
    back is of the nearest ones.
    """

    dtype = torch.float32

    def __init__(self, method: Method, is_image: bool):
        self.method, self.is_image = method, is_image

    def networks(self, x: Real[Tensor, "B *S"]) -> Float[Tensor, "B *S"]:
        """What the networks see, on their device."""
        x = x.to(self.method.shift.device)
        x = x.float().div_(255) if x.dtype == torch.uint8 and self.is_image else x.float()
        # in place: one more large array takes as long as a layer
        return (x - self.method.shift).div_(self.method.scale).add_(self.half)

    def own(self, u: Float[Tensor, "B *S"], out: Tensor | None = None) -> Float[Tensor, "B *S"]:
        """x on the CPU, in `out` if there is one."""
        shift, scale = self.method.shift, self.method.scale
        if self.half:
            u = ((u + 1) / (2 * self.half)).floor().mul_(2 * self.half).sub_(1).clamp_(-1, 1)
        if out is None or u.device != out.device:
            x = torch.addcmul(shift, u, scale)
            return x.cpu() if out is None else out.copy_(x)
        return torch.addcmul(shift, u, scale, out=out)

    @property
    def half(self) -> float:
        """Half the width of a shade, for the networks; 0 where none are filled."""
        shades = self.method.learned.shades
        return 0.0 if shades is None else 1 / (shades - 1)

    @property
    def constant(self) -> float:
        """The part of log |dx/du| that all points have."""
        return float(self.method.scale.log().sum())

    def energies(self, energy: Callable[[Tensor], Tensor], x: Real[Tensor, "B *S"]) -> Float[Tensor, "B"]:
        """E(x)."""
        return energy(self.networks(x)) + self.method.scale.log().sum()


class OfTable:
    """The maps of a table's columns, in float64."""

    dtype = torch.float64

    def __init__(self, units: Units, device: torch.device):
        self.units, self.device = units, device

    def networks(self, x: Real[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """What the networks see, on their device; a whole number or a level in its middle."""
        return self.units.networks(x.cpu()).u.float().to(self.device)

    def own(self, u: Float[Tensor, "B D"], out: Tensor | None = None) -> Float[Tensor, "B D"]:
        x = self.units.own(u.cpu())
        return x if out is None else out.copy_(x)

    @property
    def constant(self) -> float:
        return float(self.units.scale.log().sum())

    def energies(self, energy: Callable[[Tensor], Tensor], x: Real[Tensor, "B D"]) -> Float[Tensor, "B"]:
        """E(x), of discrete columns −log of the mean of exp(−E) over their noise."""
        found = []
        for seen in self.units.views(x.cpu()):
            energies = energy(seen.u.float().to(self.device))
            found.append(seen.log_volume + energies.cpu().double())
        if len(found) == 1:
            return found[0]
        return -(torch.logsumexp(-torch.stack(found), 0) - torch.tensor(float(len(found))).log())
