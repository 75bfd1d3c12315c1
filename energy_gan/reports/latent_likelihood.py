"""The log-likelihood of held-out points under a model with latents, by `metrics/latent_likelihood.py`."""

from collections.abc import Mapping

import torch
from torch import Tensor

from energy_gan.generators.output_noise import add_noise
from energy_gan.inference.short_run import posterior_energy
from energy_gan.metrics.latent_likelihood import log_marginal
from energy_gan.model import Model, evaluating
from energy_gan.numerics.ppca import evenly
from energy_gan.randomness import random_generator
from energy_gan.reports.numbers import OF_LATENT_LIKELIHOOD
from energy_gan.reports.section import Section

N_POINTS, MADE, CHAINS = 64, 16, 4  # held out, of the model's own, chains of each
TRIED, STARTS = 200, 4  # latents of the prior, and the best of them, from which a mode is searched
NUMBERS = 2**18  # that all chains' points hold together at most, which bounds the cost;
DIRECTIONS = 2**22  # and those of all derivatives of a Hessian


class LatentLikelihood(Section):
    """log p(x) in nats a point, in the data's own units, from below and, in reverse, from above.

    The gap between both bounds is of points that the model has made, with known latents. Of a prior that is
    an energy log Z is part of it, the greater of what was found before.
    """

    needs = "generator inference likelihood"
    numbers = OF_LATENT_LIKELIHOOD

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return {}
        rng, latent_dim = random_generator(self.seed), model.learned.generator.prior.latent_dim
        most = NUMBERS // (CHAINS * model.dimension)
        most = max(4, min(most, DIRECTIONS // ((STARTS + 1) * model.dimension * latent_dim)))
        with torch.no_grad(), torch.random.fork_rng(), evaluating(model.method):
            torch.manual_seed(self.seed)  # of chains that infer
            generator, device = model.learned.generator, model.method.shift.device
            some = evenly(self.data.held_out, min(most, N_POINTS))
            held_out = self._bounds(model, self.data.standardise(some).to(device), None, rng)
            latent = generator.prior.sample(min(most, MADE), rng, device)
            made = self._bounds(model, add_noise(*generator.moments(latent), rng), latent, rng)
        # densities of u are those of x times the scale
        less = float(model.method.scale.log().sum()) + found.get("prior_log_normalizer_high", 0.0)
        return {
            "latent_log_likelihood": float(held_out.below.mean()) - less,
            "latent_log_likelihood_reverse": float(held_out.above.mean()) - less,
            "latent_log_likelihood_gap": float((made.above - made.below).mean()),
        }

    @staticmethod
    def _bounds(model: Model, u: Tensor, exact: Tensor | None, rng: torch.Generator):
        generator = model.learned.generator
        energy, inferred = posterior_energy(generator, u), model.learned.inference(generator, u).latent
        tried = generator.prior.sample(TRIED, rng, u.device)
        energies = torch.stack([energy(z.expand_as(inferred)) for z in tried])
        best = tried[energies.topk(STARTS, 0, largest=False).indices]
        start = torch.cat([inferred[None], best])
        return log_marginal(
            lambda x: posterior_energy(generator, x), u, start, exact, n_chains=CHAINS, rng=rng
        )
