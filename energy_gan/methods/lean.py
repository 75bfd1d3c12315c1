"""What the methods need of Lightning's internals, out of the reader's way.

Lightning counts every optimizer's step; here one batch is one step, whatever the number of
players and of their moves. `trainer.global_step` is that count: the x axis of all that is logged,
and what `max_steps`, checkpoints and the order of the batches go by.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from energy_gan.system.lightning import TakesTrainer


class Alone(nn.Module):
    """What a method has of a LightningModule where Lightning has not been imported: its config."""

    def __init__(self):
        super().__init__()
        self.hparams: Mapping[str, Any] = {}

    def save_hyperparameters(self, config: Mapping[str, Any]) -> None:
        """Keep the config, for use."""
        self.hparams = dict(config)


class Lean(TakesTrainer, nn.Module):
    """A LightningModule that optimises by hand, also without a Trainer."""

    of_lightning, alone = "LightningModule", Alone
    _trainer = None

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.unheard = True  # see manual_backward

    @property
    def step(self) -> int:
        """Training steps taken; 0 without a Trainer."""
        return self.trainer.global_step if self._trainer else 0

    def configure_optimizers(self) -> list[Optimizer]:
        return [player.optimizer for player in self.players]

    def on_fit_start(self) -> None:
        self.unheard = self._unheard()

    def on_train_start(self) -> None:
        # fused optimizers take for granted that their state lies in memory as the weight does; that of a
        # checkpoint may come from a run with another setting of channels_last
        for weight, state in (item for player in self.players for item in player.optimizer.state.items()):
            for name, value in state.items():
                if value.shape == weight.shape and value.stride() != weight.stride():
                    state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning's, without its round of all callbacks before and after where none of them listens.

        At every move of small networks, that round would take a tenth of the time.
        """
        if self.unheard:
            loss.backward(*args, **kwargs)
        else:
            super().manual_backward(loss, *args, **kwargs)

    def _unheard(self) -> bool:
        """Whether a backward pass is nobody's but torch's: one device, no scaled loss, no hook around it."""
        from lightning import Callback, LightningModule
        from lightning.pytorch.plugins import Precision
        from lightning.pytorch.strategies import SingleDeviceStrategy
        from lightning.pytorch.utilities.model_helpers import is_overridden

        strategy, precision = self.trainer.strategy, self.trainer.precision_plugin
        listeners = [(callback, Callback) for callback in self.trainer.callbacks] + [(self, LightningModule)]
        return (
            type(strategy) is SingleDeviceStrategy
            and type(precision).backward is Precision.backward
            and getattr(precision, "scaler", None) is None
            and not any(
                is_overridden(hook, listener, parent)
                for listener, parent in listeners
                for hook in ("on_before_backward", "on_after_backward", "backward")
                if hasattr(parent, hook)
            )
        )

    def count_step(self) -> None:
        """The optimizers were stepped past Lightning, which would have counted each; it counts one."""
        if self._trainer:
            progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
            progress.increment_ready()
            progress.increment_completed()

    def over_processes(self, values: dict[str, float]) -> dict[str, float]:
        """The means over the processes that take the step together, each of which saw its slice."""
        if self.trainer.world_size == 1 or not values:
            return values
        means = self.trainer.strategy.reduce(torch.tensor(list(values.values()), device=self.device))
        return dict(zip(values, means.tolist(), strict=True))
