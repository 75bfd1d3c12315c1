"""How many of the modes of stacked digits a generator finds, and how evenly.

A classifier of single digits names each channel of a sample; the digits, read as one number, are its mode
k, one of K = 10^digits. With qₖ the share of mode k among n samples, pₖ among the images trained on,

    modes            modes that at least one sample is of
    modes_kl         KL(q‖uniform) = Σₖ qₖ log(K qₖ), in nats
    modes_kl_train   KL(q‖p) = Σₖ qₖ log(qₖ / pₖ), in nats; infinite where a sample's mode was not trained on
    modes_confident  modes of at least one sample whose digits have a probability of 0.9 or more, each of them

The published numbers are of two protocols and not comparable with each other:

    MEG (Kumar et al.)   `modes` and `modes_kl` of 26·10^digits samples, every one of which counts, however
                         little it looks like digits. PacGAN in its comparison with VEEGAN: the same, 26,000;
                         in that with Unrolled GAN: of 25,600.
    VERA                 `modes` and `modes_kl_train` of 26,000 samples

`modes_confident` is ours: the most probable class of junk means nothing, and junk is of many modes.

Few samples make any KL too great: of n samples that are uniform indeed it is about (K − 1) / 2n, so 0.019
of 26 samples to a mode. And the digits of MNIST are not quite equally frequent. So the data's own numbers,
which stand beside the generator's, are no zeros: to be below them is no merit.

Reference: Maximum Entropy Generators for Energy-Based Models (Kumar et al., 2019),
https://arxiv.org/abs/1901.08508; PacGAN (Lin et al., 2018), https://arxiv.org/abs/1712.04086; VEEGAN
(Srivastava et al., 2017), https://arxiv.org/abs/1705.07761; Unrolled Generative Adversarial Networks (Metz
et al., 2017), https://arxiv.org/abs/1611.02163; No MCMC for me: Amortized sampling for fast and stable
training of energy-based models (VERA; Grathwohl et al., 2021), https://arxiv.org/abs/2010.04230. The numbers
of samples are those of the code of Kumar et al., PacGAN and VERA.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from energy_gan.metrics.classifier import Classifier, classified
from energy_gan.metrics.features import FeatureNetwork, Images, as_images
from energy_gan.randomness import mixed_seed

NAMES = ("modes", "modes_kl", "modes_kl_train", "modes_confident")
PIECE = 2_000  # samples in memory at a time


class StackedFeatures(FeatureNetwork):
    """The features of a classifier of single digits, of all channels side by side.

    Args:
        classifier: of one channel; a border that the images have beyond its size is cut off.
        digits: channels of an image.
    """

    name = Classifier.name

    def __init__(self, classifier: Classifier, digits: int):
        super().__init__()
        self.classifier = classifier
        self.dimension = digits * classifier.dimension

    def forward(self, images: Images) -> Float[Tensor, "B D"]:
        return self.classifier(singles(images, self.classifier)).reshape(len(images), -1)


def singles(images: Images, classifier: Classifier) -> Float[Tensor, "B*C 1 h w"]:
    """The channels of each image in turn, without what lies around the classifier's images."""
    height, width = classifier.shape[1:]
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[..., top : top + height, left : left + width].flatten(0, 1)[:, None]


class DigitModes:
    """Counts the modes of a sampler, see the top of this file. Samples are drawn and forgotten in pieces.

    Args:
        classifier: of single digits.
        shares: p, of each mode among the images trained on.
        n_samples: asked of a sampler.
        confidence: from which probability of each digit a sample is of its mode for sure.
    """

    def __init__(
        self,
        classifier: Classifier,
        shares: Float[Tensor, "K"],
        n_samples: int,
        confidence: float = 0.9,
    ):
        self.digits = round(math.log(len(shares), classifier.n_classes)) if len(shares) else 0
        if self.digits < 1 or classifier.n_classes**self.digits != len(shares):
            raise ValueError(
                f"shares must be of {classifier.n_classes}^digits modes, all stacks of the classifier's "
                f"classes, got {len(shares)}"
            )
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples}")
        if not 0 <= confidence < 1:
            raise ValueError(f"confidence must be at least 0 and under 1, got {confidence}")
        self.classifier, self.shares = classifier, shares
        self.n_samples, self.confidence = n_samples, confidence

    def __call__(
        self, sample: Callable[[int, int], Tensor], seed: int = 0, n_samples: int | None = None
    ) -> dict[str, float]:
        """The numbers of (n, seed) -> n images, uint8 or in [0, 1]; all are nan if a pixel is not finite.

        Args:
            n_samples: instead of the number given before.
        """
        n = self.n_samples if n_samples is None else n_samples
        counts = torch.zeros(len(self.shares), dtype=torch.long)
        confident = torch.zeros(len(self.shares), dtype=torch.bool)
        for piece, first in enumerate(range(0, n, PIECE)):
            images = as_images(sample(min(PIECE, n - first), mixed_seed(seed, piece)))
            if not images.isfinite().all():
                return dict.fromkeys(NAMES, math.nan)
            modes, sure = self.named(images.clamp(0, 1))
            counts += modes.bincount(minlength=len(counts))
            confident[modes[sure]] = True
        return mode_numbers(counts, self.shares) | {"modes_confident": float(confident.sum())}

    @torch.no_grad()
    def named(self, images: Images) -> tuple[Int64[Tensor, "B"], Bool[Tensor, "B"]]:
        """The mode of each image, and whether all of its digits are named with confidence."""
        if images.shape[1] != self.digits:
            raise ValueError(f"images must have {self.digits} channels, one a digit, got {images.shape[1]}")
        probabilities = classified(self.classifier, singles(images, self.classifier))
        greatest, digits = (part.unflatten(0, (-1, self.digits)) for part in probabilities.max(1))
        places = self.classifier.n_classes ** torch.arange(self.digits - 1, -1, -1)
        return (digits * places).sum(1), (greatest >= self.confidence).all(1)


def mode_numbers(counts: Int64[Tensor, "K"], shares: Float[Tensor, "K"]) -> dict[str, float]:
    """`modes`, `modes_kl` and `modes_kl_train` of how many samples each mode has."""
    found = counts > 0
    q, p = counts[found].double() / counts.sum(), shares[found].double()
    numbers = found.sum(), (q * (q * len(counts)).log()).sum(), (q * (q / p).log()).sum()
    return dict(zip(NAMES, map(float, numbers), strict=False))
