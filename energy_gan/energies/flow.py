"""A normalising flow as the energy, as the base of one, and as what an energy tilts."""

import torch
from torch import nn

from energy_gan.energies.base import Base, Energy, stated
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


class FlowTilt(Energy):
    """E(x) = −log q(x) + T(x), a flow that stays as it was taken over and what it lacks.

    A network of its own would have to learn all that a flow of images knows; T learns the difference.

    Args:
        flow: q, of the form of the generator beside it, whose weights it takes over.
        tilt: T, any module from (B, *shape) to (B,); Z is finite where it says that it is `bounded`.
    """

    def __init__(self, flow: Generator, tilt: nn.Module):
        super().__init__()
        self.flow, self.tilt = flow.requires_grad_(False), tilt

    @property
    def integrable(self) -> bool:
        return getattr(stated(self.tilt, "features"), "bounded", False)

    @property
    def classes(self) -> nn.Module | None:
        """The logits that T is made of, where it is: p(x, y) ∝ q(x) exp(f_y(x))."""
        return stated(self.tilt, "classes")

    def forward(self, x: Points) -> Energies:
        return self.tilt(x) - self.flow.log_prob(x)
