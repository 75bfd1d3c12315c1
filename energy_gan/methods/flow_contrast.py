"""Flow contrastive estimation: an energy and a flow play for one value.

The flow q is exact: its density and its samples x⁻ = G(z) are known. The energy has a density too,
log p(x) = −E(x) − c, its normaliser c learned like a weight. First the flow learns by likelihood, then, with
h = log p − log q,

    V = E[log σ(h(x⁺))] + E[log σ(−h(G(z)))]

    the energy     ascends    V                       noise contrast: at its optimum p is the data's law
    the constant   ascends    V                       at rates of its own
    the flow       descends   V                       through log q at data and samples, and through G(z)

At the best energy V is 2 JS(P_data ‖ P_flow) − log 4, and for any energy it is at most that. So V + log 4
says how much the energy tells: the flow moves while its running mean is above 0, and waits for the energy
where there is nothing to follow. A threshold on the share of points that are told right could not serve: of
a flow that is 0.04 nats from the data no energy tells more than 0.57 right.

Where the energy is made of the logits of classes, it ascends V and the likelihood of the labels there are.

Reference: Flow Contrastive Estimation of Energy-Based Models (Gao et al., 2020),
https://arxiv.org/abs/1912.00589, section 3.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from energy_gan.energies.base import stated
from energy_gan.generators.base import Generator
from energy_gan.methods.base import Learned, Method
from energy_gan.methods.fit_together import check_classes, check_contrast, check_taught
from energy_gan.methods.phases import class_terms
from energy_gan.methods.players import Player, Terms
from energy_gan.objectives import contrast
from energy_gan.optim.learns import Learns
from energy_gan.randomness import dequantised, gathered, rows
from energy_gan.shapes import Batch, Energies, Latents, Points

MEMORY = 0.05  # share of a step in the running mean of what the energy tells


class Ratios(NamedTuple):
    """log p + c − log q: of the data and of the flow's samples."""

    of_data: Energies
    of_samples: Energies


class Constant(nn.Module):
    """c, a weight that is estimated before it learns."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))
        self.register_buffer("begun", torch.tensor(False))

    @torch.no_grad()
    def begin(self, ratios: Energies) -> None:
        """c = log 1/n Σ exp(−E(xᵢ)) / q(xᵢ), xᵢ ~ q, the first time: of c = 0 experts would die."""
        if not self.begun:
            everyone = gathered(ratios)
            self.value.copy_(everyone.logsumexp(0) - math.log(len(everyone)))
            self.begun.fill_(True)


class FlowContrast(Method):
    """An energy with its constant, and a flow.

    Args:
        shape: of one point.
        energy: E, any module from (B, *shape) to (B,). One that tilts a flow takes over the generator's
            weights when it begins to learn.
        energy_learns: how E learns; not at all while the flow learns by likelihood, if its schedule says so.
        constant_learns: how c learns. Its curvature is at most ¼, so plain steps of 1 are stable.
        generator: the flow, whose density is known.
        generator_learns: how it learns, by likelihood and by contrast.
        likelihood_share: of the training steps, in which the flow learns by likelihood; from 0 to 1.
        contrast_every: training steps from one in which the flow may move by contrast to the next, at least
            1. A move through the samples costs as much as several of the energy's.
        shades: of the pixels of images, whose noise then fills them. None: no such noise.
        cross_entropy: the weight of that of the labelled points, at least 0. Above 0 the energy must have
            classes and the data labels.
        seed: with the step, it fixes every random number of training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        energy: nn.Module,
        energy_learns: Learns,
        constant_learns: Learns,
        generator: Generator,
        generator_learns: Learns,
        likelihood_share: float = 0.5,
        contrast_every: int = 1,
        shades: int | None = None,
        cross_entropy: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(shape, seed)
        self.energy, self.generator, self.constant = energy, generator, Constant()
        self.likelihood_share, self.shades, self.cross_entropy = likelihood_share, shades, cross_entropy
        self.by_likelihood, self.contrast_every = True, contrast_every
        self.register_buffer("told", torch.zeros(()))
        check_contrast(self)
        check_classes(self)
        self.players = [
            Player("generator", generator, self.generator_terms, generator_learns),
            Player("energy", energy, self.energy_terms, energy_learns),
            Player("constant", self.constant, self.constant_terms, constant_learns),
        ]

    def on_fit_start(self) -> None:
        check_taught(self, self.trainer.datamodule)
        super().on_fit_start()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        last = self.trainer.max_steps
        self.by_likelihood = last > 0 and self.step < self.likelihood_share * last

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        flow, energy, constant = self.players
        x = dequantised(batch.x, self.shades)
        for _ in energy.moves(self.step):
            ratios = self.ratios(x)
            self.descend(energy, {**energy.terms(ratios), **self.class_terms(x, batch)})
            for _ in constant.moves(self.step):
                self.descend(constant, constant.terms(ratios))
        for _ in flow.moves(self.step):
            if self.by_likelihood:
                self.descend(flow, self.likelihood_terms(x))
            elif self.step % self.contrast_every == 0 and self.told > 0:
                self.descend(flow, flow.terms(x))
        self.end_step()

    def likelihood_terms(self, x: Points) -> Terms:
        """The flow's first."""
        return {"negative_log_likelihood": -self.generator.log_prob(x).mean()}

    def ratios(self, x: Points) -> Ratios:
        """Differentiable in the energy."""
        if not self.constant.begun and (flow := stated(self.energy, "flow")) is not None:
            flow.load_state_dict(self.generator.state_dict())
        with torch.no_grad():
            samples, of_samples = self.generator.pushed(self.latents(x))
            log_density = torch.cat([self.generator.log_prob(x), of_samples])
        ratios = Ratios(*(-self.energy(torch.cat([x, samples])) - log_density).tensor_split([len(x)]))
        self.constant.begin(ratios.of_samples)
        return ratios

    def energy_terms(self, ratios: Ratios) -> Terms:
        """−V / 2; and what it tells is noted."""
        terms = contrast(*(ratio - self.constant.value.detach() for ratio in ratios))
        told = math.log(2) - sum(terms.values()).detach()
        self.told.lerp_(gathered(told[None]).mean(), MEMORY)
        right = [(ratio > self.constant.value).float().mean() for ratio in ratios]
        self.report({"told": told, "accuracy": (right[0] + 1 - right[1]) / 2})
        return terms

    def constant_terms(self, ratios: Ratios) -> Terms:
        """The same in c, from what the energy's move was made of."""
        terms = contrast(*(ratio.detach() - self.constant.value for ratio in ratios))
        return {"contrast_of_constant": sum(terms.values())}

    def generator_terms(self, x: Points) -> Terms:
        """V / 2, through log q and through the samples."""
        samples, of_samples = self.generator.pushed(self.latents(x))
        log_density = torch.cat([self.generator.log_prob(x), of_samples])
        ratios = -self.energy(torch.cat([x, samples])) - self.constant.value - log_density
        terms = contrast(*ratios.tensor_split([len(x)]))
        return {"value_at_data": -terms["positive_phase"], "value_at_samples": -terms["negative_phase"]}

    def class_terms(self, x: Points, batch: Batch) -> Terms:
        """Of those that come beside the batch, where few points have a label."""
        if batch.labelled is not None:
            batch = batch.labelled
            x = dequantised(batch.x, self.shades)
        return class_terms(self.energy, x, batch.labels, self.cross_entropy)

    def latents(self, x: Points) -> Latents:
        """As many as there are points."""
        return rows(len(x), lambda n: self.generator.prior.sample(n, device=x.device))

    @property
    def learned(self) -> Learned:
        return Learned(
            energy=self.energy,
            generator=self.generator,
            classes=stated(self.energy, "classes"),
            constant=self.constant.value.detach(),
            shades=self.shades,
        )
