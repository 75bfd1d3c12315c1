"""A normalising flow as the energy."""

import torch

from energy_gan.generators.flow import FlowGenerator
from energy_gan.shapes import Energies, Points


class FlowEnergy(torch.nn.Module):
    """E(x) = −log q(x) of a flow: an energy whose Z is 1, the yardstick for energies whose Z is not known."""

    integrable = normalised = True

    def __init__(self, flow: FlowGenerator):
        super().__init__()
        self.flow = flow

    def forward(self, x: Points) -> Energies:
        return -self.flow.log_prob(x)
