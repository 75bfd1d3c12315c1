"""Generated networks, trained ones, and one that learns from the ensemble: the same numbers of each."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from energy_gan.data.base import DataModule
from energy_gan.generators.architecture import Weights
from energy_gan.inference.disagreement import disagreement
from energy_gan.metrics.anomaly import auroc
from energy_gan.metrics.calibration import of_classes
from energy_gan.metrics.networks import measured
from energy_gan.model import Model
from energy_gan.reports.network_pictures import boundaries
from energy_gan.reports.networks import ON_PATHS, SHOWN, around, losses, losses_on_paths, named, straight
from energy_gan.studies.direct_networks import RATE, trained

AT_ONCE, OUTSIDE = 1_000, 2_000  # points
OF_MANY, OF_ONE = 64, 256  # points in a step of a network that is trained beside others, or alone
BRIEF, GENTLE = 4, 10  # by which the steps and the rate are divided of the one that learns from the ensemble


class Rows(NamedTuple):
    """What is compared: weights by row, each (M, P), and the numbers of each."""

    weights: dict[str, Weights]
    numbers: dict[str, dict[str, float]]


class Comparison:
    """Of a trained generator of networks, on the data it was trained on.

    Args:
        outside: images of another kind by name; an AUROC for each.
    """

    def __init__(self, model: Model, data: DataModule, outside: Mapping[str, Tensor], seed: int):
        self.networks, self.seed = model.learned.networks.eval(), seed
        self.generator = self.networks.generator
        self.architecture, self.gauge = self.generator.architecture, self.generator.network[-1]
        self.x, self.held_out = data.standardise(data.points), data.standardise(data.held_out)
        self.labels, self.held_out_labels = data.labels, data.held_out_labels
        self.outside = {name: model.units.networks(x) for name, x in outside.items()}

    def rows(self, points: int, n_trained: int) -> Rows:
        """The generated ones; trained ones, some that share the points, one that sees all; the distilled one.

        Args:
            points: that the generated networks saw together.
        """
        generated, numbers = self.generated()
        labels = F.one_hot(self.labels, self.networks(self.x[:1]).shape[1]).float()
        many, one = points // (n_trained * OF_MANY), points // OF_ONE
        weights = {
            "trained": trained(self.architecture, self.x, labels, n_trained, many, OF_MANY, self.seed),
            "one": trained(self.architecture, self.x, labels, 1, one, OF_ONE, self.seed),
            "distilled": self.distilled(generated[:1], one // BRIEF),
        }
        found = {name: self.of(self.gauge(of)) for name, of in weights.items()}
        return Rows({"generated": generated} | weights, {"generated": numbers} | found)

    @torch.no_grad()
    def generated(self) -> tuple[Weights, dict[str, float]]:
        """Those whose latents the run keeps."""
        weights = self.generator(self.networks.latent)
        points = self.held_out[:ON_PATHS], self.held_out_labels[:ON_PATHS]
        along = losses_on_paths(self.networks, *points)["latent"]
        return weights, self.of(weights) | {"path_latent_loss": float(along.amax(1).mean())}

    def distilled(self, begin: Weights, steps: int) -> Weights:
        """One that learns what all of them together say of the training points, from one of them."""
        with torch.no_grad():
            said = torch.cat([self.networks(part).exp() for part in self.x.split(AT_ONCE)])
        rate = RATE / GENTLE
        return trained(self.architecture, self.x, said, 1, steps, OF_ONE, self.seed, rate, begin)

    @torch.no_grad()
    def log_p(self, weights: Weights, u: Tensor) -> Float[Tensor, "M N K"]:
        parts = [self.architecture.on_all(weights, part).log_softmax(2) for part in u.split(AT_ONCE)]
        return torch.cat(parts, 1)

    def of(self, weights: Weights) -> dict[str, float]:
        """Of networks whose gauge is fixed."""
        log_p = self.log_p(weights, self.held_out)
        numbers = measured(log_p, self.held_out_labels, weights, self.seed)
        numbers |= of_classes(log_p.exp().mean(0), self.held_out_labels)
        own = disagreement(log_p[:, :OUTSIDE])
        for name, x in self.outside.items():
            other = disagreement(self.log_p(weights, x))
            for score, key in (("H(y | x)", f"auroc_{name}"), ("disagreement", f"auroc_{name}_disagreement")):
                if len(weights) > 1 or score == "H(y | x)":
                    numbers[key] = auroc(own[score].numpy(), other[score].numpy())
        if pairs := len(weights) // 2:
            paths = straight(*(weights[: 2 * pairs].chunk(2)))[:8]
            along = losses(
                self.architecture, paths, self.held_out[:ON_PATHS], self.held_out_labels[:ON_PATHS]
            )
            numbers["path_ends_loss"] = float(along[:, [0, -1]].mean())
            numbers["path_straight_loss"] = float(along.amax(1).mean())
        return numbers

    def boundaries(self, weights: Mapping[str, Weights]) -> Figure:
        """Of points in the plane, standardised: where some networks of each kind change their mind."""
        grid, box = around(self.held_out)
        maps = {
            f"{len(of[:SHOWN])} {name} networks": named(self.architecture, of[:SHOWN], grid).numpy()
            for name, of in weights.items()
        }
        return boundaries(maps, self.held_out.numpy(), self.held_out_labels.numpy(), box)
