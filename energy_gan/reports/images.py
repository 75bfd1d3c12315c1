"""What a run on images shows: how good the samples are, what the energy makes of images, and pictures."""

import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor
from torch.nn.functional import interpolate

from energy_gan.callbacks.report import Report
from energy_gan.data.images import ImageData, viewable
from energy_gan.data.stacked_mnist import StackedMNIST
from energy_gan.energies.base import stated
from energy_gan.metrics.classifier import Classifier, classifier_of
from energy_gan.metrics.digit_modes import DigitModes, StackedFeatures
from energy_gan.metrics.features import FeatureNetwork, checksum
from energy_gan.metrics.images import ImageEvaluation, nearest_neighbours, yardsticks
from energy_gan.metrics.inception import inception_or_none
from energy_gan.metrics.likelihood import likelihood_yardsticks, log_likelihood
from energy_gan.model import Model, evaluating
from energy_gan.numerics.ppca import evenly
from energy_gan.reports import drawing
from energy_gan.samplers.annealed_importance import drift
from energy_gan.samplers.base import normal_like
from energy_gan.samplers.chains import Chains, tune
from energy_gan.samplers.mala import MALA
from energy_gan.system.files import write_text

CURVES = (
    "frechet_inception",
    "frechet_lenet",
    "recall_inception",
    "recall_lenet",
    "class_smallest_share",
    "class_kl",
    "modes_during",
    "modes_kl_during",
    "energy_gap",
    "energy_held_out",
    "drift_200",
)
SHOWN = 64
RANKED = 2_000  # images whose energies are compared for the pictures
DRIFTING = 500  # held-out images that MALA moves
CHAINS, MOVES = 32, 200  # whose energies are drawn where the energy is meant to be a density
REFINED = 10  # moves of samples where the energy is one of images with noise


class ImageReport(Report):
    """Images: Fréchet distances and recall in named features, the classes of samples, energies, pictures.

    Inception's features are used where their weights can be had, and those of a small classifier where the
    set has labels; without either there are energies and pictures alone. The modes of stacked digits are
    counted: at the end `modes` and the others of `metrics/digit_modes.py`, of as many samples as the data
    say, and during training the same of fewer, `modes_during` …, which are not to be compared with them.

    Args:
        features: the folder of trained classifiers and of statistics of real sets.
        folder, every_n_steps, draw_every_n_steps, n_samples, n_samples_during, seed: as in `Report`; the two
            numbers of samples at least 100. Numbers during training are of fewer samples, and so a little
            greater, than the last.
    """

    curves = CURVES

    def __init__(
        self,
        folder: str,
        features: str = "data/features",
        every_n_steps: int = 1000,
        draw_every_n_steps: int = 1000,
        n_samples: int = 10_000,
        n_samples_during: int = 2_000,
        seed: int = 0,
    ):
        if min(n_samples, n_samples_during) < 100:
            raise ValueError(f"n_samples must be at least 100, got {min(n_samples, n_samples_during)}")
        super().__init__(folder, every_n_steps, draw_every_n_steps, n_samples, n_samples_during, seed)
        self.features = features

    # ---- what

    def prepare(self, data: ImageData) -> None:
        """Take the data to measure against; train their classifier if there is none yet."""
        self.data = data
        self.densities: dict[str, dict[str, float]] = {}  # yardsticks of the log-likelihood
        self.along: dict[str, Float[Tensor, "N T"]] = {}  # energies of chains
        self.classifier: Classifier | None = None
        self.modes: DigitModes | None = None
        networks: list[FeatureNetwork] = []
        if data.labels is not None and data.classes and len(data.classes) > 1:
            self.classifier = classifier_of(data, data.sources["train"].kind, self.features)
            networks.append(self.classifier)
        if isinstance(data, StackedMNIST):
            digits = classifier_of(data.single, data.single.kind, self.features)
            shares = data.modes.bincount(minlength=data.n_modes).double() / data.n_points
            self.modes = DigitModes(digits, shares, data.n_counted)
            networks.append(StackedFeatures(digits, data.digits))
        if data.shape[0] in (1, 3) and (inception := inception_or_none()) is not None:
            networks.append(inception)
        evaluation = partial(
            ImageEvaluation,
            data.points,
            data.held_out,
            networks,
            data.labels,
            self.classifier,
            folder=self.features,
        )
        self.evaluation = evaluation(n_samples=self.n_samples)
        self.quick = evaluation(n_samples=self.n_samples_during, n_neighbours=0)

    def measure(self, model: Model, n_samples: int | None = None) -> dict[str, float]:
        """Of the samples, and the mean energies of held-out images and samples."""
        model.method.calibrate()
        held_out = self.data.pixels(self.data.held_out[:RANKED])
        numbers = {"energy_held_out": float(model.energy(held_out).mean())} | self._chains(model)
        if n_samples is None:
            numbers["drift"] = self._drift(model, held_out)
            numbers |= self._likelihood(model)
        if not model.has_generator:
            return numbers
        images = model.sample(self.n_samples if n_samples is None else n_samples, self.seed)
        numbers["energy_generated"] = float(model.energy(images).mean())
        numbers["energy_gap"] = numbers["energy_generated"] - numbers["energy_held_out"]
        numbers |= (self.evaluation if n_samples is None else self.quick).of(images)
        if n_samples is None and model.data_noise:
            refined = self.evaluation.of(model.sample(self.n_samples, self.seed, REFINED).clamp(0, 1))
            numbers |= {f"refined_{name}": number for name, number in refined.items()}
        if self.modes and n_samples is None:
            numbers |= self.modes(model.sample, self.seed)
        elif self.modes:
            found = self.modes(model.sample, self.seed, n_samples)
            numbers |= {f"{name}_during": number for name, number in found.items()}
        return numbers

    def of(self, model: Model, samples: Tensor) -> dict[str, float]:
        return self.quick.of(samples) | {"mean_energy": float(model.energy(samples).mean())}

    def _likelihood(self, model: Model) -> dict[str, float]:
        """Of an energy with a base, which is one of images with noise."""
        if (base := stated(model.learned.energy, "base")) is None:
            return {}
        rng = torch.Generator().manual_seed(self.seed)
        noisy = self._noised(self.data.held_out, model, rng)
        with evaluating(model.method.energy) as energy:
            numbers, self.reasons = log_likelihood(energy, base, noisy, rng)
        some = self._noised(evenly(self.data.points), model, rng)
        self.densities = likelihood_yardsticks(some.flatten(1).cpu(), noisy.flatten(1).cpu())
        self.densities |= {"the energy's base": {"log_likelihood": numbers["log_likelihood_base"]}}
        return numbers

    def _chains(self, model: Model) -> dict[str, float]:
        """Chains from held-out images and from samples: those of a density stay, and meet."""
        if stated(model.learned.energy, "base") is None:
            return {}
        rng = torch.Generator().manual_seed(self.seed)
        starts = {"held-out images": self.data.held_out[:DRIFTING]}
        if model.has_generator:
            starts["samples"] = model.sample(CHAINS, self.seed)
        starts = {name: self._noised(x, model, rng) for name, x in starts.items()}
        with evaluating(model.method.energy) as energy:
            for name, u in starts.items():
                chains = Chains(MALA(), MOVES, tune(MALA(), energy, u[:CHAINS], rng))
                self.along[name] = chains.run(energy, u[:CHAINS], rng, along=True).energies.cpu()
            with torch.no_grad():
                self.level = energy(starts["held-out images"]).cpu()
        chains = self.along["held-out images"]
        return {"drift_200": float((chains[:, 0] - chains[:, -1]).mean() / self.level.std())}

    def _noised(self, x: Tensor, model: Model, rng: torch.Generator) -> Float[Tensor, "N C H W"]:
        """Images as the energy has seen them in training."""
        u = self.data.standardise(x).to(model.method.shift.device)
        return u + model.data_noise * normal_like(u, rng) if model.data_noise else u

    def _drift(self, model: Model, held_out: Float[Tensor, "N C H W"]) -> float:
        device = model.method.shift.device
        rng = torch.Generator(device).manual_seed(self.seed)
        u = self._noised(held_out[:DRIFTING], model, rng)
        with evaluating(model.method.energy) as energy:
            fall = drift(energy, u, rng)
        by = f"by {abs(fall):.1f} standard deviations"
        if abs(fall) < 1:
            self.verdict = f"no sign of a mere critic: 20 moves of MALA change held-out images' energy {by}"
        else:
            self.verdict = (
                "the energy is a critic, no density: 20 moves of MALA "
                f"{'lower' if fall > 0 else 'raise'} the energy of held-out images {by}"
            )
        return fall

    def yardsticks(self) -> dict[str, dict[str, float]]:
        """Kept in the folder of features, under a name made of all that they depend on."""
        if not self.evaluation.features:
            return self.densities
        facts = [checksum(self.data.points), checksum(self.data.held_out), self.n_samples]
        facts += [network.fingerprint for network in self.evaluation.features]
        facts += [self.modes.n_samples, self.data.n_points] if self.modes else []
        path = Path(self.features) / f"yardsticks_{hashlib.sha256(str(facts).encode()).hexdigest()[:16]}.json"
        if not path.is_file():
            rows = yardsticks(self.evaluation)
            if self.modes:
                rows["held-out data"] |= self.modes(self.data.draw)
            text = json.dumps(rows, indent=1)
            write_text(path, text)
        return json.loads(path.read_text()) | self.densities

    # ---- pictures

    def energies(self, model: Model) -> dict[str, np.ndarray]:
        sets = {"data": self.data.pixels(self.data.held_out[:RANKED])}
        if model.has_generator:
            sets["generator"] = model.sample(RANKED, self.seed)
        rng = torch.Generator().manual_seed(self.seed)
        sets["noise"] = torch.rand(sets["data"].shape, generator=rng)
        sets |= other_images(self.data.shape, 500)
        return {name: model.energy(x).numpy() for name, x in sets.items()}

    def figures(self, model: Model) -> dict[str, Figure]:
        held_out, figures = self.data.pixels(self.data.held_out[:RANKED]), {}
        if model.has_generator:
            generated = model.sample(RANKED, self.seed)
            title = f"{SHOWN} samples, the same latents throughout the run"
            figures["samples"] = drawing.images({title: viewable(generated[:SHOWN]).numpy()}, 16)
            paths = model.interpolate(8, 9, self.seed).flatten(0, 1)
            title = "left and right a sample each, between them a line in latent space"
            figures["interpolation"] = drawing.images({title: viewable(paths).numpy()}, 9, width=6.0)
            figures["samples_by_energy"] = self._by_energy(model, generated, "samples")
            figures["nearest_neighbours"] = self._neighbours(generated[:10])
        if self.along:
            along = {name: energies.numpy() for name, energies in self.along.items()}
            figures["drift"] = drawing.drift(along, float(self.level.mean()), float(self.level.std()))
        figures["held_out_by_energy"] = self._by_energy(model, held_out, "held-out images")
        return figures

    @staticmethod
    def _by_energy(model: Model, images: Float[Tensor, "N C H W"], what: str) -> Figure:
        order = model.energy(images).argsort()
        middle = order[len(order) // 2 - 8 :]
        rows = {
            "lowest energy, the likeliest": order[:16],
            "in the middle": middle[:16],
            "highest": order[-16:],
        }
        return drawing.images(
            {f"{what}: {name}": viewable(images[rank]).numpy() for name, rank in rows.items()}
        )

    def _neighbours(self, samples: Float[Tensor, "N C H W"]) -> Figure:
        nearest, _ = nearest_neighbours(samples, self.data.points, k=5)
        found = self.data.pixels(self.data.points[nearest.flatten()]).unflatten(0, nearest.shape)
        table = torch.cat([samples[:, None], found], 1).transpose(0, 1)  # a column for each sample
        title = "top row samples, below each the training images nearest to it"
        return drawing.images({title: viewable(table.flatten(0, 1)).numpy()}, len(samples), width=6.0)


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
