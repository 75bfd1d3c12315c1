"""Is an energy that learned by its own chains a density, or does it only drive its own walk? In one line.

anatomy_…            the diagnostics of training's last 2,000 steps, by `energy_gan.metrics.anatomy`
long_chains_data     where chains of training's kernel come to that start at held-out points
long_chains_noise    and at N(0, I): the change of the mean energy from the data's, in its standard deviations
long_chains_kl       KL of their law to the energy's, in the plane, from at least 20,000 samples
mixing_…             how those from held-out points mix, by `energy_gan.reports.mixing`

Chains in the latents of a base are told by the energy that they have there.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.images import viewable
from energy_gan.metrics.alignment import block_divergence
from energy_gan.metrics.anatomy import Anatomy, failed
from energy_gan.model import Model, evaluating
from energy_gan.numerics.quadrature import Grid
from energy_gan.reports import drawing
from energy_gan.reports.chains import as_trained
from energy_gan.reports.mixing import OF_POINTS, WATCHED, among_points, measured
from energy_gan.reports.numbers import ANATOMY, MIXING
from energy_gan.reports.section import Section
from energy_gan.samplers.base import normal_like
from energy_gan.samplers.transport import Space

IN_PLANE, ELSEWHERE = 2_500, 64  # chains from each start
SHOWN = 16  # images of a kind
SNAPSHOTS = 4  # of each chain in the plane, so that 20,000 samples tell 0.01 nats


class Convergence(Section):
    """The diagnostics of training, and long chains from held-out points and from noise after it."""

    needs = "energy chains points"
    numbers = (*ANATOMY, *MIXING)
    anatomy: Anatomy | None = None

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return {}
        walked = model.learned.walked
        self.anatomy, self.along, self.steps = Anatomy.of(walked.trace.cpu()), {}, self.settings.chain_steps
        self.walks = {}
        in_plane = self.data.shape == (2,)
        rng, n = torch.Generator().manual_seed(self.seed), IN_PLANE if in_plane else ELSEWHERE
        data = as_trained(self.data.held_out, self.data, model, rng)
        long, ends = replace(walked.chains, n_steps=self.steps, target=None), []
        with evaluating(model.learned.energy) as energy, torch.no_grad():
            space = walked.space(energy)
            there = space.pull(data[:10_000])
            self.level = space.energy(there).cpu()
            spread = float(self.level.std())
            numbers = self.anatomy.numbers() | {"energy_spread": spread}
            for start, z in {"data": there[:n], "noise": normal_like(there[:n], rng)}.items():
                energies, watched = [], []
                for k, step in enumerate(long.walk(space.energy, z, rng), 1):
                    energies.append(step.state.energy.cpu())
                    watched.append(step.state.x[:WATCHED])
                    if k % max(1, self.steps // 10) == 0 and k > self.steps * (1 - SNAPSHOTS / 10):
                        ends.append(space.push(step.state.x))
                self.along[start] = torch.stack(energies, 1)
                self.walks[start] = space.push(z[:SHOWN]), space.push(step.state.x[:SHOWN])
                numbers[f"long_chains_{start}"] = float(energies[-1].mean() - self.level.mean()) / spread
                if start == "data":
                    x = torch.stack([space.push(places) for places in watched])
                    numbers |= measured(model, self.data, x, self.along[start][:WATCHED].T, data)
            if in_plane:
                numbers["long_chains_kl"] = self._divergence(energy, data, torch.cat(ends))
            if walked.space is not Space:
                walk = among_points(walked, energy, data[:WATCHED], self.steps, rng)
                beside = measured(model, self.data, *walk, data)
                numbers |= {name + OF_POINTS: value for name, value in beside.items()}
            self.some = space.push(walked.some(SHOWN)) if len(walked.some(1)) else walked.some(1)
        return numbers | {"failed_tests": float(len(failed(numbers, spread)))}

    @staticmethod
    def _divergence(energy, data: Tensor, ends: Tensor) -> float:
        margin = (data.amax(0) - data.amin(0)) / 8
        grid = Grid(data.amin(0) - margin, data.amax(0) + margin, (64, 64), (6, 6), reach=3.0)
        return float(block_divergence(grid, grid.log_masses(lambda x: -energy(x)), ends))

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        if self.anatomy is None:
            return {}
        along = {name: energies.numpy() for name, energies in self.along.items()}
        level = float(self.level.mean()), float(self.level.std())
        return {
            "anatomy": drawing.anatomy(
                *(part.numpy() for part in self.anatomy), self.anatomy.correlations(), along, *level
            )
        }

    def verdict(self, numbers: Mapping[str, float]) -> str:
        if "energy_spread" not in numbers:
            return ""
        fails = failed(numbers, numbers["energy_spread"])
        if fails:
            return f"non-convergent: {', '.join(fails)}"
        return f"convergent: {self.steps} steps of its own chains, from data and from noise, keep its law"


class ImageConvergence(Convergence):
    """The same of images, and where the chains are."""

    needs = "energy chains images"

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        if self.anatomy is None:
            return {}
        rows = {"chains of training": self.some}
        for start, (begin, end) in self.walks.items():
            rows |= {f"from {start}": begin, f"after {self.steps:,} steps from {start}": end}
        pictures = {
            name: viewable(model.units.own(u[:SHOWN])).clamp(0, 1).numpy()
            for name, u in rows.items()
            if len(u)
        }
        return super().figures(model, sets) | {"long_chains": drawing.images(pictures)}
