"""Many networks of one form at once: a row of numbers is one network.

    w = for each layer, for each of its units: the weights of what comes in, then the bias

So one row of a layer is one unit, whatever it is that comes in: numbers, channels or, of a norm, nothing.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

Weights = Float[Tensor, "N P"]
Rows = Float[Tensor, "N _ _"]  # of one layer: the units, each with its weights and its bias


class Layer(NamedTuple):
    """A module with weights of its own.

    Args:
        name: in the network.
        module: it.
        shape: of its weight, units first.
        has_bias: whether a row ends with one.
    """

    name: str
    module: nn.Module
    shape: torch.Size
    has_bias: bool

    @property
    def units(self) -> int:
        return self.shape[0]

    @property
    def fan_in(self) -> int:
        """Weights of a unit, without the bias."""
        return math.prod(self.shape[1:])

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return self.fan_in + self.has_bias


class Architecture(nn.Module):
    """The form of a network. The network's own weights are dropped.

    Args:
        shape: of one point.
        network: any module from (B, *shape) to logits (B, K) whose weights all are a `weight` and a `bias`.
    """

    def __init__(self, shape: Sequence[int], network: nn.Module):
        super().__init__()
        self.shape, self.network = tuple(shape), network.requires_grad_(False)
        self.layers = list(_layers(network))
        if not self.layers:
            raise ValueError("the target has no layer with weights, so there is nothing to generate")
        self.sizes = [layer.units * layer.width for layer in self.layers]
        for unused in network.parameters():
            unused.data = unused.new_empty(0)  # a checkpoint would keep it

    @property
    def n_weights(self) -> int:
        """P."""
        return sum(self.sizes)

    def rows(self, weights: Weights) -> list[Rows]:
        """Layer by layer."""
        parts = weights.split(self.sizes, 1)
        return [part.unflatten(1, (layer.units, -1)) for part, layer in zip(parts, self.layers, strict=True)]

    def joined(self, rows: Sequence[Rows]) -> Weights:
        """The inverse of `rows`."""
        return torch.cat([part.flatten(1) for part in rows], 1)

    def parameters_of(self, weights: Weights) -> dict[str, Tensor]:
        """By their names in the network, each with the networks as its first axis."""
        found = {}
        for layer, rows in zip(self.layers, self.rows(weights), strict=True):
            found[f"{layer.name}.weight"] = rows[..., : layer.fan_in].reshape(-1, *layer.shape)
            if layer.has_bias:
                found[f"{layer.name}.bias"] = rows[..., -1]
        return found

    def weights_of(self, network: nn.Module) -> Float[Tensor, "P"]:
        """Of a network of this form, the row."""
        known, parts = dict(network.named_parameters()), []
        for layer in self.layers:
            rows = known[f"{layer.name}.weight"].detach().reshape(layer.units, -1)
            bias = [known[f"{layer.name}.bias"].detach()[:, None]] if layer.has_bias else []
            parts.append(torch.cat([rows, *bias], 1).flatten())
        return torch.cat(parts)

    def forward(self, weights: Weights, x: Float[Tensor, "N B *S"]) -> Float[Tensor, "N B K"]:
        """The logits of each network for points of its own."""
        return vmap(self._one)(self.parameters_of(weights), x)

    def on_all(self, weights: Weights, x: Float[Tensor, "B *S"]) -> Float[Tensor, "N B K"]:
        """The logits of all networks for the same points."""
        return vmap(self._one, in_dims=(0, None))(self.parameters_of(weights), x)

    def _one(self, parameters: dict[str, Tensor], x: Float[Tensor, "B *S"]) -> Float[Tensor, "B K"]:
        return functional_call(self.network, parameters, (x,))


def _layers(network: nn.Module) -> Iterator[Layer]:
    for name, module in network.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if not own.keys() <= {"weight", "bias"} or (own and "weight" not in own):
            raise ValueError(
                f"the target's layer {name} ({type(module).__name__}) holds {', '.join(own)}, and only a "
                "weight and a bias can be generated: give another layer"
            )
        if getattr(module, "running_mean", None) is not None:
            raise ValueError(
                f"the target's layer {name} ({type(module).__name__}) keeps running statistics, which would "
                "be those of one network: give track_running_stats=False"
            )
        if own:
            yield Layer(name, module, own["weight"].shape, "bias" in own)
