"""Blocks that several networks share."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import pairwise
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Activation = Literal["tanh", "sigmoid", "relu", "leaky_relu", "elu", "silu", "gelu", "softplus"]
BOUNDED = ("tanh", "sigmoid")
F = TypeVar("F", bound=Callable)

ACTIVATIONS = {
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}


@contextmanager
def eagerly(module: nn.Module) -> Iterator[None]:
    """Let a module run as it is, if it is one to compile; for sizes that are not worth it."""
    if any(part._compiled_call_impl is not None for part in module.modules()):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        yield


def full_precision(function: F) -> F:
    """A function of tensors, the first one among them, that computes in float32 also where networks do not.

    Under autocast products would be of bfloat16, of whose 8 bits a log-density needs more.
    """

    @wraps(function)
    def exactly(x: Tensor, *args: Any) -> Any:
        if not torch.is_autocast_enabled(x.device.type):
            return function(x, *args)
        with torch.autocast(x.device.type, enabled=False):
            return function(widened(x), *(widened(a) if isinstance(a, Tensor) else a for a in args))

    return exactly


def widened(x: Tensor) -> Tensor:
    """What a network returned under autocast, in float32; all else as it is."""
    return x.float() if x.dtype == torch.bfloat16 else x


def make_activation(name: str) -> nn.Module:
    """The activation of that name; ValueError names those there are."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]()


def sizes(name: str, values: Sequence[int]) -> list[int]:
    """The widths of layers, each at least 1."""
    if any(value < 1 for value in values):
        raise ValueError(f"{name} must be whole numbers of at least 1, got {list(values)}")
    return list(values)


def mlp(
    widths: Sequence[int],
    activation: Activation,
    last: Activation | None = None,
    norm: Callable[[int], Sequence[nn.Module]] | None = None,
) -> nn.Sequential:
    """Linear layers with an activation after each but the last, which has `last`, or nothing after it.

    Args:
        widths: of the input and of each layer.
        norm: what stands between a hidden layer of a width and its activation. A bias ahead of batch norm
            has no effect, so those layers then have none.
    """
    *hidden, (n_in, n_out) = pairwise(widths)
    layers: list[nn.Module] = []
    for fan_in, fan_out in hidden:
        layers.append(nn.Linear(fan_in, fan_out, bias=norm is None))
        layers += [*(norm(fan_out) if norm else ()), make_activation(activation)]
    layers.append(nn.Linear(n_in, n_out))
    return nn.Sequential(*layers, *([make_activation(last)] if last else []))


def convolution_channels(
    shape: Sequence[int], channels: Sequence[int], kernel: int, odd: bool = True
) -> list[int]:
    """The channels of convolutions over images of that shape, [C, H, W]; an odd kernel has a middle."""
    channels = sizes("channels", channels)
    if len(shape) != 3 or not channels:
        raise ValueError(f"shape must be [C, H, W] and channels not empty, got {list(shape)}, {channels}")
    if kernel < 3 or (odd and kernel % 2 == 0):
        raise ValueError(f"kernel must be {'odd and ' if odd else ''}at least 3, got {kernel}")
    return channels


def halving_convolutions(
    shape: Sequence[int],
    channels: Sequence[int],
    kernel: int,
    activation: Activation,
    batch_norm: bool = False,
) -> tuple[list[nn.Module], int]:
    """Convolutions of stride 2 with an activation after each, and how many numbers they make of an image.

    Height and width are divided by 2 in each, rounded up. Batch norm is by each batch's own statistics.
    """
    channels = convolution_channels(shape, channels, kernel)
    n_in, height, width = shape
    layers: list[nn.Module] = []
    for n_out in channels:
        norm = [nn.BatchNorm2d(n_out, track_running_stats=False)] if batch_norm else []
        layers += [nn.Conv2d(n_in, n_out, kernel, 2, kernel // 2), *norm, make_activation(activation)]
        n_in, height, width = n_out, (height + 1) // 2, (width + 1) // 2
    return layers, n_in * height * width


def spectrally_normed(network: nn.Module) -> None:
    """Divide the weights of each layer by their largest singular value: its slope is at most 1.

    The value is followed by one step of power iteration in each pass in training.

    Reference: Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018),
    https://arxiv.org/abs/1802.05957.
    """
    for layer in [part for part in network.modules() if isinstance(part, nn.Linear | nn.Conv2d)]:
        spectral_norm(layer)


def small_normal(std: float, bias: float, norm_bias: float = 0.0) -> Callable[[nn.Module], None]:
    """For `module.apply`: weights N(0, std²), constant biases, and constant shifts of batch norm."""
    if not std > 0:
        raise ValueError(f"weight_std must be positive, got {std}")

    def start(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.constant_(module.bias, bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, norm_bias)

    return start


class Scheduled(nn.Module):
    """A part with a setting that changes during training. The method calls `at` before every step."""

    def at(self, progress: float) -> None:
        """Take the value for this share of the training steps, 0 at the first, up to 1."""
        raise NotImplementedError


class Fitted(nn.Module):
    """A part that is fitted to the data before the first step, and then stays: `fitted` is a buffer."""

    fitted: Tensor

    def fit(self, x: Tensor, seed: int = 0) -> None:
        """Fit to standardised points, and say so in `fitted`."""
        raise NotImplementedError


class PerProcess(nn.Module):
    """A part whose buffers are each process's own, as chains are; a checkpoint keeps those of all."""


class GaussianNoise(nn.Module):
    """x + N(0, std²) in training, x in evaluation."""

    def __init__(self, std: float):
        super().__init__()
        if std < 0:
            raise ValueError(f"std of the noise must not be negative, got {std}")
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x) if self.training and self.std else x
