"""Random numbers as functions of whole numbers: (seed, step) fixes every draw of a training step.

So a resumed run needs no saved random state, and one stream never shifts another. Where several processes
take a step together, the rows of a batch come from one draw, which all of them make and share out: two
processes then use the numbers that one would.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor


def mixed_seed(*numbers: int) -> int:
    """A 63-bit seed from several whole numbers (splitmix64: neighbours give unrelated streams)."""
    mixed = 0
    for number in numbers:
        mixed = (mixed + number + 0x9E3779B97F4A7C15) % 2**64
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
        mixed ^= mixed >> 31
    return mixed >> 1


def random_generator(*numbers: int) -> torch.Generator:
    """A random generator on the CPU, seeded with `mixed_seed`."""
    return torch.Generator().manual_seed(mixed_seed(*numbers))


def set_seed(seed: int) -> None:
    """`torch.manual_seed` without seeding devices that are not there: it notes a stack trace for each."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


class _Share:
    """Which part of a batch is this process's, and the random state that all processes have in common."""

    def __init__(self, rank: int, processes: int):
        self.rank, self.processes, self.state = rank, processes, _state()


_share: _Share | None = None


@contextmanager
def sharing(rank: int, processes: int) -> Iterator[None]:
    """A step that several processes take together, all in the same random state.

    `rows` go on from that state in all of them; other draws are each process's own.
    """
    global _share
    if processes == 1:
        yield
        return
    _share = _Share(rank, processes)
    set_seed(mixed_seed(torch.initial_seed(), 1, rank))
    try:
        yield
    finally:
        _share = None


def processes() -> int:
    """How many take the present step together."""
    return _share.processes if _share else 1


def rows(n: int, draw: Callable[[int], Tensor]) -> Tensor:
    """draw(n), from the global random state; this process's n rows of one draw where several share a step."""
    if _share is None:
        return draw(n)
    own = _state()
    _set_state(_share.state)
    drawn = draw(n * _share.processes)
    _share.state = _state()
    _set_state(own)
    return drawn[_share.rank * n : (_share.rank + 1) * n]


def gathered(own: Tensor) -> Tensor:
    """The rows of all processes that take the present step together, in their order; of one, its own."""
    if _share is None:
        return own
    parts = [torch.empty_like(own) for _ in range(_share.processes)]
    dist.all_gather(parts, own.contiguous())
    return torch.cat(parts)


def normal_rows(like: Tensor) -> Tensor:
    """N(0, 1) of a shape, a row for each point of a batch, see `rows`."""
    return rows(len(like), lambda n: torch.randn(n, *like.shape[1:], device=like.device))


def noised(x: Tensor, std: float) -> Tensor:
    """x + std · ε, ε ~ N(0, I), see `rows`."""
    return x + std * normal_rows(x) if std else x


def filled(x: Tensor, shades: int, noise: Tensor) -> Tensor:
    """Images from −1 to 1, their shades k = 0 … s − 1 made continuous: 2 (k + ξ) / (s − 1) − 1."""
    return (((x + 1) * (shades - 1) / 2).round() + noise) * (2 / (shades - 1)) - 1


def dequantised(x: Tensor, shades: int | None) -> Tensor:
    """The same with ξ ~ U[0, 1), see `rows`; x where None."""
    if shades is None:
        return x
    return filled(x, shades, rows(len(x), lambda n: torch.rand(n, *x.shape[1:], device=x.device)))


def _state() -> list[Tensor]:
    """Of torch's global generators: the CPU's, and the present GPU's if one is in use."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [])]


def _set_state(state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1])
