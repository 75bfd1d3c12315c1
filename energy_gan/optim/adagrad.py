"""Adagrad, fused where torch has it so."""

import torch


class Adagrad(torch.optim.Adagrad):
    """torch's Adagrad: fused on a CPU, where that is much faster; on a GPU torch has no fused one.

    A checkpoint holds which of them it was, so that is decided anew by where the weights are.
    """

    def step(self, closure=None):
        for group in self.param_groups:
            on_cpu = all(p.device.type == "cpu" for p in group["params"])
            group["fused"], group["foreach"] = on_cpu, not on_cpu
        return super().step(closure)
