"""What a latent says of its class: p(y | x) = softmax(f(z(x))), z(x) the centre of what is inferred of x."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.inference.base import Inference
from energy_gan.nn import Scheduled
from energy_gan.objectives import symbol_information
from energy_gan.shapes import Labels, Latents, Points, Scalar

Marginal = Literal["even", "labels", "found"]


def centre(inference: Inference, generator: Generator, x: Points) -> Latents:
    """Where a network says that z is, differentiable in its weights; where chains end if there is none."""
    law = inference.proposal(x)
    return inference(generator, x).latent if law is None else law[0]


class LatentClasses(nn.Module):
    """x ↦ f(z(x)), logits.

    Args:
        classes: f, from latents to logits.
    """

    def __init__(self, classes: nn.Module, generator: Generator, inference: Inference):
        super().__init__()
        self.classes, self.generator, self.inference = classes, generator, inference
        self.training = inference.training  # it is made anew whenever it is asked for

    def forward(self, x: Points) -> torch.Tensor:
        return self.classes(self.inference(self.generator, x).latent)


class Information(Scheduled):
    """weight · I(z; y) of a batch, whose weight rises in a straight line.

    Before the labels have shaped f, it would make any classes of any latents.

    Args:
        weight: λ at last, not negative.
        rise: the share of the training in which it gets there, from 0.
        marginal: the law of the classes that p(y) is drawn to: "even"; "labels", that of the labels known,
            for those that are drawn by frequency; "found": to what it is already, so that λ asks only for
            latents of one class each; or the shares themselves, all positive.
    """

    def __init__(self, weight: float, rise: float = 0.2, marginal: Marginal | Sequence[float] = "even"):
        super().__init__()
        if not 0 <= weight < float("inf") or not 0 <= rise <= 1:
            raise ValueError(f"weight must not be negative and rise a share, got {weight} and {rise}")
        named = isinstance(marginal, str)
        if named and marginal not in get_args(Marginal):
            raise ValueError(f"marginal must be even, labels, found or a list of shares, got {marginal!r}")
        if not named and (min(marginal, default=0) <= 0 or abs(sum(marginal) - 1) > 1e-6):
            raise ValueError(f"the shares of marginal must be positive and add up to 1, got {list(marginal)}")
        self.most, self.rise, self.marginal, self.weight = weight, rise, marginal, 0.0
        self.shares: torch.Tensor | None = None if named else torch.tensor(list(marginal))

    def at(self, progress: float) -> None:
        self.weight = self.most * (min(1.0, progress / self.rise) if self.rise else 1.0)

    def take(self, labels: Labels, n_classes: int) -> None:
        """The shares of the labels known, where these are the marginal."""
        if self.marginal == "labels":
            counts = torch.bincount(labels[labels >= 0].cpu(), minlength=n_classes)
            self.shares = counts / counts.sum()

    def forward(self, logits: torch.Tensor) -> Scalar:
        """I(z; y), without the weight."""
        if self.marginal == "found":
            return symbol_information(logits, logits.detach().softmax(1).mean(0).clamp(min=1e-12))
        return symbol_information(logits, None if self.shares is None else self.shares.to(logits))
