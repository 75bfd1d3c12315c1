"""Sentences: are the samples like the text, and the text like the samples; what the latents keep of one.

    forward perplexity    of samples under a language model of the text trained on: are they fluent
    reverse perplexity    of held-out text under a language model of the samples: do they have all there is

Both models are `KneserNey`. The second one depends on how many samples it has, so beside it stands that of as
many sentences of the text itself.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.data.text import TextData
from energy_gan.inference.amortised import kl_to_normal, log_normal
from energy_gan.metrics.ngrams import KneserNey
from energy_gan.model import Model, evaluating
from energy_gan.randomness import random_generator
from energy_gan.reports.numbers import OF_SENTENCES, OF_TEXT
from energy_gan.reports.section import Section
from energy_gan.samplers.annealed_importance import NormalBase, anneal
from energy_gan.shapes import Energies
from energy_gan.vocabulary import ids_of, is_said

SHOWN, PATHS, STEPS = 20, 4, 7
HELD_OUT = 500  # sentences whose latents are looked at
DRAWS = 50  # latents of each, for its likelihood
AT_ONCE = 50  # sentences
CHAINS, TEMPERATURES = 1_000, 300  # that find log Z of a prior


class TextSamples(Section):
    """Perplexities in both directions, and how many of the samples are different ones."""

    needs = "text generator"
    numbers = OF_SENTENCES

    def prepare(self, data: TextData) -> None:
        self.data, self.size = data, len(data.vocabulary)

    @cached_property
    def of_text(self) -> KneserNey:
        return KneserNey(self.data.points, self.size)

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        numbers = {"forward_perplexity": self.of_text.perplexity(samples)}
        return numbers | self._reverse(samples) if full else numbers

    def of(self, model: Model, samples: Tensor) -> dict[str, float]:
        return {"forward_perplexity": self.of_text.perplexity(samples)} | self._reverse(samples)

    def _reverse(self, samples: Tensor) -> dict[str, float]:
        return {
            "reverse_perplexity": KneserNey(samples, self.size).perplexity(self.data.held_out),
            "unique_share": len(samples.unique(dim=0)) / len(samples),
        }

    def yardsticks(self) -> dict[str, dict[str, float]]:
        """Held-out text in the place of samples, and as many sentences of the text trained on."""
        order = torch.randperm(len(self.data.points), generator=random_generator(self.seed))
        some = self.data.points[order[: self.settings.n_samples]]
        fluent = {"forward_perplexity": self.of_text.perplexity(self.data.held_out)}
        return {f"{len(some):,} sentences of the text": fluent | self._reverse(some)}

    def texts(self, model: Model) -> dict[str, str]:
        lines = "".join(f"- {said}\n" for said in model.decode(model.sample(SHOWN, self.seed)))
        paths = model.interpolate(PATHS, STEPS, self.seed)
        return {"sentences": lines, "sentences_between_samples": listed(model, paths)}


class TextLatents(Section):
    """The likelihood of held-out sentences by weighted latents, and what comes back of them."""

    needs = "text generator inference"
    numbers = OF_TEXT

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return {}
        x = self.data.held_out[:HELD_OUT]
        made = model.reconstruct(x).points
        said = is_said(ids_of(x, len(self.data.vocabulary)))
        numbers = {"word_accuracy": float((made == x)[said].double().mean())}
        with torch.no_grad(), torch.random.fork_rng(), evaluating(model.method):
            torch.manual_seed(self.seed)
            parts = [self._weighted(model, part) for part in x.split(AT_ONCE)]
        if parts[0] is None:
            return numbers
        log_p, kl = (torch.cat(values) for values in zip(*parts, strict=True))
        log_z = log_normalizer(model, self.seed)
        return numbers | {
            "nll_per_word": float((log_z - log_p).sum() / said.sum()),
            "posterior_kl": float(kl.mean()),
        }

    @staticmethod
    def _weighted(model: Model, x: Float[Tensor, "B T"]) -> tuple[Energies, Energies] | None:
        """log 1/K Σₖ p(x, zₖ) / r(zₖ | x), zₖ ~ r(z | x), up to the prior's log Z; KL(r ‖ N(0, I))."""
        generator, x = model.learned.generator, x.to(model.method.shift.device)
        if (law := model.learned.inference.proposal(x)) is None:
            return None
        mean, log_std = (part.repeat_interleave(DRAWS, 0) for part in law)
        latent = mean + log_std.exp() * torch.randn_like(mean)
        log_joint = generator.log_joint(x.repeat_interleave(DRAWS, 0), latent)
        weights = log_joint - log_normal(latent, mean, log_std)
        log_p = weights.unflatten(0, (len(x), DRAWS)).logsumexp(1) - math.log(DRAWS)
        return log_p.cpu(), kl_to_normal(*law).cpu()

    def texts(self, model: Model) -> dict[str, str]:
        x = self.data.held_out[: max(SHOWN, 2 * PATHS)]
        pairs = zip(model.decode(x), model.decode(model.reconstruct(x).points), strict=True)
        first, last = x[: 2 * PATHS].unflatten(0, (-1, 2)).unbind(1)
        return {
            "reconstructions": "".join(f"- {given}\n  - {made}\n" for given, made in pairs),
            "sentences_between_held_out": listed(model, model.interpolate_between(first, last, STEPS)),
        }


def log_normalizer(model: Model, seed: int) -> float:
    """log Z of a prior that is an energy, by annealing to N(0, I) from its samples; 0 of N(0, I).

    It is above log Z on average, so that what is not known counts against the likelihood.
    """
    prior, rng = model.learned.generator.prior, random_generator(seed)
    if not prior.tilted:
        return 0.0
    start = prior.sample(CHAINS, rng, model.method.shift.device)
    base = NormalBase(start, std=1.0)
    return anneal(prior.potential, start, TEMPERATURES, reverse=True, base=base, rng=rng).log_normalizer


def listed(model: Model, paths: Float[Tensor, "n steps T"]) -> str:
    """Paths one below another, their sentences one below another."""
    lines: Sequence[str] = model.decode(paths.flatten(0, 1))
    steps = paths.shape[1]
    return "\n".join(
        "".join(f"{place}. {said}\n" for place, said in enumerate(lines[start : start + steps], 1))
        for start in range(0, len(lines), steps)
    )
