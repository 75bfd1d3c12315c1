"""Negatives with exactly known weights: importance sampling from the generator's batch."""

import math
from collections.abc import Callable

import torch

from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.mixture import log_mixture
from energy_gan.negatives.base import Negatives, NegativeSampler
from energy_gan.negatives.density import DensityNegatives
from energy_gan.shapes import Energies, Points


class ImportanceNegatives(NegativeSampler):
    """The generator's samples and a few from a wide normal, weighted by the density of both together.

        Ẑ = 1/n Σᵢ exp(−E(xᵢ)) / q̂(xᵢ),   q̂ = (1 − a) · mixture of the batch + a · N(0, std² I)

    Each x is one draw of one component of q̂, so Ẑ has mean Z whatever the generator does (the balance
    heuristic): a wrong generator costs variance and never pulls the energy away from the data's
    likelihood. The wide normal finds what the generator does not reach, and bounds the weights.

    Reference: Optimally combining sampling techniques for Monte Carlo rendering (Veach & Guibas, 1995),
    https://doi.org/10.1145/218380.218498.

    Args:
        wide: how many draws of the wide normal, at least 0.
        wide_std: its standard deviation in standardised units, positive; above 1.
    """

    needs_generator = True

    def __init__(self, wide: int = 64, wide_std: float = 1.6):
        super().__init__()
        if wide < 0 or not wide_std > 0:
            raise ValueError(f"wide must be at least 0 and wide_std positive, got {wide} and {wide_std}")
        self.wide, self.wide_std = wide, wide_std

    @torch.no_grad()
    def forward(self, energy: Callable[[Points], Energies], draw: Draw, x: Points) -> Negatives:
        far = self.wide_std * torch.randn_like(draw.samples[:1].expand(self.wide, *draw.samples.shape[1:]))
        samples = torch.cat([draw.samples.detach(), far])
        log_densities = log_mixture(samples, draw)
        if self.wide:
            share = torch.tensor(self.wide / len(samples)).to(log_densities)
            log_densities = torch.logaddexp(
                (1 - share).log() + log_densities, share.log() + self._log_wide(samples)
            )
        return Negatives(samples, -log_densities - math.log(len(samples)))

    def _log_wide(self, x: Points) -> Energies:
        x = x.flatten(1) / self.wide_std
        constant = x.shape[1] * math.log(self.wide_std * math.sqrt(2 * math.pi))
        return -0.5 * x.square().sum(1) - constant


@torch.no_grad()
def weighted_samples(
    energy: Callable[[Points], Energies],
    generator: Generator,
    n: int,
    n_batch: int,
    device: torch.device | str = "cpu",
) -> Negatives | None:
    """At least n samples with log weights, batch by batch; None where no density of the generator is known.

    Of a flow they are weighted by its own density; else by that of each batch, with a seventh of a wide
    normal among them.
    """
    if not generator.has_density:
        return None
    wide = 0 if generator.knows_density else n_batch // 7
    sampler = DensityNegatives() if generator.knows_density else ImportanceNegatives(wide)
    parts = []
    for _ in range(-(-n // n_batch)):
        draw = generator.draw(generator.prior.sample(n_batch - wide, device=device))
        parts.append(sampler(energy, draw, draw.samples))
    log_weights = torch.cat([part.log_weights for part in parts]) - math.log(len(parts))
    return Negatives(torch.cat([part.samples for part in parts]), log_weights)
