"""What several processes tell each other when a checkpoint is saved."""

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy

from energy_gan.run.distributed import PlayersTogether


def test_the_chains_of_every_process_travel_by_way_of_the_cpu(monkeypatch):
    """A tensor that is pickled on cuda:1 would be made again on cuda:1 by every process."""

    class OnAGPU(torch.Tensor):
        def cpu(self):
            return self.as_subclass(torch.Tensor)

    def gather(into, mine):
        into[:] = [mine, mine]

    saved = []
    monkeypatch.setattr(PlayersTogether, "world_size", 2)
    monkeypatch.setattr(PlayersTogether, "_remembered", lambda self: {"chains": OnAGPU(3)})
    monkeypatch.setattr(
        DDPStrategy, "save_checkpoint", lambda self, checkpoint, *rest: saved.append(checkpoint)
    )
    monkeypatch.setattr(dist, "all_gather_object", gather)
    PlayersTogether().save_checkpoint({}, "x.ckpt")
    assert [type(each["chains"]) for each in saved[0]["negatives"]] == [torch.Tensor, torch.Tensor]
