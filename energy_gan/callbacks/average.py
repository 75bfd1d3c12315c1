"""Averaged weights, each checkpoint ready to sample from."""

from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from energy_gan.methods.base import Method


class AverageWeights(EMAWeightAveraging):
    """Keep w̄ₖ = decay · w̄ₖ₋₁ + (1 − decay) · wₖ beside the weights, which train as without it.

    A checkpoint has the average, calibrated, as the model, and the weights themselves to go on from. At the
    end the method gets the average, so that it is what is measured.

    Args:
        decay: from 0, no average, to less than 1.
    """

    def __init__(self, decay: float = 0.998):
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and less than 1, got {decay}")
        super().__init__(decay=decay, use_buffers=False)  # chains and counts have no average
        self._swapped = False

    def setup(self, trainer: Trainer, pl_module: Method, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._swapped = False

    def on_train_end(self, trainer: Trainer, pl_module: Method) -> None:
        """Lightning would forget the weights that training goes on from."""
        self._swap_models(pl_module)
        self._swapped = True

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Method, checkpoint: dict[str, Any]) -> None:
        if self._average_model is None:
            return
        if not self._swapped:
            self._average_model.module.calibrate()  # the mean of batch-norm statistics is not that of w̄
            super().on_save_checkpoint(trainer, pl_module, checkpoint)
            return
        kept = self._average_model.state_dict()
        own = {name: value for name, value in kept.items() if name.startswith("module.")}
        checkpoint["current_model_state"] = {n.removeprefix("module."): value for n, value in own.items()}
        checkpoint["averaging_state"] = {name: value for name, value in kept.items() if name not in own}
