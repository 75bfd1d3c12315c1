"""Laws of generators with several layers of latents."""

import pytest
import torch
from torch import nn

from energy_gan.generators.dcgan import ConvGenerator
from energy_gan.generators.layers import ConvLayers, MLPLayers
from energy_gan.generators.priors import NormalPrior


def layered(latents, **settings):
    torch.manual_seed(0)
    return MLPLayers([2], NormalPrior(sum(latents)), latents, width=8, **settings)


def test_one_layer_is_a_plain_network():
    generator = layered([3])
    network = generator.network
    plain = nn.Sequential(network.enter[0], nn.LeakyReLU(0.2), network.last)
    z = torch.randn(4, 3)
    torch.testing.assert_close(generator(z), plain(z))


def test_latents_are_non_centred():
    """v₂ | z₁ is N(μ(h₁), σ²(h₁)) for z₂ ~ N(0, I): x depends on z₂ by μ + σ z₂ alone."""
    generator = layered([2, 1])
    network = generator.network
    with torch.no_grad():
        network.law[0].weight.normal_()
    z1, z2 = torch.randn(2), torch.randn(5, 1)
    h = network.activation(network.enter[0](z1[None]))
    mean, raw = network.law[0](h).chunk(2, 1)
    v = mean + nn.functional.softplus(raw + torch.tensor(torch.e - 1).log()) * z2
    second = network.activation(network.grow[0](h) + network.enter[1](v))
    torch.testing.assert_close(generator(torch.cat([z1.expand(5, 2), z2], 1)), network.last(second))


def test_layers_are_nearly_standard_at_first():
    network = layered([2, 3, 2]).network
    h = network.activation(network.enter[0](torch.randn(500, 2)))
    mean, raw = network.law[0](h).chunk(2, 1)
    assert mean.abs().max() < 0.3
    assert raw.abs().max() < 0.3


@pytest.mark.parametrize("channels", [[6], [8, 4], [8, 6, 4]])
@pytest.mark.parametrize("latents", [[5], [2, 3], [1, 2, 3, 2, 1]])
def test_each_latent_of_a_convolutional_one_moves_the_image(channels, latents):
    torch.manual_seed(0)
    generator = ConvLayers([3, 16, 24], NormalPrior(sum(latents)), latents, channels)
    z = torch.randn(2, sum(latents), requires_grad=True)
    images = generator(z)
    assert images.shape == (2, 3, 16, 24)
    (slope,) = torch.autograd.grad((images * torch.randn_like(images)).sum(), z)
    assert (slope != 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLPLayers([2], NormalPrior(3), [1, 1]), "add up to the prior's latent_dim=3, got .1, 1., 2"),
        (lambda: MLPLayers([2], NormalPrior(6), [1] * 6), "of 1 to 5 layers"),
        (lambda: ConvLayers([3, 10, 10], NormalPrior(2), [2], [8, 4]), "divisible by 4"),
    ],
)
def test_layers_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kernel", [3, 4, 5, 6])
@pytest.mark.parametrize("full_size", [False, True])
def test_convolutions_of_any_kernel_double_the_image(kernel, full_size):
    generator = ConvGenerator(
        [3, 16, 8], NormalPrior(3), [6, 4, 2], batch_norm=False, kernel=kernel, full_size=full_size
    )
    first = generator.network[1].unflattened_size
    assert first == ((6, 4, 2) if full_size else (6, 2, 1))
    assert generator(torch.randn(2, 3)).shape == (2, 3, 16, 8)
