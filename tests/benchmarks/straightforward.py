"""The alternating step as one would write it down: the same mathematics as the project's, nothing saved.

Both moves run the generator with its graph, the energy is trained on data and samples in two passes, and its
weights get gradients in the generator's move that nobody uses.
"""

import math

from torch import Tensor, nn
from torch.optim import Optimizer


class Straightforward:
    """The step of Kim & Bengio (2016), Eq. 7, 12, 13 and 15, on two modules.

    Args:
        energy, generator: x -> E(x) and z -> x.
        energy_optimizer, generator_optimizer: of their weights.
        entropy_weight: of Eq. 15.
    """

    def __init__(
        self,
        energy: nn.Module,
        generator: nn.Module,
        energy_optimizer: Optimizer,
        generator_optimizer: Optimizer,
        entropy_weight: float = 1.0,
    ):
        self.energy, self.generator, self.entropy_weight = energy, generator, entropy_weight
        self.energy_optimizer, self.generator_optimizer = energy_optimizer, generator_optimizer

    def energy_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return self.energy(x).mean() - self.energy(self.generator(z).detach()).mean()

    def generator_loss(self, z: Tensor) -> Tensor:
        norms = [m for m in self.generator.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        entropy = sum((0.5 * (2 * math.pi * math.e * m.weight**2).log()).sum() for m in norms)
        return self.energy(self.generator(z)).mean() - self.entropy_weight * entropy

    def step(self, x: Tensor, z: Tensor) -> None:
        self.energy_optimizer.zero_grad()
        self.energy_loss(x, z).backward()
        self.energy_optimizer.step()
        self.generator_optimizer.zero_grad()
        self.generator_loss(z).backward()
        self.generator_optimizer.step()
