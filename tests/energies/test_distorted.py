"""What an encoder sees in training: the image moved no farther than it is told, and itself afterwards."""

import math

import pytest
import torch

from energy_gan.energies.distorted import Distorted
from energy_gan.energies.mlp import Identity

SHAPE = [1, 21, 21]


def distorted(**settings):
    return Distorted(SHAPE, Identity(SHAPE), **settings)


def places(images):
    """The centre of what is bright, in pixels from the middle."""
    bright = (images + 1)[:, 0]
    across = torch.arange(21.0) - 10
    total = bright.sum((1, 2))
    return torch.stack([(bright.sum(1) * across).sum(1), (bright.sum(2) * across).sum(1)], 1) / total[:, None]


def spot(x, y):
    image = torch.full([1, *SHAPE], -1.0)
    image[0, 0, 10 + y, 10 + x] = 1.0
    return image.expand(2_000, *SHAPE)


def test_in_evaluation_and_without_distortion_it_is_the_image():
    x = torch.rand(5, *SHAPE) * 2 - 1
    torch.testing.assert_close(distorted(shift=0.0, bend=0.0).train()(x), x.flatten(1), atol=1e-5, rtol=0)
    assert torch.equal(distorted().eval()(x), x.flatten(1))
    assert not torch.equal(distorted().train()(x), x.flatten(1))


def test_a_spot_moves_evenly_up_to_the_shift():
    torch.manual_seed(0)
    moved = places(distorted(shift=3 / 21, bend=0.0).distorted(spot(2, -1))) - torch.tensor([2.0, -1.0])
    assert moved.abs().max() <= 3.01
    torch.testing.assert_close(moved.mean(0), torch.zeros(2), atol=0.15, rtol=0)
    torch.testing.assert_close(moved.std(0), torch.full((2,), 3 / math.sqrt(3)), atol=0.1, rtol=0)


def test_what_bends_stays_in_the_middle_and_goes_in_proportion_to_its_distance():
    torch.manual_seed(0)
    bent = distorted(shift=0.0, bend=0.2)
    torch.testing.assert_close(places(bent.distorted(spot(0, 0))), torch.zeros(2_000, 2), atol=0.01, rtol=0)
    moved = places(bent.distorted(spot(6, 0))) - torch.tensor([6.0, 0.0])
    assert (
        0.9 < moved.abs().max() < 0.2 * 6 / 0.64 + 0.1
    )  # the map's inverse, whose determinant is at least 0.6
    assert (moved.std(0) > 0.4).all()


def test_what_comes_in_from_outside_is_black():
    black = torch.full((50, *SHAPE), -1.0)
    torch.testing.assert_close(distorted(shift=0.25).distorted(black), black)
    assert (distorted(shift=0.25).distorted(-black) < 0).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shift": -1.0}, "shift and bend must be from 0"),
        ({"shift": 1.0}, "shift and bend"),
        ({"bend": 1.0}, "bend"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        distorted(**settings)


def test_points_are_no_images():
    with pytest.raises(ValueError, match=r"shape must be that of images"):
        Distorted([3], Identity([3]))
