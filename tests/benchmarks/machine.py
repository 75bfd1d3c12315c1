"""What the machine itself can do, measured in the same rounds as what is compared with it."""

import torch
from pairs import DEVICE
from timing import Work
from torch.nn import functional as F

SIDE = 1024
CONVOLUTION = (16, 128, 256, 16)  # images, channels in and out, pixels a side: 5×5, stride 2, as in the pair


def product() -> tuple[Work, float]:
    """A matrix product in float32, and its floating-point operations."""
    a, b = (torch.randn(SIDE, SIDE, device=DEVICE) for _ in range(2))
    return lambda: torch.mm(a, b), 2.0 * SIDE**3


def convolution() -> tuple[Work, float]:
    """A convolution of the shape that the 64×64 pair has most of."""
    n, n_in, n_out, side = CONVOLUTION
    x = torch.randn(n, n_in, 2 * side, 2 * side, device=DEVICE)
    w = torch.randn(n_out, n_in, 5, 5, device=DEVICE)
    return lambda: F.conv2d(x, w, stride=2, padding=2), 2.0 * n * side**2 * n_out * n_in * 25
