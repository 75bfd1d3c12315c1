"""Muon for the matrices of a network, Adam for the rest, behind the face of one optimizer.

Muon orthogonalises the momentum of a weight matrix before it steps along it, so that directions in
which the gradient is small move as far as those in which it is large. Fitted to thin structure, where
those small directions are what counts, an energy needs a small fraction of Adam's steps.

Reference: Muon: An optimizer for hidden layers in neural networks (Jordan et al., 2024),
https://kellerjordan.github.io/posts/muon/. Adam is torch's own, and Muon but for the numbers it reckons with.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim import Muon as TorchMuon

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # a, b, c of the reference
ITERATIONS = 5


def orthogonal(x: Float[Tensor, "N M"]) -> Float[Tensor, "N M"]:
    """U φ(S) Vᵀ of x = U S Vᵀ ‖x‖: every singular value that is not tiny becomes one of about 1.

    X ← a X + (b A + c A²) X,   A = X Xᵀ,   five times, so that φ is five times s ← a s + b s³ + c s⁵
    """
    a, b, c = COEFFICIENTS
    wide = x if len(x) <= x.shape[1] else x.T
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if len(x) <= x.shape[1] else wide.T


class Muon(TorchMuon):
    """torch's Muon, which iterates in bfloat16; on a CPU in float32: few have instructions for the other.

    Without them an update of 128 × 128 takes 20 times as long.
    """

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for weight in (w for w in group["params"] if w.grad is not None):
                if "momentum_buffer" not in self.state[weight]:
                    self.state[weight]["momentum_buffer"] = torch.zeros_like(weight.grad)
                momentum = self.state[weight]["momentum_buffer"]
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(momentum, group["momentum"])
                update = orthogonal(update if weight.device.type == "cpu" else update.bfloat16())
                rows, columns = weight.shape
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))


class MuonWithAdam(Optimizer):
    """Muon where a weight is a matrix, Adam for the rest: biases, scales, layers with only a few inputs.

    One step of this is one step of each. The two have their own learning rates, in two parameter
    groups that a schedule moves together.

    Args:
        lr: of Muon, about the size of all singular values of a square matrix's step.
        adam_lr: of Adam.
        momentum: of Muon, at least 0 and below 1.
        betas: of Adam.
        weight_decay: of the matrices, decoupled.
        least_side: a matrix has at least so many rows and columns.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.05,
        adam_lr: float = 0.01,
        momentum: float = 0.95,
        betas: Sequence[float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        least_side: int = 4,
    ):
        if not lr > 0 or not adam_lr > 0:
            raise ValueError(f"lr and adam_lr must be positive, got {lr} and {adam_lr}")
        params = list(params)
        matrices = [p for p in params if p.ndim == 2 and min(p.shape) >= least_side]
        others = [p for p in params if not any(p is matrix for matrix in matrices)]
        parts: dict[str, Optimizer] = {}
        if matrices:
            parts["muon"] = Muon(matrices, lr, momentum=momentum, weight_decay=weight_decay)
        if others:
            parts["adam"] = Adam(others, adam_lr, betas=tuple(betas), fused=True)
        groups = [{**part.param_groups[0], "name": name} for name, part in parts.items()]
        super().__init__(groups, {})
        self.parts = parts
        self._share()

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """One step of each. A closure is not supported: the methods here compute the loss first."""
        if closure is not None:
            raise ValueError("MuonWithAdam takes no closure, got one")
        for part in self.parts.values():
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        """Let the two work on this optimizer's own groups and state, so that it is saved as one."""
        for part, group in zip(self.parts.values(), self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state
