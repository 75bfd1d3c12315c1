"""Images that an encoder sees moved, turned, sheared and scaled a little, each by chance, in training.

    x̃(p) = x(A p + b),   A = I + S,   S uniform in ± bend, b uniform in ± shift

What is inferred is then r̃(z | x) = E[r(z | x̃)], and with x itself as what G has to make of z the bound stays
below log p(x): it is below that of r̃. A latent says less of how a figure stands and more of what it is.

Reference: Denoising Criterion for Variational Auto-Encoding Framework (Im et al., 2017),
https://arxiv.org/abs/1511.06406.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from energy_gan.shapes import Points


class Distorted(nn.Module):
    """features(x̃) in training, features(x) in evaluation.

    Args:
        shape: of one image, [C, H, W].
        features: a module from (B, *shape) to (B, features.out_features).
        shift: the share of its sides by which an image is moved at most, up or down and to a side, 0 to 1.
        bend: the most by which each number of A is off that of I; 0.2 turns by up to 11 degrees.
        outside: what stands beyond the image's edges; −1 is black.
    """

    def __init__(
        self,
        shape: Sequence[int],
        features: nn.Module,
        shift: float = 0.07,
        bend: float = 0.2,
        outside: float = -1.0,
    ):
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"shape must be that of images, [C, H, W], got {list(shape)}")
        if not 0 <= shift < 1 or not 0 <= bend < 1:
            raise ValueError(f"shift and bend must be from 0 to below 1, got {shift} and {bend}")
        self.features, self.out_features = features, features.out_features
        self.shift, self.bend, self.outside = shift, bend, outside

    def forward(self, x: Points) -> Tensor:
        return self.features(self.distorted(x) if self.training else x)

    def distorted(self, x: Points) -> Points:
        reach = torch.tensor([self.bend, self.bend, 2 * self.shift], device=x.device)  # a side is 2, in grids
        by_chance = 2 * torch.rand(len(x), 2, 3, device=x.device) - 1
        maps = torch.eye(2, 3, device=x.device) + reach * by_chance
        grid = F.affine_grid(maps, x.shape, align_corners=False)
        return F.grid_sample(x - self.outside, grid, align_corners=False) + self.outside
