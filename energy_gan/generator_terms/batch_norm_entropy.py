"""The entropy that the paper reads off the generator's batch norm (Eq. 15)."""

import math
from typing import Literal

import torch
from torch import nn

from energy_gan.errors import InputError
from energy_gan.generator_terms.base import GeneratorTerm
from energy_gan.generators.base import Draw, Generator
from energy_gan.shapes import Negatives, Scalar


class BatchNormEntropy(GeneratorTerm):
    """H ≈ Σₐ ½ log(2πe sₐ²), s the batch-norm scales of all hidden activations (Eq. 15).

    Batch norm makes each activation about N(shift, s²); this sums those normals' entropies. It is
    not the entropy of G(z): a larger scale can be undone by the next layer's weights.

    Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
    (Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, equation 15.

    Args:
        weight: as in `GeneratorTerm`.
        reduction: "sum" over the scales (the paper and most of the author's scripts) or their
            "mean" (his last ones).
    """

    def __init__(self, weight: float = 1.0, reduction: Literal["sum", "mean"] = "sum"):
        super().__init__(weight)
        if reduction not in ("sum", "mean"):
            raise ValueError(f"reduction must be 'sum' or 'mean', got {reduction!r}")
        self.reduction = reduction

    def forward(self, generator: Generator, draw: Draw, negatives: Negatives | None) -> Scalar:
        scales = [m.weight for m in generator.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if not scales:
            raise InputError(
                "the entropy of Eq. 15 is read from batch norm, and this generator has none: "
                "give method.generator.batch_norm=true or method.terms.entropy=null"
            )
        entropies = 0.5 * (math.log(2 * math.pi * math.e) + torch.cat(scales).square().log())
        return entropies.sum() if self.reduction == "sum" else entropies.mean()
