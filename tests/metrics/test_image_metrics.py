"""Laws of what images are measured with: distances, recall, classes, neighbours, yardsticks, networks."""

import logging
import math
import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import MultivariateNormal

from energy_gan.errors import InputError
from energy_gan.metrics import classifier as classifier_module
from energy_gan.metrics import features as features_module
from energy_gan.metrics import inception
from energy_gan.metrics.classifier import Classifier, classifier_of, classifier_path, train_classifier
from energy_gan.metrics.features import FeatureNetwork, checksum
from energy_gan.metrics.frechet import (
    FrechetDistance,
    Statistics,
    frechet_distance,
    real_statistics,
    statistics_from,
)
from energy_gan.metrics.images import (
    ImageEvaluation,
    class_numbers,
    nearest_neighbours,
    precision_and_recall,
    yardsticks,
)
from energy_gan.metrics.inception import Inception, inception_or_none
from energy_gan.numerics.ppca import PPCAMixture


class Pixels(FeatureNetwork):
    """The pixels themselves, scaled: features that can be checked by hand."""

    name, dimension = "pixels", 12

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, images):
        return images.flatten(1) * self.scale


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def digits():
    """Scikit-learn's digits as an image DataModule has them."""
    scans = load_digits()
    images = torch.from_numpy(np.round(scans.images * 255 / 16).astype(np.uint8))[:, None]
    labels = torch.from_numpy(scans.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    images, labels = images[order], labels[order]
    return SimpleNamespace(
        points=images[:1_500], labels=labels[:1_500], held_out=images[1_500:], held_out_labels=labels[1_500:],
        classes=[str(i) for i in range(10)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def classifier(digits):
    return train_classifier(digits.points, digits.labels, digits.held_out, digits.held_out_labels, epochs=40)


def gaussian(dim, rng, rank=None):
    factor = torch.randn(dim, rank or dim, generator=rng, dtype=torch.float64)
    return Statistics(100, torch.randn(dim, generator=rng, dtype=torch.float64), factor @ factor.T)


# The Fréchet distance


def test_distance_of_commuting_gaussians_has_a_closed_form():
    a = Statistics(9, torch.tensor([1.0, 2, 3]).double(), torch.tensor([4.0, 9, 0]).double().diag())
    b = Statistics(9, torch.tensor([1.0, 0, 3]).double(), torch.tensor([1.0, 1, 25]).double().diag())
    assert float(frechet_distance(a, b)) == pytest.approx(4 + 1 + 4 + 25)  # ‖μ₁ − μ₂‖² + Σ (σ₁ − σ₂)²


@pytest.mark.parametrize("rank", [None, 3], ids=["full rank", "rank 3 of 8"])
def test_distance_is_symmetric_and_that_of_scipys_square_root(rank, rng):
    a, b = gaussian(8, rng, rank), gaussian(8, rng)
    root = scipy.linalg.sqrtm((a.covariance @ b.covariance).numpy()).real
    expected = (
        float((a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace())
        - 2 * root.trace()
    )
    tolerance = 1e-9 if rank is None else 1e-5  # SciPy's root of a singular matrix is the worse one
    assert float(frechet_distance(a, b)) == pytest.approx(expected, rel=tolerance)
    assert float(frechet_distance(b, a)) == pytest.approx(float(frechet_distance(a, b)), rel=1e-6)


def test_equal_sets_are_at_no_distance_even_when_fewer_than_the_features(rng):
    images = torch.rand(5, 3, 2, 2, generator=rng)
    metric = FrechetDistance(Pixels())
    metric.update(images, real=True)
    metric.update(images.flip(0), real=False)
    assert float(metric.compute()) == pytest.approx(0, abs=1e-7)


def test_chunks_merged_metrics_and_known_statistics_give_one_number(rng, tmp_path):
    network = Pixels()
    real = (torch.rand(70, 3, 2, 2, generator=rng) * 255).to(torch.uint8)
    fake = torch.rand(50, 3, 2, 2, generator=rng) ** 2
    whole, first, second = (FrechetDistance(network) for _ in range(3))
    whole.update(real / 255, real=True)
    whole.update(fake)
    for metric, parts in ((first, slice(None, 20)), (second, slice(20, None))):
        metric.update(real[parts] / 255, real=True)
        for chunk in fake[parts].split(7):
            metric.update(chunk)
    first.merge_state(second)
    known = FrechetDistance(network, real_statistics(network, real, tmp_path, batch_size=9))
    known.update(fake)
    expected = frechet_distance(statistics_from([real.flatten(1) / 255]), statistics_from([fake.flatten(1)]))
    for metric in (whole, first, known):
        assert float(metric.compute()) == pytest.approx(float(expected), rel=1e-6)
    assert float(expected) > 0.1
    with pytest.raises(ValueError, match="generated ones only"):
        known.update(fake, real=True)
    lonely = FrechetDistance(network)
    lonely.update(fake[:1], real=True)
    with pytest.raises(ValueError, match="at least 2 images"):
        lonely.compute()


def test_statistics_survive_a_large_offset(rng):
    x = torch.randn(1_000, 4, generator=rng, dtype=torch.float64)
    shifted = statistics_from((x + 1e7).split(100))
    torch.testing.assert_close(shifted.covariance, x.T.cov(), rtol=1e-6, atol=1e-6)


def test_statistics_are_kept_for_this_set_and_this_network_only(rng, tmp_path, monkeypatch):
    images = (torch.rand(30, 3, 2, 2, generator=rng) * 255).to(torch.uint8)
    first = real_statistics(Pixels(), images, tmp_path)
    (file,) = tmp_path.glob("*.npz")
    with monkeypatch.context() as patch:
        patch.setattr(Pixels, "forward", lambda *_: pytest.fail("measured again"))
        again = real_statistics(Pixels(), images, tmp_path)
    torch.testing.assert_close(again.covariance, first.covariance)
    torch.testing.assert_close(real_statistics(Pixels(2.0), images, tmp_path).mean, 2 * first.mean)
    other = images.clone()
    other[0, 0, 0, 0] ^= 255
    assert not torch.equal(real_statistics(Pixels(), other, tmp_path).mean, first.mean)
    file.write_bytes(file.read_bytes()[:100])  # damaged: measured anew
    torch.testing.assert_close(real_statistics(Pixels(), images, tmp_path).mean, first.mean)
    assert not list(tmp_path.glob(".*")), "temporary files are left"


# Recall, classes, neighbours


def test_recall_falls_with_lost_modes_and_precision_with_junk(rng):
    modes = torch.tensor([[0.0, 0], [100, 0]])
    real = modes.repeat(100, 1) + torch.randn(200, 2, generator=rng)
    one_mode = modes[:1] + torch.randn(200, 2, generator=rng)
    half_junk = torch.cat([one_mode[:100], one_mode[100:] + 1e4])
    precision, recall = precision_and_recall(real, one_mode)
    assert recall == pytest.approx(0.5, abs=0.05)
    assert precision > 0.9
    assert precision_and_recall(real, half_junk)[0] == pytest.approx(
        precision_and_recall(real, one_mode[:100])[0] / 2
    )
    assert precision_and_recall(real, real) == (1, 1)
    assert math.isnan(precision_and_recall(real, one_mode[:3])[1])


def test_a_point_is_among_others_within_their_kth_neighbours():
    real = torch.tensor([[0.0], [1], [3]])  # of second neighbours at 3, 2 and 3
    fake = torch.tensor([[-3.1], [-2.9], [5.9], [6.1]])
    assert precision_and_recall(real, fake, k=2)[0] == 0.5


def test_class_numbers_by_hand():
    shares = torch.tensor([0.5, 0.25, 0.25, 0])
    rows = [[0.95, 0.05, 0, 0]] * 4 + [[0.05, 0.95, 0, 0]] * 1 + [[0, 0, 1.0, 0]] * 3 + [[0.4, 0.6, 0, 0]] * 2
    numbers = class_numbers(torch.tensor(rows), shares)
    assert numbers["class_smallest_share"] == pytest.approx(0.1 / 0.25)  # the two unsure ones are no class
    assert numbers["class_largest_share"] == pytest.approx(0.3 / 0.25)
    spread = np.array([4, 1, 3]) / 8
    assert numbers["class_kl"] == pytest.approx((spread * np.log(spread / [0.5, 0.25, 0.25])).sum())
    assert numbers["classes_covered"] == 2
    assert numbers["mean_confidence"] == pytest.approx((5 * 0.95 + 3 + 2 * 0.6) / 10)


def test_junk_has_no_class():
    numbers = class_numbers(torch.full((20, 4), 0.25), torch.full((4,), 0.25))
    assert (
        numbers["class_smallest_share"] == numbers["class_largest_share"] == numbers["classes_covered"] == 0
    )
    assert math.isnan(numbers["class_kl"])


@pytest.mark.parametrize("numbers", [2**24, 12 * 7], ids=["one piece", "pieces of 7"])
def test_nearest_neighbours_are_those_of_brute_force(numbers, rng, monkeypatch):
    monkeypatch.setattr("energy_gan.metrics.images.NUMBERS", numbers)
    points = (torch.rand(100, 3, 2, 2, generator=rng) * 255).to(torch.uint8)
    samples = torch.rand(20, 3, 2, 2, generator=rng)
    samples[3] = points[41] / 255
    indices, distances = nearest_neighbours(samples, points, k=4)
    expected = torch.cdist(samples.flatten(1).double(), points.flatten(1).double() / 255).sort(1)
    torch.testing.assert_close(distances.double(), expected.values[:, :4], atol=1e-6, rtol=1e-5)
    assert torch.equal(indices, expected.indices[:, :4])
    assert indices[3, 0] == 41
    assert distances[3, 0] == 0
    with pytest.raises(ValueError, match="k must be between 1 and 100, the images to search, got 101"):
        nearest_neighbours(samples, points, k=101)


def test_neighbours_come_from_a_memory_map(rng, tmp_path):
    points = (torch.rand(50, 1, 4, 4, generator=rng) * 255).to(torch.uint8)
    np.save(tmp_path / "points.npy", points.numpy())
    mapped = torch.from_numpy(np.load(tmp_path / "points.npy", mmap_mode="c"))
    assert torch.equal(nearest_neighbours(points / 255, mapped)[0][:, 0], torch.arange(50))


# The whole


@pytest.fixture(scope="module")
def evaluation(digits, classifier, tmp_path_factory):
    return ImageEvaluation(
        digits.points, digits.held_out, [classifier], digits.labels, classifier,
        n_samples=297, n_neighbours=200, folder=str(tmp_path_factory.mktemp("features")),
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(evaluation):
    return yardsticks(evaluation, components=20, rank=20)


def test_yardsticks_stand_in_their_order(rows):
    held_out, gaussian, mixture = rows.values()
    assert list(rows) == ["held-out data", "pixel Gaussian", "mixture of PPCA"]
    assert held_out["frechet_lenet"] < mixture["frechet_lenet"] < gaussian["frechet_lenet"]
    assert held_out["recall_lenet"] > mixture["recall_lenet"] > gaussian["recall_lenet"]
    assert held_out["class_smallest_share"] > 0.6
    assert held_out["classes_covered"] == 10
    assert held_out["class_kl"] < 0.02 < gaussian["class_kl"]
    assert held_out["nearest_train_ratio"] == pytest.approx(1, abs=0.1)


def test_copies_lost_classes_and_broken_samples_are_seen(evaluation, digits, rows):
    copies = evaluation.of(digits.points[:300])
    assert copies["nearest_train_ratio"] == 0
    zeros = evaluation(lambda n, seed: digits.points[digits.labels == 0].float().repeat(3, 1, 1, 1)[:n] / 255)
    assert zeros["class_smallest_share"] == 0
    assert zeros["classes_covered"] == 1
    assert zeros["class_kl"] == pytest.approx(math.log(10), abs=0.2)
    assert zeros["recall_lenet"] < 0.3
    noise = evaluation(lambda n, seed: torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)))
    assert noise["frechet_lenet"] > 10 * copies["frechet_lenet"]
    assert noise["nearest_train_ratio"] > 1.5
    broken = evaluation.of(torch.full((300, 1, 8, 8), math.nan))
    assert list(broken) == list(copies) == list(noise) == evaluation.names
    assert all(map(math.isnan, broken.values()))


def test_only_networks_that_deserve_it_give_precision_and_labels_are_not_needed(digits, tmp_path):
    points = digits.points[:200, :, 2:6, 2:5]
    pixels = ImageEvaluation(points, points, [Pixels()], n_neighbours=0, folder=str(tmp_path))
    assert list(pixels.of(points)) == pixels.names == ["frechet_pixels", "recall_pixels", "precision_pixels"]
    assert pixels.of(points)["precision_pixels"] == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n_samples": 1}, "n_samples must be at least 2, got 1"),
        ({"confidence": 1.0}, "confidence must be at least 0 and under 1, got 1.0"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, "labels must be one for each of 1500 images, got 3"),
        ({"features": [Pixels(), Pixels()]}, r"different names, got \['pixels', 'pixels'\]"),
    ],
)
def test_wrong_arguments_of_an_evaluation_are_named(wrong, said, digits):
    with pytest.raises(ValueError, match=said):
        ImageEvaluation(**{"points": digits.points, "held_out": digits.held_out, "features": [], **wrong})


# The mixture of PPCA


def two_planes(rng):
    """Two components in 6 dimensions, far apart, each about a plane."""
    return PPCAMixture(
        torch.tensor([0.7, 0.3]).double(), torch.tensor([[0.0] * 6, [8.0] * 6]).double(),
        torch.randn(2, 6, 2, generator=rng).double(), torch.tensor([0.1, 0.02]).double(),
    )  # fmt: skip


def test_log_prob_is_that_of_full_covariances(rng):
    mixture, x = two_planes(rng), 4 * torch.randn(50, 6, generator=rng).double()
    covariances = mixture.factors @ mixture.factors.mT + mixture.noise[:, None, None] * torch.eye(6)
    laws = MultivariateNormal(mixture.means, covariances)
    expected = (laws.log_prob(x[:, None]) + mixture.weights.log()).logsumexp(1)
    torch.testing.assert_close(mixture.log_prob(x), expected)


def test_one_component_is_the_likeliest_ppca(rng):
    x = torch.randn(500, 6, generator=rng).double() @ torch.randn(6, 6, generator=rng).double()
    fitted = PPCAMixture.fit(x, 1, 2, n_iterations=100)
    values, vectors = torch.linalg.eigh(x.T.cov(correction=0))
    noise = values[:4].mean()
    covariance = noise * torch.eye(6) + (vectors[:, 4:] * (values[4:] - noise)) @ vectors[:, 4:].T
    torch.testing.assert_close(
        fitted.log_prob(x), MultivariateNormal(x.mean(0), covariance).log_prob(x), rtol=1e-4, atol=1e-4
    )


def test_em_never_lowers_the_likelihood(rng):
    x = two_planes(rng).sample(400, rng) / 4
    x = torch.cat([x, x[:50] ** 2])  # which is no such mixture
    mixture = PPCAMixture.fit(x, 5, 2, n_iterations=0, seed=3)
    mixture.noise = mixture.noise + 1  # so that a point belongs to several
    mixture.means = mixture.means + torch.randn(mixture.means.shape, generator=rng)
    likelihoods = []
    for _ in range(30):
        likelihoods.append(float(mixture.log_prob(x).mean()))
        mixture = mixture.improved(x, least=1e-3)
    assert np.diff(likelihoods).min() > -1e-9
    assert likelihoods[-1] > likelihoods[0] + 1


def test_em_ends_where_the_likelihood_is_level(rng):
    x = torch.cat([torch.randn(150, 3, generator=rng), 1 + 2 * torch.randn(150, 3, generator=rng)]).double()
    mixture = PPCAMixture.fit(x, 2, 1, n_iterations=0)

    def slopes(mixture):
        parameters = [p.requires_grad_() for p in (mixture.means, mixture.factors, mixture.noise)]
        slopes = torch.autograd.grad(mixture.log_prob(x).mean(), parameters)
        [p.requires_grad_(False) for p in parameters]
        return max(float(slope.abs().max()) for slope in slopes)

    before = slopes(mixture)
    for _ in range(500):
        mixture = mixture.improved(x)
    assert slopes(mixture) < 1e-5 < 1e-2 < before


def test_a_known_mixture_is_recovered_from_its_samples(rng):
    truth = two_planes(rng)
    x = truth.sample(20_000, rng)
    fitted = PPCAMixture.fit(x.float(), 2, 2, n_iterations=20)
    order = fitted.means.sum(1).argsort()
    torch.testing.assert_close(fitted.weights[order], truth.weights.float(), atol=0.02, rtol=0)
    torch.testing.assert_close(fitted.means[order], truth.means.float(), atol=0.06, rtol=0)
    torch.testing.assert_close(fitted.noise[order], truth.noise.float(), atol=0, rtol=0.05)
    gap = truth.log_prob(x) - fitted.log_prob(x)  # of mean KL(truth ‖ fitted), in the sample
    assert abs(float(gap.mean())) < 0.01


def test_samples_have_the_moments_of_the_mixture(rng):
    mixture = two_planes(rng)
    x = mixture.sample(100_000, rng)
    covariances = mixture.factors @ mixture.factors.mT + mixture.noise[:, None, None] * torch.eye(6)
    mean = mixture.weights @ mixture.means
    apart = mixture.means - mean
    expected = torch.einsum("k,kij->ij", mixture.weights, covariances + apart[:, :, None] * apart[:, None])
    torch.testing.assert_close(x.mean(0), mean, atol=0.06, rtol=0)
    torch.testing.assert_close(x.T.cov(), expected, atol=0.15, rtol=0.02)


def test_too_many_components_and_constant_columns_break_nothing(rng):
    x = torch.randn(40, 5, generator=rng).repeat_interleave(2, 0)
    x[:, 3] = 7
    fitted = PPCAMixture.fit(x, 30, 4, n_iterations=30)
    assert fitted.log_prob(x).isfinite().all()
    assert fitted.sample(500, rng).isfinite().all()
    with pytest.raises(ValueError, match="rank must be between 1 and 4, under the columns, got 5"):
        PPCAMixture.fit(x, 2, 5)
    with pytest.raises(ValueError, match="components must be between 1 and 80, the points, got 81"):
        PPCAMixture.fit(x, 81, 2)


# Feature networks


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 48), (1, 4, 4)])
def test_classifier_takes_images_of_every_size(shape):
    network = Classifier(shape, 7)
    images = torch.rand(5, *shape)
    assert network(images).shape == (5, network.dimension)
    assert network.logits(images).shape == (5, 7)
    network.logits(images).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_training_is_good_and_repeats_and_leaves_the_global_stream_alone(classifier, digits):
    assert float(classifier.accuracy) > 0.97
    few = digits.points[:300], digits.labels[:300], digits.held_out, digits.held_out_labels
    torch.manual_seed(5)
    a = train_classifier(*few, epochs=1)
    drawn = torch.rand(1)
    b = train_classifier(*few, epochs=1)
    torch.manual_seed(5)
    assert drawn == torch.rand(1)
    assert a.fingerprint == b.fingerprint != train_classifier(*few, epochs=1, seed=1).fingerprint


def test_a_classifier_is_trained_once_and_again_for_other_images(digits, tmp_path, monkeypatch):
    few = {"points": digits.points[:200], "labels": digits.labels[:200], "has": {"labels"}}
    data = SimpleNamespace(**vars(digits) | few)
    first = classifier_of(data, "digits", tmp_path, epochs=2)
    path = classifier_path("digits", tmp_path)
    assert torch.load(path, weights_only=True)["classes"] == data.classes
    with monkeypatch.context() as patch:
        patch.setattr(classifier_module, "train_classifier", lambda *_, **__: pytest.fail("trained again"))
        again = classifier_of(data, "digits", tmp_path, epochs=2)
    assert again.fingerprint == first.fingerprint
    assert float(again.accuracy) == float(first.accuracy)
    path.write_bytes(path.read_bytes()[:-200])  # damaged: trained anew
    assert classifier_of(data, "digits", tmp_path, epochs=2).fingerprint == first.fingerprint
    data.labels = data.labels.flip(0)
    assert classifier_of(data, "digits", tmp_path, epochs=2).fingerprint != first.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["lenet_digits.pt"]


def test_a_set_without_labels_has_no_classifier(digits, tmp_path):
    data = SimpleNamespace(points=digits.points, labels=None, held_out_labels=None, classes=None, has=set())
    with pytest.raises(InputError, match="data=faces has no labels, and a classifier needs them"):
        classifier_of(data, "faces", tmp_path)


def test_a_checksum_sees_every_byte_of_a_small_set(digits, monkeypatch):
    other = digits.points.clone()
    other[700, 0, 3, 3] ^= 1
    sums = {checksum(digits.points), checksum(other), checksum(digits.points, digits.labels)}
    assert len(sums) == 3
    monkeypatch.setattr(features_module, "HASHED", digits.points.numel() // 4)
    assert checksum(digits.points) == checksum(digits.points.clone()) not in sums


def test_door_trains_the_classifier_and_says_how_good_it_is(open_door):
    status, output, errors = open_door("features", "data=digits")
    assert (status, errors) == (0, "")
    assert "held-out images right -> data/features/lenet_digits.pt" in output


def test_door_refuses_what_has_no_labels_in_one_line(open_door):
    status, _, errors = open_door("features", "data=four_spin")
    assert (status, errors.count("\n")) == (2, 1)
    assert "data=four_spin has no labels" in errors
    assert open_door("features", "seed=1")[::2] == (
        2,
        "error: 'seed=1' names no data set: give data=NAME, as data=mnist\n",
    )


# Inception. Its weights are not there offline: random ones in a file of the same layout stand for them.


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    hub = tmp_path_factory.mktemp("hub")
    path = hub / "checkpoints" / inception._weights_name()
    path.parent.mkdir()
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        patch.setattr(
            "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {}
        )
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        torch.save(FeatureExtractorInceptionV3("x", ["2048"]).state_dict(), path)
    return hub


@pytest.fixture
def hub(tmp_path):
    before = torch.hub.get_dir()
    inception._warn_once.cache_clear()
    yield lambda folder: torch.hub.set_dir(str(folder))
    torch.hub.set_dir(before)


def test_inception_is_found_where_torch_fidelity_would_put_it(hub, random_inception):
    hub(random_inception)
    network = inception_or_none()
    grey = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert (network.name, network(grey).shape) == ("inception", (2, 2048))
    torch.testing.assert_close(network(grey), network(grey.repeat(1, 3, 1, 1)))
    given = []
    network.network.register_forward_pre_hook(lambda _, inputs: given.extend(inputs))
    network(torch.tensor([0, 0.6 / 255, 1, 1.2]).reshape(1, 1, 2, 2))
    assert given[0][0, 2].flatten().tolist() == [0, 1, 255, 255]
    assert not any(p.requires_grad for p in network.parameters())


def test_without_weights_or_network_one_line_says_what_to_do(hub, tmp_path, monkeypatch, caplog):
    def offline(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    hub(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert inception_or_none() is None
        assert inception_or_none() is None
    (record,) = caplog.records
    for part in ("weights-inception-2015-12-05-6726825d.pth", "https://github.com/toshas", str(tmp_path)):
        assert part in record.getMessage()
    assert "\n" not in record.getMessage()


def test_wrong_weights_are_named(hub, tmp_path):
    with pytest.raises(InputError, match=r"weights=absent\.pth does not exist"):
        inception_or_none("absent.pth")
    damaged, other = tmp_path / "damaged.pth", tmp_path / "other.pth"
    damaged.write_bytes(b"nothing")
    torch.save(nn.Linear(2, 2).state_dict(), other)
    with pytest.raises(InputError, match="is damaged or holds no weights"):
        inception_or_none(str(damaged))
    with pytest.raises(InputError, match="holds the weights of another network"):
        Inception(other)
