"""One row of weights for all networks that are the same function of x: what is left free is fixed.

Three changes leave every p(y | x) as it is, and a distance between weights must not count them:

    scale         a unit's weights and bias times s > 0, what the next layer takes of it divided by s
    shift         one row added to the rows of all classes, which softmax does not see
    permutation   units change places, and what the next layer takes of them with them

The first needs that all between two layers is positively homogeneous, f(s h) = s f(h), as ReLU and pooling
are. Fixed, the squares of a hidden row, with its bias, have the mean 1, and the rows of the classes have the
mean 0. The paper shifts the biases of the classes alone; what their weights have in common is as free.

Reference: A Generative Model for Sampling High-Performance and Diverse Weights for Neural Networks
(Deutsch, Nijkamp, Yang, 2019), https://arxiv.org/abs/1905.02898.
"""

from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.generators.architecture import Architecture, Rows, Weights
from energy_gan.randomness import random_generator

LINEAR = (nn.Flatten, nn.Identity, nn.Dropout, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d)
LINEAR += (nn.AdaptiveAvgPool2d,)
HOMOGENEOUS = (*LINEAR, nn.ReLU, nn.LeakyReLU, nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d)
HOMOGENEOUS += (nn.AdaptiveMaxPool2d, nn.ZeroPad2d)
WITH_UNITS = (nn.Linear, nn.Conv1d, nn.Conv2d)
TOLERANCE = 1e-3  # of log p(y | x), for two networks with random weights


class Gauge(nn.Module):
    """w -> the row that stands for all that are the same function.

    Args:
        architecture: of which w are the weights.
        permutations: sort the units of each hidden layer by the mean of their rows. That is not continuous
            where two are equal; the paper leaves permutations alone.
        where_possible: leave a layer free that has no such symmetry, instead of refusing it.

    Raises:
        ValueError: a layer has none, or the network is no chain of its layers.
    """

    def __init__(self, architecture: Architecture, permutations: bool = False, where_possible: bool = False):
        super().__init__()
        self.architecture, self.permutations = architecture, permutations
        obstacles = [_obstacle(architecture, i) for i in range(len(architecture.layers))]
        self.free = [obstacle is None for obstacle in obstacles]
        if not (all(self.free) or where_possible):
            index = self.free.index(False)
            raise ValueError(
                f"the target's layer {obstacles[index]} has not the symmetry of ReLU, so that the scale of "
                f"its layer {architecture.layers[index].name} cannot be fixed: give another layer, or "
                "where_possible=true, and what is free there counts as entropy"
            )
        self._check_chain()

    def forward(self, weights: Weights) -> Weights:
        rows = self.architecture.rows(weights)
        for i, free in enumerate(self.free[:-1]):
            if free:
                rows[i], rows[i + 1] = self._hidden(i, rows[i], rows[i + 1])
        if self.free[-1]:
            rows[-1] = rows[-1] - rows[-1].mean(1, keepdim=True)
        return self.architecture.joined(rows)

    def _hidden(self, i: int, own: Rows, after: Rows) -> tuple[Rows, Rows]:
        """A layer's rows of mean square 1, in their order, and the next layer's, which take it back."""
        fan_in = self.architecture.layers[i + 1].fan_in
        taken, bias = after[..., :fan_in].unflatten(2, (own.shape[1], -1)), after[..., fan_in:]
        scale = own.square().mean(2).clamp(min=torch.finfo(own.dtype).tiny).sqrt()
        own, taken = own / scale[..., None], taken * scale[:, None, :, None]
        if self.permutations:
            order = own.mean(2).argsort(1)
            own = own.take_along_dim(order[..., None], 1)
            taken = taken.take_along_dim(order[:, None, :, None], 2)
        return own, torch.cat([taken.flatten(2), bias], 2)

    @torch.no_grad()
    def _check_chain(self) -> None:
        rng = random_generator(0)
        weights = torch.randn(2, self.architecture.n_weights, generator=rng) / 10
        x = torch.randn(4, *self.architecture.shape, generator=rng)
        logits = self.architecture.on_all(weights, x)
        if logits.ndim != 3 or logits.shape[2] < 2:
            raise ValueError(
                f"the target must give logits (B, K), K at least 2, got {tuple(logits.shape[1:])}"
            )
        after = self.architecture.on_all(self(weights), x)
        if not torch.allclose(logits.log_softmax(2), after.log_softmax(2), rtol=0, atol=TOLERANCE):
            raise ValueError(
                "the target is no chain of its layers in their order, so that no gauge is known: make each "
                "activation a module and leave out what goes around a layer"
            )


def _obstacle(architecture: Architecture, i: int) -> str | None:
    """What stands in the way of fixing layer i, by name; None where nothing does."""
    layers, leaves = architecture.layers, _leaves(architecture.network)
    names, own = [name for name, _ in leaves], layers[i]
    is_last = own is layers[-1]
    end = None if is_last else names.index(layers[i + 1].name)
    allowed = LINEAR if is_last else HOMOGENEOUS
    suspects = [(own.name, own.module, isinstance(own.module, WITH_UNITS))]
    between = leaves[names.index(own.name) + 1 : end]
    suspects += [(name, module, isinstance(module, allowed)) for name, module in between]
    if not is_last:
        after = layers[i + 1]
        fits = isinstance(after.module, WITH_UNITS) and after.shape[1] % own.units == 0
        suspects.append((after.name, after.module, fits and getattr(after.module, "groups", 1) == 1))
    return next((f"{name} ({type(module).__name__})" for name, module, fits in suspects if not fits), None)


def _leaves(network: nn.Module) -> Sequence[tuple[str, nn.Module]]:
    return [
        (name, module) for name, module in network.named_modules() if not any(True for _ in module.children())
    ]
