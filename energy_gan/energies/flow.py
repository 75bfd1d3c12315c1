"""A normalising flow as the energy, or as the base of one."""

import torch

from energy_gan.energies.base import Base
from energy_gan.generators.base import Generator
from energy_gan.samplers.transport import Transport
from energy_gan.shapes import Energies, Points

AT_ONCE = 16_384  # samples


class FlowEnergy(Base):
    """E(x) = −log q(x) of a flow: an energy whose Z is 1, the yardstick for energies whose Z is not known.

    As the quadratic term of an energy it is a base that knows the map from N(0, I) to its samples.

    Args:
        flow: a generator that knows its density, of as many latents as a point has numbers.
    """

    def __init__(self, flow: Generator):
        super().__init__()
        if not flow.knows_density:
            raise ValueError(
                "a base needs a density that is known exactly, a FlowGenerator, and this "
                f"{type(flow).__name__} has none"
            )
        self.flow = flow

    def forward(self, x: Points) -> Energies:
        return -self.flow.log_prob(x)

    def sample(self, n: int, rng: torch.Generator | None = None) -> Points:
        latents = self.flow.prior.sample(n, rng).to(next(self.flow.parameters()).device)
        return torch.cat([self.flow(z) for z in latents.split(AT_ONCE)])

    @property
    def transport(self) -> Transport:
        flow = self.flow
        return Transport(lambda z: flow(z.flatten(1)), lambda x: flow.latent_of(x).view_as(x))
