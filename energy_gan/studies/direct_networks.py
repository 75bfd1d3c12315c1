"""Networks that learn their weights themselves, from labels or from what an ensemble says: what generated
ones are compared with, and what they are distilled into.

Reference: Distilling the Knowledge in a Neural Network (Hinton et al., 2015), https://arxiv.org/abs/1503.02531,
at temperature 1.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.generators.architecture import Architecture
from energy_gan.optim.schedules import cosine
from energy_gan.randomness import random_generator

RATE = 0.01


def fresh(architecture: Architecture, n: int, rng: torch.Generator) -> Float[Tensor, "M P"]:
    """First weights as torch's layers have them: uniform, up to 1/√fan-in."""
    rows = []
    for layer in architecture.layers:
        uniform = 2 * torch.rand(n, layer.units, layer.width, generator=rng) - 1
        rows.append(uniform / math.sqrt(layer.fan_in))
    return architecture.joined(rows)


def trained(
    architecture: Architecture,
    x: Float[Tensor, "N *S"],
    targets: Float[Tensor, "N K"],
    n: int,
    steps: int,
    batch_size: int,
    seed: int = 0,
    rate: float = RATE,
    begin: Float[Tensor, "M P"] | None = None,
) -> Float[Tensor, "M P"]:
    """n networks, each from weights of its own and by batches of its own.

    Args:
        targets: of each point the probabilities of its classes.
        batch_size: of one network in one step.
        rate: of Adam, at the start.
        begin: their first weights; of `fresh` if None.
    """
    rng = random_generator(seed, 9)
    weights = (fresh(architecture, n, rng) if begin is None else begin.clone()).requires_grad_()
    adam = torch.optim.Adam([weights], rate, fused=True)
    for step in range(steps):
        adam.param_groups[0]["lr"] = rate * cosine(step / steps)
        chosen = torch.randint(len(x), (n, batch_size), generator=rng)
        logits = architecture(weights, x[chosen])
        adam.zero_grad()
        (-(targets[chosen] * logits.log_softmax(2)).sum() / batch_size).backward()
        adam.step()
    return weights.detach()
