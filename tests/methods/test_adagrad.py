import pytest
import torch
from torch import nn

from energy_gan.optim.adagrad import Adagrad


def moved(optimizer: torch.optim.Optimizer, weights: nn.Parameter) -> torch.Tensor:
    for step in range(5):
        weights.grad = torch.linspace(-1, 2, len(weights)) * (step + 1)
        optimizer.step()
    return weights.detach()


def test_it_moves_as_torchs_own():
    ours, theirs = (nn.Parameter(torch.linspace(0, 1, 7)) for _ in range(2))
    plain = torch.optim.Adagrad([theirs], lr=0.1, fused=False)
    assert torch.allclose(moved(Adagrad([ours], lr=0.1), ours), moved(plain, theirs), atol=1e-7)


@pytest.mark.parametrize(("device", "fused"), [("cpu", True), ("meta", False)])
def test_where_the_weights_are_decides_also_after_a_checkpoint_of_another_device(device, fused, monkeypatch):
    """torch has no fused Adagrad on a GPU and raises; "meta" stands for one here."""
    monkeypatch.setattr(torch.optim.Adagrad, "step", lambda self, closure=None: None)
    weights = nn.Parameter(torch.zeros(3, device=device))
    optimizer = Adagrad([weights], lr=0.1)
    state = optimizer.state_dict()
    state["param_groups"][0] |= {"fused": not fused, "foreach": fused}
    optimizer.load_state_dict(state)
    optimizer.step()
    assert (optimizer.param_groups[0]["fused"], optimizer.param_groups[0]["foreach"]) == (fused, not fused)
