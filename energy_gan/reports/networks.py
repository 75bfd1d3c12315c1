"""Generated networks: each by itself, several together, and what lies between two of them."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.evaluation import evaluating
from energy_gan.generator_terms.nearest_neighbour_entropy import NearestNeighbourEntropy
from energy_gan.generators.architecture import Architecture, Weights
from energy_gan.generators.ensemble import Ensemble
from energy_gan.metrics.networks import SIZES, accuracies, measured
from energy_gan.model import Model
from energy_gan.objectives import cross_entropies
from energy_gan.reports import network_pictures
from energy_gan.reports.drawing import Box
from energy_gan.reports.numbers import NETWORKS
from energy_gan.reports.section import Section, Settings

BATCH, DURING, ON_PATHS = 1_000, 2_000, 2_000  # points
PATHS, STEPS = 8, 11
SHOWN, CELLS = 20, 200

Along = Float[Tensor, "P T"]


class Networks(Section):
    """Of those whose latents the run keeps, on held-out points with labels.

    Weights are compared after their gauge is fixed. Paths go between eight pairs of them: in a straight line
    of the weights, and along G of a path of latents; of each the highest loss counts, in the mean over the
    pairs.
    """

    needs = "networks labels"
    numbers = NETWORKS

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.term = NearestNeighbourEntropy(1, of_latent=True)

    def prepare(self, data: DataModule) -> None:
        self.data = data

    @torch.no_grad()
    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        labelled = self.data.held_out_labels >= 0
        labels = self.data.held_out_labels[labelled][: None if full else DURING]
        u = model.units.networks(self.data.held_out[labelled][: len(labels)])
        with evaluating(model.learned.networks) as networks:
            draw = networks.generator.draw(networks.latent)
            log_p = torch.cat([networks.by_network(part).cpu() for part in u.split(BATCH)], 1)
            numbers = measured(log_p, labels, draw.samples.cpu(), self.seed)
            numbers["network_entropy"] = float(self.term(networks.generator, draw, None))
            self.paths = losses_on_paths(networks, u[:ON_PATHS], labels[:ON_PATHS].to(u.device))
        self.singles = accuracies(log_p, labels)
        self.ensembles = {n: numbers[f"ensemble_{n}_accuracy"] for n in SIZES if n <= len(log_p)}
        self.ensembles |= {len(log_p): found["accuracy"]}
        ends = self.paths["straight"][:, [0, -1]].mean()
        highest = {f"path_{name}_loss": float(along.amax(1).mean()) for name, along in self.paths.items()}
        return numbers | {"path_ends_loss": float(ends)} | highest

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        paths = {name: along.numpy() for name, along in self.paths.items()}
        figures = {"networks": network_pictures.networks(self.singles.numpy(), self.ensembles, paths)}
        if self.data.shape == (2,):
            x, labels = self.data.held_out, self.data.held_out_labels
            grid, box = around(x)
            with torch.no_grad(), evaluating(model.learned.networks) as networks:
                weights = networks.generator(networks.latent[:SHOWN])
                maps = named(networks.generator.architecture, weights, model.units.networks(grid))
            figures["decision_boundaries"] = network_pictures.boundaries(
                {f"{len(maps)} generated networks": maps.numpy()}, x.numpy(), labels.numpy(), box
            )
        return figures


@torch.no_grad()
def losses_on_paths(networks: Ensemble, u: Tensor, labels: Tensor) -> dict[str, Along]:
    """The loss at equal steps between pairs of the networks, "latent" and "straight"."""
    generator, pairs = networks.generator, min(PATHS, len(networks.latent) // 2)
    first, last = networks.latent[: 2 * pairs].chunk(2)
    latent = generator.prior.interpolate(first, last, torch.linspace(0, 1, STEPS, device=u.device))
    paths = {
        "latent": generator(latent.flatten(0, 1)).unflatten(0, (-1, STEPS)),
        "straight": straight(generator(first), generator(last)),
    }
    return {name: losses(generator.architecture, path, u, labels) for name, path in paths.items()}


def straight(first: Weights, last: Weights) -> Float[Tensor, "N T P"]:
    """The weights at equal steps from each first one to its last."""
    t = torch.linspace(0, 1, STEPS, device=first.device)[:, None]
    return (1 - t) * first[:, None] + t * last[:, None]


@torch.no_grad()
def losses(architecture: Architecture, paths: Float[Tensor, "P T W"], u: Tensor, labels: Tensor) -> Along:
    """Of the networks along paths, −E[log p(y | x)] of the same points."""
    each = labels.expand(paths.shape[1], -1)
    return torch.stack([cross_entropies(architecture.on_all(path, u), each) for path in paths]).cpu()


def around(x: Float[Tensor, "N 2"]) -> tuple[Float[Tensor, "G 2"], Box]:
    """The cells of a grid around points, row by row from below, and its sides."""
    low, high = x.amin(0).tolist(), x.amax(0).tolist()
    across, up = (torch.linspace(*ends, CELLS) for ends in zip(low, high, strict=True))
    return torch.cartesian_prod(up, across).flip(1), (low[0], high[0], low[1], high[1])


@torch.no_grad()
def named(architecture: Architecture, weights: Weights, u: Tensor) -> Int[Tensor, "M H W"]:
    """The class that each network names in each cell of a grid, in the networks' units."""
    return architecture.on_all(weights, u).argmax(2).view(-1, CELLS, CELLS).cpu()
