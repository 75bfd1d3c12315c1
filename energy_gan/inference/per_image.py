"""A latent for each training point, that its chain goes on from: z_i, by the point's number."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from energy_gan.randomness import gathered, normal_rows
from energy_gan.shapes import Latents


class LatentMemory(nn.Module):
    """What was inferred last of each training point; N(0, I) for one that was not seen yet.

    It grows with the numbers that it meets. Several processes tell each other in each step, so that all know
    the same: the next to see a point may be another one, and a checkpoint of the first one holds all.

    Reference: Alternating Back-Propagation for Generator Network (Han et al., 2017),
    https://arxiv.org/abs/1606.08571, whose chains go on from step to step.

    Args:
        latent_dim: of the generator's prior.
    """

    def __init__(self, latent_dim: int):
        super().__init__()
        self.rows: Float[Tensor, "N K"] = torch.zeros(0, latent_dim + 1)  # the latent, and 1 if there is one

    def recall(self, index: Int[Tensor, "B"]) -> Latents:
        """Where the chains of these points begin."""
        self._grow(index)
        latent, known = self.rows[index].tensor_split([-1], 1)
        return torch.where(known > 0, latent, normal_rows(latent))

    def remember(self, index: Int[Tensor, "B"], latent: Latents) -> None:
        """Where they ended."""
        index, latent = gathered(index), gathered(latent)
        self._grow(index)
        self.rows[index] = torch.cat([latent, torch.ones_like(latent[:, :1])], 1)

    def _grow(self, index: Int[Tensor, "B"]) -> None:
        self.rows = self.rows.to(index.device)
        if (missing := int(index.max()) + 1 - len(self.rows)) > 0:
            self.rows = torch.cat([self.rows, self.rows.new_zeros(missing, self.rows.shape[1])])

    # no buffer, whose size a checkpoint of another moment would have to share
    def get_extra_state(self) -> Tensor:
        return self.rows

    def set_extra_state(self, state: Tensor) -> None:
        self.rows = state.clone()
