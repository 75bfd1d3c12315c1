"""Images: how good samples are, what the energy makes of them and of others, and pictures."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor
from torch.nn.functional import interpolate

from energy_gan.data.images import ImageData, viewable
from energy_gan.metrics.classifier import Classifier, classifier_of
from energy_gan.metrics.digit_modes import DigitModes, StackedFeatures
from energy_gan.metrics.features import FeatureNetwork, checksum
from energy_gan.metrics.images import HELD_OUT, ImageEvaluation, nearest_neighbours, yardsticks
from energy_gan.metrics.inception import inception_or_none
from energy_gan.metrics.two_samples import MOST, image_aucs
from energy_gan.metrics.verdict import PAIRS
from energy_gan.model import Model
from energy_gan.numerics.ppca import evenly
from energy_gan.randomness import random_generator
from energy_gan.reports import drawing
from energy_gan.reports.numbers import DURING, IMAGE_ENERGIES, IMAGES, NUMBERS, UNTILTED
from energy_gan.reports.section import Rows, Section
from energy_gan.samplers.base import normal_like

SHOWN = 64
RANKED = 2_000  # images whose energies are compared for the pictures
NOISE = 0.2  # of images with none in training, where a classifier tells them apart
REFINED = 10  # moves of samples where the energy is one of images with noise


class ImageEnergies(Section):
    """The energies of held-out images, of samples, of noise and of images of another kind.

    Where the energy is one of images with noise, all of them get it: it is not about images without.
    """

    needs = "images energy"
    numbers = IMAGE_ENERGIES

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        held_out = float(model.energy(model.noisy(self._held_out())).mean())
        if samples is None:
            return {"energy_held_out": held_out}
        generated = float(model.energy(model.noisy(samples)).mean())
        numbers = {"energy_held_out": held_out, "energy_generated": generated}
        return numbers | {"energy_gap": generated - held_out}

    def _held_out(self) -> Float[Tensor, "N C H W"]:
        return self.data.pixels(self.data.held_out[:RANKED])

    def sets(self, model: Model) -> dict[str, Tensor]:
        sets = {"data": self._held_out()}
        if model.has_generator:
            sets["generator"] = model.sample(RANKED, self.seed)
        rng = torch.Generator().manual_seed(self.seed)
        sets["noise"] = torch.rand(sets["data"].shape, generator=rng)
        return sets | other_images(self.data.shape, 500)

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        names = {"data": ("held_out", "held-out images"), "generator": ("samples", "samples")}
        return {
            f"{names[name][0]}_by_energy": self._by_energy(model, images, names[name][1])
            for name, images in sets.items()
            if name in names
        }

    @staticmethod
    def _by_energy(model: Model, images: Float[Tensor, "N C H W"], what: str) -> Figure:
        order = model.energy(model.noisy(images)).argsort()
        middle = order[len(order) // 2 - 8 :]
        rows = {
            "lowest energy, the likeliest": order[:16],
            "in the middle": middle[:16],
            "highest": order[-16:],
        }
        return drawing.images(
            {f"{what}: {name}": viewable(images[rank]).numpy() for name, rank in rows.items()}
        )


class ImageSamples(Section):
    """Samples: Fréchet distances and recall in named features, their classes, the modes of stacked digits.

    Inception's features are used where their weights can be had, and those of a small classifier where the
    set has labels; without either there are pictures alone. The modes of stacked digits are counted: at the
    end `modes` and the others of `metrics/digit_modes.py`, of as many samples as the data say, and during
    training the same of fewer, `modes_during` …, which are not to be compared with them. Fréchet distances
    during training are of fewer samples too, and so a little greater, than the last.
    """

    needs = "images generator"
    numbers = IMAGES
    least = 100

    def prepare(self, data: ImageData) -> None:
        """Take the data to measure against; train their classifier if there is none yet."""
        self.data = data
        folder, facts = self.settings.features, data.has
        self.classifier: Classifier | None = None
        self.modes: DigitModes | None = None
        networks: list[FeatureNetwork] = []
        if "labels" in facts:
            self.classifier = classifier_of(data, data.sources["train"].kind, folder)
            networks.append(self.classifier)
        if "modes" in facts:
            digits = classifier_of(data.single, data.single.source_kind, folder)
            shares = data.modes.bincount(minlength=data.n_modes).double() / data.n_points
            self.modes = DigitModes(digits, shares, data.n_counted)
            networks.append(StackedFeatures(digits, data.digits))
        if data.shape[0] in (1, 3) and (inception := inception_or_none()) is not None:
            networks.append(inception)
        evaluation = partial(
            ImageEvaluation, data.points, data.held_out, networks, data.labels, self.classifier, folder=folder
        )
        self.evaluation = evaluation(n_samples=self.settings.n_samples)
        self.quick = evaluation(n_samples=self.settings.n_samples_during, n_neighbours=0)

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return self.of(model, samples) | self._modes_during(model)
        numbers = self.evaluation.of(samples) | self._told(model, samples)
        prior = model.learned.generator.prior
        if prior.tilted:
            latent = prior.base.sample(len(samples), random_generator(self.seed))
            plain = {
                UNTILTED + name: value for name, value in self.evaluation.of(model.generate(latent)).items()
            }
            numbers |= {name: value for name, value in plain.items() if name in NUMBERS}
        if model.data_noise and "energy" in model.offers:
            refined = self.evaluation.of(model.sample(len(samples), self.seed, REFINED).clamp(0, 1))
            numbers |= {f"refined_{name}": number for name, number in refined.items()}
        return numbers | (self.modes(model.sample, self.seed) if self.modes else {})

    def of(self, model: Model, samples: Tensor) -> dict[str, float]:
        return self.quick.of(samples)

    def _told(self, model: Model, samples: Tensor) -> dict[str, float]:
        """A classifier's AUC for samples and data, and for what is held out and what was trained on."""
        rng, n = torch.Generator().manual_seed(self.seed), min(MOST, len(samples), len(self.data.held_out))
        laws = {
            "data": self.data.held_out[:n],
            "generator": samples[:n],
            "training": evenly(self.data.points, n),
        }
        noise = model.data_noise or NOISE
        laws = {name: self.data.standardise(x) for name, x in laws.items()}
        laws = {name: x + noise * normal_like(x, rng) for name, x in laws.items()}
        found = image_aucs(laws, (("data", "generator"), ("data", "training")), self.seed)
        return {name.replace("data_training", "control"): value for name, value in found.items()}

    def _modes_during(self, model: Model) -> dict[str, float]:
        if not self.modes:
            return {}
        found = self.modes(model.sample, self.seed, self.settings.n_samples_during)
        return {name + DURING: number for name, number in found.items()}

    def yardsticks(self) -> Rows:
        if not self.evaluation.features:
            return {}
        facts = [checksum(self.data.points), checksum(self.data.held_out), self.settings.n_samples]
        facts += [network.fingerprint for network in self.evaluation.features]
        facts += [self.modes.n_samples, self.data.n_points] if self.modes else []

        def make() -> Rows:
            rows = yardsticks(self.evaluation)
            if self.modes:
                rows[HELD_OUT] |= self.modes(self.data.draw)
            return rows

        return self._kept(facts, make)

    def verdict(self, numbers: Mapping[str, float]) -> str:
        """Samples beside those of what needs no training, by the first of the features, and AUCs."""
        named = [f"frechet_{network.name}" for network in self.evaluation.features]
        said = [of_samples(numbers, self.yardsticks(), named[0])] if named else []
        return "; ".join([*said, told_apart(numbers)])

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        generated = sets["generator"] if "generator" in sets else model.sample(RANKED, self.seed)
        title = f"{SHOWN} samples, the same latents throughout the run"
        figures = {"samples": drawing.images({title: viewable(generated[:SHOWN]).numpy()}, 16)}
        return figures | {"nearest_neighbours": self._neighbours(generated[:10])}

    def _neighbours(self, samples: Float[Tensor, "N C H W"]) -> Figure:
        nearest, _ = nearest_neighbours(samples, self.data.points, k=5)
        found = self.data.pixels(self.data.points[nearest.flatten()]).unflatten(0, nearest.shape)
        table = torch.cat([samples[:, None], found], 1).transpose(0, 1)  # a column for each sample
        title = "top row samples, below each the training images nearest to it"
        return drawing.images({title: viewable(table.flatten(0, 1)).numpy()}, len(samples), width=6.0)


def of_samples(numbers: Mapping[str, float], yardsticks: Mapping[str, Mapping[str, float]], name: str) -> str:
    """The sentence on a Fréchet distance beside the baselines'."""
    distance, rows = numbers[name], {law: row[name] for law, row in yardsticks.items() if name in row}
    beside = ", ".join(f"{law} {value:.3g}" for law, value in rows.items())
    said = f"(Fréchet distance {distance:.3g}, of {beside})"
    better = [law for law in rows if law != HELD_OUT and not distance < rows[law]]
    if better:
        worse = f"worse than the baselines, those of a {' and a '.join(better)}"
        return f"the generator's samples are {worse} {said}"
    return f"the generator's samples are better than the baselines {said}"


def told_apart(numbers: Mapping[str, float]) -> str:
    """The sentence on a classifier's AUCs."""
    names = {"auc_control": "held-out | training images"} | {name: pair for pair, name in PAIRS.items()}
    shown = [f"{pair} {numbers[name]:.3f}" for name, pair in names.items() if name in numbers]
    return f"a classifier's AUC, all with noise, 0.5 of one law: {', '.join(shown)}"


def other_images(shape: tuple[int, ...], n: int) -> dict[str, Float[Tensor, "n C H W"]]:
    """Real images of another kind that come with a dependency: scans of digits, pieces of photographs.

    None for other than 1 or 3 channels.
    """
    channels, *size = shape
    if channels not in (1, 3):
        return {}
    if channels == 1:
        scans = torch.from_numpy(load_digits().images[:n]).float()[:, None] / 16
        if tuple(size) == (8, 8):
            return {"scikit-learn's digits, negative": 1 - scans}
        return {"scikit-learn's digits": interpolate(scans, size=size, mode="bilinear").clamp(0, 1)}
    rng, pieces = np.random.default_rng(0), []
    photographs = load_sample_images().images
    for k in range(n):
        photograph = photographs[k % len(photographs)]
        top, left = (
            rng.integers(0, side - piece) for side, piece in zip(photograph.shape, size, strict=False)
        )
        pieces.append(photograph[top : top + size[0], left : left + size[1]])
    return {"pieces of two photographs": torch.from_numpy(np.stack(pieces)).permute(0, 3, 1, 2).float() / 255}
