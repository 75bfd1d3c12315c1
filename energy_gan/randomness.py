"""Random numbers as functions of whole numbers: (seed, step) fixes every draw of a training step.

So a resumed run needs no saved random state, and one stream never shifts another.
"""

import torch


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
