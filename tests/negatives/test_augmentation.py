"""Images of a buffer that are changed by chance stay images, each changed on its own."""

import pytest
import torch

from energy_gan.negatives.augmentation import Augmentation

IMAGES = torch.linspace(-1, 1, 4 * 3 * 8 * 8).view(4, 3, 8, 8)


def test_each_change_is_what_it_is_called():
    torch.testing.assert_close(Augmentation([3, 8, 8], 1.0)(IMAGES), IMAGES)
    torch.testing.assert_close(Augmentation([3, 8, 8], 1.0, flip=1.0)(IMAGES), IMAGES.flip(3))
    grey = Augmentation([3, 8, 8], 1.0, grey=1.0)(IMAGES)
    assert torch.equal(grey[:, 0], grey[:, 2])
    assert not torch.allclose(Augmentation([3, 8, 8], 1.0, colour=1.0)(IMAGES), IMAGES)


def test_parts_are_enlarged_each_at_its_own_place():
    torch.manual_seed(0)
    same = IMAGES[:1].expand(6, 3, 8, 8)
    parts = Augmentation([3, 8, 8], least_area=0.1)(same)
    assert parts.shape == same.shape
    assert len(parts.unique(dim=0)) == 6
    assert parts.abs().max() <= 1
    flips = Augmentation([3, 8, 8], 1.0, flip=0.5)(IMAGES[:1].expand(2000, 3, 8, 8))
    assert (flips == flips[0]).flatten(1).all(1).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_what_does_not_suit_the_images_is_refused():
    with pytest.raises(ValueError, match="colour and grey must be 0 for images without colour"):
        Augmentation([1, 8, 8], colour=0.5)
    with pytest.raises(ValueError, match="least_area must be above 0"):
        Augmentation([1, 8, 8], least_area=0.0)
    with pytest.raises(ValueError, match=r"shape must be that of images, \[C, H, W\], got \[2\]"):
        Augmentation([2])
