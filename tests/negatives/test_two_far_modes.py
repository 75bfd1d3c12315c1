"""Two modes ten standard deviations apart, of weights 1 to 3: which start and memory learn the weights.

The energy is −log Σ exp(θ) N(x; c, s²) over a lattice of centres c: it can hold the data's law, and a grid
tells the share of each mode exactly.
"""

import math
from functools import partial

import pytest
import torch

from energy_gan.methods.maximum_likelihood import MaximumLikelihood
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.memory import Buffer, NoMemory, WeightedChains
from energy_gan.negatives.starts import FromData, FromUniform
from energy_gan.optim.learns import Learns
from energy_gan.optim.schedules import cosine
from energy_gan.shapes import Batch

SHARE, HALF, STD = 0.25, 1.5, 0.3  # of the mode on the left; half the distance of both; of each


class Lattice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        centres = torch.cartesian_prod(torch.linspace(-2.1, 2.1, 15), torch.linspace(-0.9, 0.9, 7))
        self.register_buffer("centres", centres)
        self.heights = torch.nn.Parameter(torch.zeros(len(centres)))

    def forward(self, x):
        squares = (x[:, None] - self.centres).square().sum(2)
        return -torch.logsumexp(self.heights - squares / (2 * STD**2), 1)


def two_modes(n):
    x = STD * torch.randn(n, 2)
    x[:, 0] += torch.where(torch.rand(n) < SHARE, -HALF, HALF)
    return x


def error_of_the_share(start, memory, n_steps=4, steps=300):
    """(share of the left mode under exp(−E)) / (of the data) − 1."""
    torch.manual_seed(0)
    learns = Learns(partial(torch.optim.Adam, lr=0.05, betas=(0.5, 0.99)), cosine)
    negatives = ChainNegatives(start, memory, n_steps, step_size=0.02)
    method = MaximumLikelihood([2], Lattice(), learns, negatives)
    for step in range(steps):
        method.players[0].at(step / steps)
        method.training_step(Batch(two_modes(1024)), step)
    with torch.no_grad():
        grid = torch.cartesian_prod(torch.linspace(-4, 4, 160), torch.linspace(-3, 3, 121))
        shares = (-method.energy(grid)).softmax(0)
    return float(shares[grid[:, 0] < 0].sum()) / SHARE - 1


@pytest.mark.slow
def test_one_step_from_the_data_never_sees_the_other_mode():
    """CD-1: the negatives have the data's own shares whatever the energy says."""
    assert error_of_the_share(FromData(), NoMemory(1024), 1) > 0.5


@pytest.mark.slow
def test_restarts_do_not_bring_the_weights_either():
    """Chains that begin anew carry the shares of their start's basins, and nothing makes up for it."""
    assert abs(error_of_the_share(FromUniform(2.5), Buffer([2], 2048, 1024, fresh=0.05))) > 0.1


@pytest.mark.slow
def test_restarts_that_are_accepted_learn_the_weights():
    """As Metropolis proposals they leave exp(−E) as it is, and carry chains from mode to mode."""
    memory = Buffer([2], 2048, 1024, fresh=0.5, restarts="accepted")
    assert math.isclose(error_of_the_share(FromUniform(2.5), memory), 0.0, abs_tol=0.1)


@pytest.mark.slow
def test_weighted_chains_learn_the_weights():
    memory = WeightedChains([2], 4096, 1024)
    assert math.isclose(error_of_the_share(FromUniform(2.5), memory), 0.0, abs_tol=0.05)
