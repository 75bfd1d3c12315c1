"""Generated networks: each by itself, several together, and what lies between two of them."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from energy_gan.data.base import DataModule
from energy_gan.evaluation import evaluating
from energy_gan.generator_terms.nearest_neighbour_entropy import NearestNeighbourEntropy
from energy_gan.generators.ensemble import Ensemble
from energy_gan.metrics.networks import SIZES, accuracies, measured
from energy_gan.model import Model
from energy_gan.reports import network_pictures
from energy_gan.reports.numbers import NETWORKS
from energy_gan.reports.section import Section, Settings

BATCH, DURING, ON_PATHS = 1_000, 2_000, 2_000  # points
PATHS, STEPS = 8, 11
SHOWN, CELLS = 20, 200


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
            maps, box = named_on_grid(model.learned.networks, model, x)
            figures["decision_boundaries"] = network_pictures.boundaries(
                {f"{len(maps)} generated networks": maps.numpy()}, x.numpy(), labels.numpy(), box
            )
        return figures


@torch.no_grad()
def losses_on_paths(networks: Ensemble, u: Tensor, labels: Tensor) -> dict[str, Float[Tensor, "P T"]]:
    """The loss at equal steps between pairs of the networks, "straight" and "latent"."""
    t = torch.linspace(0, 1, STEPS, device=u.device)
    pairs = min(PATHS, len(networks.latent) // 2)
    first, last = networks.latent[: 2 * pairs].chunk(2)
    latent = networks.generator.prior.interpolate(first, last, t).flatten(0, 1)
    ends = networks.generator(first)[:, None], networks.generator(last)[:, None]
    straight = ((1 - t[:, None]) * ends[0] + t[:, None] * ends[1]).flatten(0, 1)
    found = {}
    for name, weights in {"latent": networks.generator(latent), "straight": straight}.items():
        logits = [networks.generator.architecture.on_all(some, u) for some in weights.split(STEPS)]
        losses = [F.cross_entropy(of[0], labels) for some in logits for of in some.split(1)]
        found[name] = torch.stack(losses).view(-1, STEPS).cpu()
    return found


@torch.no_grad()
def named_on_grid(
    networks: Ensemble, model: Model, x: Float[Tensor, "N 2"]
) -> tuple[Tensor, network_pictures.Box]:
    """The class that each of some networks names in each cell around the points, and the grid's corners."""
    low, high = x.amin(0), x.amax(0)
    axes = [torch.linspace(float(a), float(b), CELLS) for a, b in zip(low, high, strict=True)]
    grid = torch.cartesian_prod(axes[1], axes[0]).flip(1)
    with evaluating(networks):
        log_p = networks.by_network(model.units.networks(grid), networks.latent[:SHOWN])
    box = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    return log_p.argmax(2).view(-1, CELLS, CELLS).cpu(), box
