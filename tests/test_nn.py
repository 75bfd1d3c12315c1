"""Laws of the blocks that networks share."""

import pytest
import torch
from torch import nn

from energy_gan.nn import make_activation, mlp


def test_a_fully_connected_network_is_its_layers_in_order():
    """Their weights are drawn one after the other, and are named by their places."""
    torch.manual_seed(0)
    network = mlp([3, 5, 4, 2], "tanh", "sigmoid")
    torch.manual_seed(0)
    first, second, third = nn.Linear(3, 5), nn.Linear(5, 4), nn.Linear(4, 2)
    x = torch.randn(7, 3)
    assert torch.equal(network(x), third(second(first(x).tanh()).tanh()).sigmoid())
    assert list(network.state_dict()) == [f"{n}.{of}" for n in (0, 2, 4) for of in ("weight", "bias")]


def test_the_last_layer_may_be_bare_and_the_only_one():
    assert [type(layer) for layer in mlp([3, 4, 2], "silu")] == [nn.Linear, nn.SiLU, nn.Linear]
    assert [type(layer) for layer in mlp([3, 2], "silu")] == [nn.Linear]


def test_a_norm_takes_the_bias_s_place_in_hidden_layers():
    network = mlp([3, 5, 4, 2], "relu", norm=lambda width: [nn.BatchNorm1d(width)])
    hidden = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert [type(layer) for layer in network] == [*hidden, *hidden, nn.Linear]
    assert [layer.num_features for layer in network if isinstance(layer, nn.BatchNorm1d)] == [5, 4]
    assert [layer.bias is not None for layer in network if isinstance(layer, nn.Linear)] == [
        False,
        False,
        True,
    ]


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match=r"activation must be one of tanh, .*, got 'swish'"):
        make_activation("swish")
