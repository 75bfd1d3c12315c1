"""A normalising flow as the energy, and as what an energy tilts."""

from torch import nn

from energy_gan.energies.base import Energy, stated
from energy_gan.generators.base import Generator
from energy_gan.shapes import Energies, Points


class FlowEnergy(nn.Module):
    """E(x) = −log q(x) of a flow: an energy whose Z is 1, the yardstick for energies whose Z is not known."""

    integrable = normalised = True

    def __init__(self, flow: Generator):
        super().__init__()
        self.flow = flow

    def forward(self, x: Points) -> Energies:
        return -self.flow.log_prob(x)


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
