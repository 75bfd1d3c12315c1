"""Masks hide what they say, and a mixture's conditional mean is the one of its joint law."""

import pytest
import torch

from energy_gan.numerics.masks import MASKS, block
from energy_gan.numerics.ppca import PPCAMixture


@pytest.mark.parametrize(("name", "share"), [("block", 0.25), ("doodle", 0.25), ("pepper", 0.6)])
@pytest.mark.parametrize("size", [(28, 28), (64, 64), (8, 12)])
def test_a_mask_hides_its_share_of_an_image(name, share, size):
    hidden = MASKS[name](*size, 0)
    assert hidden.shape == size
    assert hidden.double().mean() == pytest.approx(share, abs=0.05)
    assert torch.equal(hidden, MASKS[name](*size, 0))
    if name != "block":
        assert not torch.equal(hidden, MASKS[name](*size, 1))


def test_a_block_is_in_the_middle():
    hidden = block(8, 12)
    assert hidden[2:6, 3:9].all()
    assert hidden.sum() == 24


def test_the_conditional_mean_of_a_mixture_is_that_of_its_joint_law():
    """By the covariances of all numbers, component by component."""
    rng = torch.Generator().manual_seed(0)
    weights, noise = torch.tensor([0.3, 0.7]).double(), torch.tensor([0.2, 0.5]).double()
    means = torch.randn(2, 6, generator=rng).double()
    factors = torch.randn(2, 6, 2, generator=rng).double()
    mixture = PPCAMixture(weights, means, factors, noise)
    x = mixture.sample(5, rng)
    known = torch.tensor([True, False, True, True, False, False])
    shares, ends = [], []
    for k in range(2):
        covariance = factors[k] @ factors[k].T + noise[k] * torch.eye(6)
        seen = covariance[known][:, known]
        law = torch.distributions.MultivariateNormal(means[k, known], seen)
        shares.append(weights[k].log() + law.log_prob(x[:, known]))
        regression = covariance[~known][:, known] @ torch.linalg.inv(seen)
        ends.append(means[k, ~known] + (x[:, known] - means[k, known]) @ regression.T)
    shares = torch.stack(shares, 1).softmax(1)
    expected = shares[:, :1] * ends[0] + shares[:, 1:] * ends[1]
    found = mixture.conditional_mean(x, known)
    torch.testing.assert_close(found[:, ~known], expected)
    assert torch.equal(found[:, known], x[:, known])
    plain = PPCAMixture(*(part.float() for part in (weights, means, factors, noise)))
    torch.testing.assert_close(plain.conditional_mean(x.float(), known), found.float())
    nothing = torch.zeros(6, dtype=torch.bool)
    torch.testing.assert_close(mixture.conditional_mean(x, nothing), (weights @ means).expand(5, -1))
