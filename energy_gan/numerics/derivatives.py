"""First and second derivatives of functions of rows, each of which is by itself."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def derivatives(
    function: Callable[[Float[Tensor, "B D"]], Float[Tensor, "B"]], x: Float[Tensor, "B D"]
) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D D"]]:
    """∇f and ∇²f of each row; the Hessians of all rows by one pass back of D directions at once."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
        directions = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        directions = directions[:, None].expand(-1, len(x), -1)
        (rows,) = torch.autograd.grad(gradient, x, directions, is_grads_batched=True)
    return gradient.detach(), rows.transpose(0, 1)
