"""A map of normal latents as the generator of an energy that tilts its law."""

import math
from collections.abc import Sequence

from torch import nn

from energy_gan.generators.base import Generator
from energy_gan.generators.energy_prior import EnergyPrior
from energy_gan.generators.output_noise import Scale
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.transport import Transport
from energy_gan.shapes import Energies, Latents, Points


class Tilt(nn.Module):
    """f(g(z)), of an energy E(x) = f(x) − log q(x) with q the law of g(z), z ~ N(0, I)."""

    def __init__(self, shape: Sequence[int], energy: nn.Module, transport: Transport):
        super().__init__()
        self.shape, self.energy, self.transport = tuple(shape), energy, transport

    def forward(self, latent: Latents) -> Energies:
        return self.energy.over_base(self.transport.push(latent.unflatten(1, self.shape)))


class Transported(Generator):
    """x = g(z), z ~ exp(−f(g(z))) N(0, I) / Z: the energy's own law, see `energy_gan.samplers.transport`.

    Its network is the energy, whose base g is; nothing here has weights of its own.

    Args:
        shape: of one point.
        energy: E, with its `over_base` f.
        transport: g.
        chains: that take z from N(0, I) to there.
    """

    def __init__(self, shape: Sequence[int], energy: nn.Module, transport: Transport, chains: Chains):
        prior = EnergyPrior(Tilt(shape, energy, transport), math.prod(shape), chains)
        super().__init__(energy, prior)
        self.shape, self.transport = tuple(shape), transport
        self.training = energy.training

    def moments(self, latent: Latents) -> tuple[Points, Scale | None]:
        return self.transport.push(latent.unflatten(1, self.shape)), None

    def calibrate(self, n: int = 16_384, batch_size: int = 1_024, seed: int = 0) -> None:
        """Nothing: what the energy holds is for the energy to measure."""
