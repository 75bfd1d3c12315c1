"""Features that tell the classes need few labels; the network itself is left as it is."""

import pytest
import torch

from energy_gan.metrics import few_labels
from energy_gan.metrics.few_labels import errors, some_of_each


def clusters(n, seed=0):
    """Four classes that lie in two of twenty numbers; noise hides them from few labels in the others."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 4
    x = 3 * torch.randn(n, 20, generator=rng)
    x[:, 0] = 2.0 * (labels % 2) - 1 + 0.2 * torch.randn(n, generator=rng)
    x[:, 1] = 2.0 * (labels // 2) - 1 + 0.2 * torch.randn(n, generator=rng)
    return x, labels


def test_what_the_features_know_need_not_be_learned_from_labels(monkeypatch):
    monkeypatch.setattr(few_labels, "STEPS", 100)
    network = torch.nn.Linear(20, 2)
    with torch.no_grad():
        network.weight.copy_(torch.eye(20)[:2])
    before = network.weight.clone()
    found = errors(network, *clusters(400), *clusters(400, 1), n=20)
    assert torch.equal(network.weight, before)
    assert network.training
    assert found["features, linear"] < 0.02
    assert found["features, small"] < 0.05
    assert found["pixels, linear"] > 0.1
    assert found["from scratch"] > 0.02


def test_labels_are_as_many_of_each_class():
    labels = torch.arange(40) % 4
    chosen = some_of_each(labels, 8, 0)
    assert labels[chosen].bincount().tolist() == [2, 2, 2, 2]
    with pytest.raises(ValueError, match="n must be a multiple of 4, the classes"):
        some_of_each(labels, 6, 0)
