"""Several processes that take each step together, a GPU or a core each.

Every process computes its slice of the batch; the gradient is the mean over the processes. The players move
by turns: the gradients of the one that moves are averaged in one piece, once, and nothing else is. Wrapped in
`DistributedDataParallel`, the networks would have to be searched in each move for weights that it leaves out.

Between the steps the processes have nothing to do with each other: what the first one measures and draws is
what a single process would, and the others wait for it at their next step.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from energy_gan.nn import PerProcess
from energy_gan.randomness import sharing
from energy_gan.system.processes import end_with


class PlayersTogether(DDPStrategy):
    """A Lightning strategy: gradients player by player, one draw of latents shared out, batch norm together.

    All processes start from the first one's weights. On GPUs batch norm is over the whole batch, within a
    training step only; on CPUs it is over each process's slice.

    Args:
        process_group_backend: "nccl" for GPUs and "gloo" for CPUs if None.
        timeout_minutes: how long a process waits for the others, which may be measuring, drawing or
            preparing data, before it gives up. Positive.
    """

    def __init__(
        self, process_group_backend: Literal["gloo", "nccl"] | None = None, timeout_minutes: float = 60.0
    ):
        if not timeout_minutes > 0:
            raise ValueError(f"timeout_minutes must be positive, got {timeout_minutes}")
        timeout = timedelta(minutes=timeout_minutes)
        super().__init__(process_group_backend=process_group_backend, timeout=timeout)
        self.threads = torch.get_num_threads()

    def setup_environment(self) -> None:
        torch.set_num_threads(self.threads)  # Lightning's launcher has chosen a number of its own
        super().setup_environment()
        if isinstance(self.cluster_environment, LightningEnvironment) and self.local_rank > 0:
            end_with(os.getppid())

    def configure_ddp(self) -> None:
        """Give all processes the first one's weights; the model is not wrapped."""
        # Lightning's own message in every step, whether to end: `SaveCheckpoints` asks instead
        self.lightning_module.trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None
        if self.world_size > 1 and self.root_device.type == "cuda":
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        norms = (module for module in self.model.modules() if isinstance(module, nn.SyncBatchNorm))
        self.norms: list[nn.SyncBatchNorm] = list(norms)
        self.alone = dist.new_subgroups(group_size=1)[0] if self.norms else None
        self._batch_norm_over(self.alone)
        for weight in self.model.parameters():
            dist.broadcast(weight.detach(), src=0)

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as step:
            step.enter_context(sharing(self.global_rank, self.world_size))
            self._batch_norm_over(dist.group.WORLD)
            step.callback(self._batch_norm_over, self.alone)
            return super().training_step(*args, **kwargs)

    def backward(
        self, closure_loss: Tensor, optimizer: Any, *args: Any, inputs: Sequence[Tensor], **kwargs: Any
    ) -> Tensor:
        """The gradient of the loss in `inputs`, the weights of the player that moves, over all processes."""
        loss = super().backward(closure_loss, optimizer, *args, inputs=inputs, **kwargs)
        average([weight.grad for weight in inputs if weight.grad is not None])
        return loss

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any | None = None
    ) -> None:
        """With what the negatives of each process remember, their chains."""
        if self.world_size > 1:
            checkpoint["negatives"] = [None] * self.world_size
            # on the CPU: pickled with its device, a tensor of another process would come back on that GPU
            remembered = {name: value.cpu() for name, value in self._remembered().items()}
            dist.all_gather_object(checkpoint["negatives"], remembered)
        super().save_checkpoint(checkpoint, filepath, storage_options)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """With this process's chains; with the first one's if there were more or fewer processes."""
        super().load_model_state_dict(checkpoint, strict)
        remembered = checkpoint.get("negatives", [])
        if len(remembered) == self.world_size:
            for name, value in self._remembered().items():
                value.copy_(remembered[self.global_rank][name])

    def _remembered(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": value
            for name, module in self.lightning_module.named_modules()
            if isinstance(module, PerProcess)
            for key, value in module.state_dict().items()
        }

    def on_exception(self, exception: BaseException) -> None:
        """A first process that fails takes along those it launched: they may be waiting for it."""
        super().on_exception(exception)
        if self.launcher is not None:
            self.launcher.kill(signal.SIGKILL)

    def _batch_norm_over(self, group: dist.ProcessGroup | None) -> None:
        for norm in self.norms:
            norm.process_group = group


def lost(error: Exception) -> bool:
    """Whether an error says that another process does not answer any more."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Each tensor becomes its mean over the processes; one message for all."""
    if not tensors or dist.get_world_size() == 1:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))
