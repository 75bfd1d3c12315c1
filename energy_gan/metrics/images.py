"""Numbers for images: how near samples are to the data, how much of it they cover, and what they copy.

    frechet_<features>     d² between samples and training images, see `frechet.py`
    recall_<features>      share of training images that lie among the samples
    precision_<features>   share of samples that lie among the training images; not in LeNet's features,
                           which contract what they were not trained on: noise scores like data there
    class_…, classes_covered, mean_confidence     the classes of the samples, see `class_numbers`
    nearest_train_ratio    distance of samples to the nearest training image over that of held-out images

Images are float32 in [0, 1], of shape (B, C, H, W); a data set is uint8 in memory or memory-mapped.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from energy_gan.metrics.classifier import Classifier, classified
from energy_gan.metrics.features import (
    FOLDER,
    FeatureNetwork,
    Images,
    Labels,
    RawImages,
    as_images,
    features_of,
)
from energy_gan.metrics.frechet import frechet_distance, real_statistics, statistics_from
from energy_gan.metrics.yardsticks import GaussianEstimate
from energy_gan.numerics.ppca import PPCAMixture, evenly
from energy_gan.randomness import random_generator

NEIGHBOURHOOD = 3_000  # features of each kind for precision and recall
COVERED = 0.5  # of its true share: from there on a class counts as covered
NUMBERS = 2**24  # pixels of a data set that are turned into floats at a time
FULL_COVARIANCE = 1_100  # pixels; larger images get a diagonal one
HELD_OUT = "held-out data"  # among the yardsticks
CLASS_NUMBERS = (
    "class_smallest_share", "class_largest_share", "class_kl", "classes_covered", "mean_confidence",
)  # fmt: skip

Sampler = Callable[[int, int], Images]  # (n, seed) -> n images


class ImageEvaluation:
    """Measures a sampler, or images, against a data set. What is known of the data is computed once.

    nearest_train_ratio is the median distance of samples to their nearest training image, by pixels, over
    that of held-out images: 1 is what unseen images of the same kind have, 0 is copying. Faint and blurred
    images lie near everything, so a small ratio says "look at `nearest_neighbours`", not "guilty".

    Args:
        points, held_out: the training images and those kept back.
        features: networks; each gives its own numbers.
        labels, classifier: of the training images, and the network that names the classes of samples;
            without either the class numbers are left out.
        n_samples: asked of a sampler. Fréchet distances of different numbers are not comparable.
        n_neighbours: samples whose nearest training image is sought, 0 for none: the search reads all
            training images once.
        folder: for statistics of the training images.
        confidence: see `class_numbers`.
        batch_size: images in a feature network at a time.
    """

    def __init__(
        self,
        points: RawImages,
        held_out: RawImages,
        features: Sequence[FeatureNetwork],
        labels: Labels | None = None,
        classifier: Classifier | None = None,
        n_samples: int = 10_000,
        n_neighbours: int = 1_000,
        folder: str = FOLDER,
        confidence: float = 0.9,
        batch_size: int = 500,
    ):
        for name, value, least in (
            ("n_samples", n_samples, 2),
            ("n_neighbours", n_neighbours, 0),
            ("batch_size", batch_size, 1),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if not 0 <= confidence < 1:
            raise ValueError(f"confidence must be at least 0 and under 1, got {confidence}")
        if labels is not None and len(labels) != len(points):
            raise ValueError(f"labels must be one for each of {len(points)} images, got {len(labels)}")
        names = [network.name for network in features]
        if len(set(names)) < len(names):
            raise ValueError(f"features must have different names, got {names}")
        self.points, self.held_out, self.features = points, held_out, tuple(features)
        self.n_samples, self.n_neighbours, self.folder = n_samples, n_neighbours, folder
        self.confidence, self.batch_size = confidence, batch_size
        self.classifier = classifier if labels is not None else None
        if self.classifier is not None:
            counts = labels.bincount(minlength=classifier.n_classes)
            self.class_shares = counts / counts.sum()
        self._real, self._typical = {}, None

    def __call__(self, sample: Sampler, seed: int = 0) -> dict[str, float]:
        return self.of(sample(self.n_samples, seed))

    @torch.no_grad()
    def of(self, images: Tensor) -> dict[str, float]:
        """The numbers of images, uint8 or in [0, 1]; all are nan if a pixel is not finite."""
        images = as_images(images)
        if not images.isfinite().all():
            return dict.fromkeys(self.names, math.nan)
        images, numbers = images.clamp(0, 1), {}
        for network in self.features:
            numbers |= self._feature_numbers(network, images)
        if self.classifier is not None:
            probabilities = classified(self.classifier, images, self.batch_size)
            numbers |= class_numbers(probabilities, self.class_shares, self.confidence)
        if self.n_neighbours:
            nearest = nearest_neighbours(images[: self.n_neighbours], self.points)[1]
            numbers["nearest_train_ratio"] = float(nearest.median()) / self._held_out_nearest(images.device)
        return numbers

    def _feature_numbers(self, network: FeatureNetwork, images: Images) -> dict[str, float]:
        if network.name not in self._real:
            statistics = real_statistics(network, self.points, self.folder, self.batch_size)
            some = features_of(network, evenly(self.points, NEIGHBOURHOOD), self.batch_size)
            self._real[network.name] = statistics, torch.cat([part.cpu() for part in some])
        statistics, real = self._real[network.name]
        found = [part.cpu() for part in features_of(network, images, self.batch_size)]
        precision, recall = precision_and_recall(real, torch.cat(found)[:NEIGHBOURHOOD])
        distance = float(frechet_distance(statistics, statistics_from(found)))
        numbers = {f"frechet_{network.name}": distance, f"recall_{network.name}": recall}
        if _has_precision(network):
            numbers[f"precision_{network.name}"] = precision
        return numbers

    @property
    def names(self) -> list[str]:
        """Of the numbers, in their order."""
        kinds = [(("frechet", "recall", "precision")[: 2 + _has_precision(f)], f.name) for f in self.features]
        names = [f"{kind}_{name}" for of_one, name in kinds for kind in of_one]
        classes = CLASS_NUMBERS if self.classifier is not None else ()
        return [*names, *classes, *(["nearest_train_ratio"] if self.n_neighbours else [])]

    def _held_out_nearest(self, device: torch.device) -> float:
        if self._typical is None:
            some = as_images(evenly(self.held_out, self.n_neighbours), device)
            self._typical = float(nearest_neighbours(some, self.points)[1].median()) or math.nan
        return self._typical


def class_numbers(
    probabilities: Float[Tensor, "N K"], shares: Float[Tensor, "K"], confidence: float = 0.9
) -> dict[str, float]:
    """How the classes of samples are spread, against their shares pₖ in the training set.

    A sample is of class k if the classifier gives k a probability of at least `confidence`; else it is
    junk and of no class, since the most probable class of junk means nothing. With nₖ samples of class k
    among all n samples, junk included, sₖ = nₖ / n, and

        class_smallest_share   minₖ sₖ / pₖ: 1 is ideal, 0 a lost class; junk lowers it
        class_largest_share    maxₖ sₖ / pₖ
        class_kl               Σₖ qₖ log(qₖ / pₖ), with qₖ = nₖ / Σⱼ nⱼ: without the junk, nan if all is junk
        classes_covered        the number of classes with sₖ / pₖ ≥ 0.5
        mean_confidence        the mean over all samples of the greatest probability

    Classes that the training set does not have are left out.
    """
    present = shares > 0
    greatest, found = probabilities.max(1)
    counts = found[greatest >= confidence].bincount(minlength=len(shares))[present].double()
    true = shares[present].double()
    relative = counts / len(probabilities) / true
    spread = counts / counts.sum()
    kl = torch.special.xlogy(spread, spread / true).sum()
    numbers = relative.min(), relative.max(), kl, (relative >= COVERED).sum(), greatest.mean()
    return dict(zip(CLASS_NUMBERS, map(float, numbers), strict=True))


def _has_precision(network: FeatureNetwork) -> bool:
    return network.name != Classifier.name


def precision_and_recall(
    real: Float[Tensor, "N D"], fake: Float[Tensor, "M D"], k: int = 3
) -> tuple[float, float]:
    """Precision: the share of `fake` among `real`; recall: the share of `real` among `fake`.

    A point is among others if it is nearer to one of them than that one's k-th neighbour of its own kind.
    nan where there are not more than k points of each kind.

    Reference: Improved Precision and Recall Metric for Assessing Generative Models
    (Kynkäänniemi et al., 2019), https://arxiv.org/abs/1904.06991, Eqs. 1 and 2.
    """
    if min(len(real), len(fake)) <= k:
        return math.nan, math.nan
    real, fake = real.double(), fake.double()
    return _share_among(fake, real, k), _share_among(real, fake, k)


def _share_among(x: Float[Tensor, "N D"], others: Float[Tensor, "M D"], k: int) -> float:
    # k + 1, since each is its own nearest
    radius = torch.cat([torch.cdist(part, others).kthvalue(k + 1).values for part in others.split(500)])
    inside = [(torch.cdist(part, others) <= radius).any(1) for part in x.split(500)]
    return float(torch.cat(inside).double().mean())


def nearest_neighbours(
    samples: Tensor, points: RawImages, k: int = 1
) -> tuple[Int64[Tensor, "B k"], Float[Tensor, "B k"]]:
    """The k nearest of any number of images to each sample: their indices, nearest first, and distances.

    The distance is Euclidean, of pixels in [0, 1]. The images are read once, in pieces, to the device of
    the samples.
    """
    if not 1 <= k <= len(points):
        raise ValueError(f"k must be between 1 and {len(points)}, the images to search, got {k}")
    x = as_images(samples).flatten(1)
    best = x.new_full((len(x), k), math.inf)
    indices = torch.zeros(best.shape, dtype=torch.long, device=x.device)
    for first, part in _pieces(points, x.device):
        squares = torch.addmm(part.square().sum(1), x, part.T, alpha=-2)  # less ‖x‖², the same for all
        here = torch.arange(first, first + len(part), device=x.device).expand(len(x), -1)
        best, chosen = torch.cat([best, squares], 1).topk(k, largest=False)
        indices = torch.cat([indices, here], 1).gather(1, chosen)
    # Anew, without the difference of large squares: the distance to a copy is 0.
    columns = [as_images(points[i.cpu()], x.device).flatten(1) for i in indices.T]
    distances, order = torch.stack([(x - y).norm(dim=1) for y in columns], 1).sort(dim=1, stable=True)
    return indices.gather(1, order), distances


def _pieces(points: RawImages, device: torch.device) -> Iterator[tuple[int, Float[Tensor, "N D"]]]:
    rows = max(1, NUMBERS // points[0].numel())
    for first in range(0, len(points), rows):
        yield first, as_images(points[first : first + rows], device).flatten(1)


def yardsticks(
    evaluation: ImageEvaluation, seed: int = 0, components: int = 50, rank: int = 40
) -> dict[str, dict[str, float]]:
    """What simple means reach by the same numbers: the rows of a table, by name.

    held-out data     the best that can be hoped for; at most n_samples of them
    pixel Gaussian    with the covariance of the pixels, its diagonal only over 1,100 pixels
    mixture of PPCA   a density, see `ppca.py`, of 50 components with 40 axes, fewer where there are not
                      100 images for each or 80 pixels

    Large sets are fitted to 50 million of their pixels, in evenly spread images.
    """
    n, shape = evaluation.n_samples, evaluation.points.shape[1:]
    some = as_images(evenly(evaluation.points)).flatten(1)
    components = max(1, min(components, len(some) // 100))
    rank = max(1, min(rank, some.shape[1] // 2))

    def images(x: Float[Tensor, "N D"]) -> Images:
        return x.clamp(0, 1).unflatten(1, shape)

    order = torch.randperm(len(evaluation.held_out), generator=random_generator(seed, 0))
    rows = {HELD_OUT: evaluation.of(evaluation.held_out[order[:n]])}
    gaussian = _gaussian(some, n, random_generator(seed, 1))
    rows["pixel Gaussian"] = evaluation.of(images(gaussian))
    mixture = PPCAMixture.fit(some, components, rank, seed=seed)
    rows["mixture of PPCA"] = evaluation.of(images(mixture.sample(n, random_generator(seed, 2))))
    return rows


def _gaussian(x: Float[Tensor, "N D"], n: int, rng: torch.Generator) -> Float[Tensor, "n D"]:
    if x.shape[1] <= FULL_COVARIANCE:
        return GaussianEstimate(x).sample(n, rng)
    std, mean = torch.std_mean(x, dim=0)
    return mean + std * torch.randn(n, x.shape[1], generator=rng)
