"""Laws of the flow of images: inverse and log-determinant against the whole Jacobian, counted marginals."""

import math

import pytest
import torch

from energy_gan.generators.couplings import halves
from energy_gan.generators.image_flow import ImageFlow
from energy_gan.randomness import filled


def made(shape, seed=0, **settings):
    """In float64, with weights that bend it."""
    torch.manual_seed(seed)
    flow = ImageFlow(shape, shades=8, pairs=2, width=4, **settings).double()
    with torch.no_grad():
        for weight in flow.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    flow.network.marginals.fit(2 * torch.rand(20, *shape, dtype=torch.float64).square() - 1)
    return flow


@pytest.mark.parametrize(("shape", "levels"), [([1, 4, 4], 2), ([3, 4, 2], 1)])
def test_inverse_and_log_determinant_are_those_of_the_whole_jacobian(shape, levels):
    flow = made(shape, levels=levels)
    z = torch.randn(3, math.prod(shape), dtype=torch.float64)
    x, log_det = flow.network.inverse(z)
    back, log_det_back = flow.network(x)
    torch.testing.assert_close(back, z, atol=1e-9, rtol=0)
    torch.testing.assert_close(log_det_back, -log_det)
    jacobian = torch.autograd.functional.jacobian(lambda z: flow.network.inverse(z[None])[0].flatten(), z[0])
    torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, log_det[0])
    samples, log_prob = flow.pushed(z)
    torch.testing.assert_close(samples, flow(z))
    torch.testing.assert_close(log_prob, flow.log_prob(x))
    assert z.sub(back).abs().max() < 1e-9 < z.sub(x.flatten(1)).abs().max()


def test_before_it_learns_a_flow_has_the_marginals_of_the_data():
    """bits per dimension are then the entropies of the counted pixels."""
    x = torch.tensor([0, 0, 0, 1, 2, 2, 3, 3]).view(-1, 1, 1, 1).expand(-1, 1, 4, 4) * 2 / 3 - 1
    flow = ImageFlow([1, 4, 4], shades=4, levels=1)
    flow.network.marginals.fit(x)
    shares = (torch.tensor([3, 1, 2, 2]) + torch.tensor([49, 17, 33, 33]) / 132) / 9
    noisy = filled(x, 4, torch.rand(x.shape))
    log_prob = flow.log_prob(noisy) / 16 - math.log(3 / 2)
    torch.testing.assert_close(log_prob, shares.log()[[0, 0, 0, 1, 2, 2, 3, 3]], atol=1e-4, rtol=1e-4)
    assert flow.log_prob(x - 1).isfinite().all(), "beyond the range it falls, and is a number"


def test_halves_are_equal_and_each_pair_of_neighbours_is_parted_once():
    for n in (4, 8, 12, 24):
        parts = [halves(n, number) for number in range(6)]
        assert all(sorted(a + b) == list(range(n)) and len(a) == len(b) for a, b in parts)
        assert all(any((0 in a) != (c in a) for a, _ in parts) for c in range(1, min(n, 8)))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"shape": [2]}, "of points give a FlowGenerator"),
        ({"shape": [1, 6, 6]}, "multiples of 4"),
        ({"shape": [1, 8, 8], "shades": 1}, "shades at least 2"),
    ],
)
def test_bad_settings_are_named(settings, match):
    with pytest.raises(ValueError, match=match):
        ImageFlow(**settings)
