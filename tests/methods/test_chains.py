"""Laws of energies that learn by their own chains."""

import math

import pytest
import torch

from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.memory import PersistentChains
from energy_gan.negatives.starts import FromUniform
from energy_gan.objectives import maximum_likelihood
from energy_gan.samplers.langevin import Langevin
from energy_gan.samplers.mala import MALA

STD, STEP_SIZE = 0.15, 0.125**2 / 2  # those of the anatomy's toys


class Normal(torch.nn.Module):
    """E(x) = ‖x‖² / 2σ², σ learned."""

    def __init__(self):
        super().__init__()
        self.log_std = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x.square().sum(1) / (2 * (2 * self.log_std).exp())


def learned_std(kernel):
    torch.manual_seed(0)
    energy, x = Normal(), STD * torch.randn(1000, 2)
    x *= STD / x.square().mean().sqrt()
    chains = ChainNegatives(FromUniform(), PersistentChains([2], 1000, 1000), 3, STEP_SIZE, kernel=kernel)
    optimizer = torch.optim.Adam(energy.parameters(), 0.05, betas=(0.5, 0.99))
    late = []
    for step in range(200):
        negatives = chains(energy, None, x)
        terms = maximum_likelihood(energy(x), negatives._replace(energies=energy(negatives.samples)))
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 200)
        optimizer.step()
        late.append(energy.log_std.exp().item())
    return sum(late[-80:]) / 80


@pytest.mark.parametrize("kernel", [Langevin(), MALA()])
def test_chains_that_refuse_nothing_learn_too_narrow_an_energy(kernel):
    """Their variance σ² / (1 − ε / 2σ²) is the data's s² where σ² = (s² + √(s⁴ − 2 s² ε)) / 2: σ = 0.132.

    So KL(data ‖ E) is (s² / σ² − 1 − log(s² / σ²)) / 2 in a dimension, 0.035 in the plane. MALA is exact.
    """
    variance = (STD**2 + math.sqrt(STD**4 - 2 * STD**2 * STEP_SIZE)) / 2
    assert math.sqrt(variance) == pytest.approx(0.132, abs=0.0005)
    ratio = STD**2 / variance
    assert ratio - 1 - math.log(ratio) == pytest.approx(0.035, abs=0.001)
    expected = STD if isinstance(kernel, MALA) else math.sqrt(variance)
    assert learned_std(kernel) == pytest.approx(expected, rel=0.03)
