"""The law of a generator's latents, where it is an energy: is it that of the latents that are inferred?

log Z is bracketed by annealing from N(0, I), forward and in reverse from the ends of the forward chains.
The cross-entropy of inferred latents, E[V(z)] + log Z by the greater of the two, stands beside that of a
mixture of normals that is fitted to latents inferred of training points.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace

import torch
from matplotlib.figure import Figure
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from energy_gan.generators.energy_prior import EnergyPrior
from energy_gan.metrics.yardsticks import KernelEstimate
from energy_gan.model import Model, evaluating
from energy_gan.numerics.ppca import evenly
from energy_gan.numerics.weights import ess
from energy_gan.randomness import random_generator
from energy_gan.reports import drawing
from energy_gan.reports.numbers import OF_LATENTS
from energy_gan.reports.section import Section
from energy_gan.samplers.annealed_importance import NormalBase, anneal

INFERRED, SAMPLED = 1_000, 1_000  # latents
WEIGHED = 100_000  # latents of N(0, I) for log Z
LONGER = 10  # times as many moves of the prior's chains
TEMPERATURES = 300
COMPONENTS, FITTED, EACH = 40, 10_000, 50  # of a mixture: most, latents it is fitted to, least of one
NUMBERS = 2**23  # that the points of these hold together at most, which bounds the cost
HALF, CELLS = 5.0, 200  # of the map of two latents


class LatentLaw(Section):
    """V(z) = −log p(z) − log Z of latents inferred of held-out points, of the prior's samples, and of chains
    ten times as long as those, which go elsewhere where chains are a law of their own.
    """

    needs = "generator inference tilted"
    numbers = OF_LATENTS

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return {}
        prior: EnergyPrior = model.learned.generator.prior
        with torch.no_grad(), evaluating(model.method):
            inferred, sampled = (float(prior.potential(z).mean()) for z in self._latents(model).values())
            mixture = self._mixture(model)
            chains = replace(prior.chains, n_steps=LONGER * prior.chains.n_steps)
            start = prior.base.sample(SAMPLED, random_generator(self.seed), model.method.shift.device)
            walk = chains.run(prior.potential, start, random_generator(self.seed, 1))
            longer = float(walk.state.energy.mean())
            weights = prior.log_weights(WEIGHED, random_generator(self.seed))
            low, high = self._bracket(prior, start)
        return {
            "prior_log_normalizer_low": low,
            "prior_log_normalizer_high": high,
            "prior_cross_entropy": inferred + max(low, high),
            "mixture_cross_entropy": mixture,
            "prior_log_normalizer": float(weights.logsumexp(0)),
            "prior_importance_ess": float(ess(weights)) / WEIGHED,
            "prior_energy_excess": sampled - inferred,
            "prior_energy_fall": sampled - longer,
        }

    def _latents(self, model: Model) -> dict[str, Tensor]:
        inferred = self._inferred(model, evenly(self.data.held_out, INFERRED))
        prior, device = model.learned.generator.prior, model.method.shift.device
        sampled = prior.sample(SAMPLED, random_generator(self.seed), device)
        return {"inferred of held-out data": inferred, "sampled from the prior": sampled}

    def _inferred(self, model: Model, x: Tensor) -> Tensor:
        u = self.data.standardise(x).to(model.method.shift.device)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            generator, infer = model.learned.generator, model.learned.inference
            return torch.cat([infer(generator, part).latent for part in u.split(INFERRED)])

    def _bracket(self, prior: EnergyPrior, like: Tensor) -> tuple[float, float]:
        """log Z forward, and in reverse from ends of those chains, chosen by their weights."""
        rng, base = random_generator(self.seed, 2), NormalBase(like, 1.0)
        forward = anneal(prior.potential, like, TEMPERATURES, base=base, rng=rng)
        chosen = forward.log_weights.softmax(0).cpu().multinomial(len(like), True, generator=rng)
        ends = forward.x[chosen.to(like.device)]
        reverse = anneal(prior.potential, ends, TEMPERATURES, reverse=True, base=base, rng=rng)
        return forward.log_normalizer, reverse.log_normalizer

    def _mixture(self, model: Model) -> float:
        """The cross-entropy of held-out points' latents, of a mixture fitted to those of training points."""
        some = evenly(self.data.points, min(FITTED, NUMBERS // model.dimension))
        fitted, held_out = (
            self._inferred(model, x).double().cpu().numpy()
            for x in (some, evenly(self.data.held_out, INFERRED))
        )
        n = max(1, min(COMPONENTS, len(fitted) // EACH))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # its likelihood hardly moves any more
            mixture = GaussianMixture(n, reg_covar=1e-5, random_state=self.seed).fit(fitted)
        return -float(mixture.score(held_out))

    @torch.no_grad()
    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        prior: EnergyPrior = model.learned.generator.prior
        with evaluating(model.method):
            latents = self._latents(model)
            found = {name: prior.potential(z).cpu().numpy() for name, z in latents.items()}
            figures = {"latent_energies": drawing.energy_histograms(found, "V(z) of latents")}
            if prior.latent_dim == 2:
                figures["latent_map"] = drawing.energy_map(
                    self._maps(prior, latents), (-HALF, HALF, -HALF, HALF)
                )
        return figures

    @staticmethod
    def _maps(prior: EnergyPrior, latents: Mapping[str, Tensor]) -> dict[str, drawing.Map]:
        """The prior's density, Z by the same grid, and kernel estimates of the latents."""
        line = torch.linspace(-HALF, HALF, CELLS)
        y, x = torch.meshgrid(line, line, indexing="ij")
        grid = torch.stack([x, y], -1).reshape(-1, 2)
        log_p = prior.log_prob(grid.to(next(iter(latents.values())).device)).cpu()
        log_z = log_p.logsumexp(0) + 2 * torch.log(line[1] - line[0])
        maps = {f"prior: −V(z) − log Z, log Z = {log_z:.2f}": log_p - log_z}
        maps |= {
            f"{name} (kernel estimate)": KernelEstimate(z.cpu()).log_prob(grid) for name, z in latents.items()
        }
        return {name: values.view(CELLS, CELLS).numpy() for name, values in maps.items()}
