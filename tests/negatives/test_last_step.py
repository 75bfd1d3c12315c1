"""Laws of what a walk's last step adds to an energy's gradient."""

import math
from functools import partial

import pytest
import torch

from energy_gan.energies.experts import LinearExperts, ProductOfExperts
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.generator_terms.nearest_neighbour_entropy import NearestNeighbourEntropy
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.priors import NormalPrior
from energy_gan.methods.maximum_likelihood import MaximumLikelihood
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.grid import GridNegatives
from energy_gan.negatives.last_step import ThroughLastStep
from energy_gan.negatives.memory import Buffer, NoMemory
from energy_gan.negatives.starts import FromData, FromNoise
from energy_gan.numerics.neighbours import log_distances
from energy_gan.optim.learns import Learns
from energy_gan.samplers.langevin import Langevin

LEARNS = Learns(partial(torch.optim.SGD, lr=0.1))
STEP_SIZE = 0.05


def small_energy():
    torch.manual_seed(0)
    features = MLPFeatures([2], hidden=[5], last_activation="silu")
    return ProductOfExperts([2], features, 3, LinearExperts, linear=False).double()


def walked(energy, bounds=None):
    """Negatives of a buffer after two steps, with their energies, and the noise of the last step."""
    kernel = Langevin(bounds=bounds)
    source = ChainNegatives(FromNoise(), Buffer([2], 40, 8), 2, STEP_SIZE, kernel=kernel).double()
    negatives = source(energy, None, torch.zeros(1, 2, dtype=torch.float64))
    negatives = negatives._replace(energies=energy(negatives.samples).detach(), step_size=STEP_SIZE)
    return source, negatives


@pytest.mark.parametrize("bounds", [None, [-0.8, 0.8]])
def test_the_gradient_is_that_of_finite_differences(bounds):
    """Of E₀(x_K(θ)) − w log min_j ‖x_K(θ) − b_j‖, x_K(θ) written out with the noise that was drawn."""
    energy = small_energy()
    source, negatives = walked(energy, bounds)
    held = small_energy()
    term = ThroughLastStep(weight=0.7, entropy_weight=0.3, neighbours=40, temperature=0.5, bounds=bounds)
    weights = list(energy.parameters())
    gradient = torch.autograd.grad(
        sum(term.terms(energy, negatives, source).values()), weights, allow_unused=True
    )
    moving = energy.score(negatives.before) * STEP_SIZE
    noise = negatives.samples - negatives.before - moving
    inside = torch.ones_like(noise, dtype=torch.bool)
    if bounds is not None:
        inside = negatives.samples.abs() < 0.8
        assert 0 < inside.sum() < inside.numel(), "the test can tell"
    others = source.memory.places
    others = others[~(others[:, None] == negatives.samples).all(2).any(1)]
    assert len(others) == 32

    def loss():
        x = negatives.before + STEP_SIZE * energy.score(negatives.before) + noise
        x = torch.where(inside, x, negatives.samples)
        log_nearest = torch.cdist(x, others).amin(1).log()
        return 0.7 * (held(x).mean() - 0.3 / 0.5 * log_nearest.mean())

    for weight, slope in zip(weights, gradient, strict=True):
        for i in range(min(4, weight.numel())):
            place = weight.data.view(-1)
            before, differences = place[i].item(), []
            for sign in (1, -1):
                place[i] = before + sign * 1e-5
                differences.append(loss())
            place[i] = before
            expected = float((differences[0] - differences[1]).detach()) / 2e-5
            found = 0.0 if slope is None else float(slope.view(-1)[i])
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_its_value_is_the_energy_of_the_walks_end():
    energy = small_energy()
    source, negatives = walked(energy)
    terms = ThroughLastStep(entropy_weight=0.0).terms(energy, negatives, source)
    assert list(terms) == ["last_step"]
    torch.testing.assert_close(terms["last_step"].detach(), negatives.energies.mean())


def test_the_entropy_is_that_of_nearest_neighbours_but_for_constants():
    """Among its own samples it is the k = 1 estimate; among others, of as many, H within its error."""
    torch.manual_seed(0)
    x, others = 2 * torch.randn(2, 1500, 3, dtype=torch.float64)
    estimate = NearestNeighbourEntropy(1)(Generator(torch.nn.Identity(), NormalPrior(3)), Draw(x, x, x), None)
    log_ball = math.log(4 * math.pi / 3)
    digamma = torch.digamma(torch.tensor([1500.0, 1.0], dtype=torch.float64)).tolist()
    constants = digamma[0] - digamma[1] + log_ball
    torch.testing.assert_close(3 * log_distances(x).mean() + constants, estimate)
    exact = 1.5 * math.log(2 * math.pi * math.e * 4)
    found = 3 * float(log_distances(x, others=others).mean()) + constants
    assert found == pytest.approx(exact, abs=0.15)


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        (
            lambda: GridNegatives(cells=8, reach=2.0),
            "needs negatives that chains have moved",
        ),
        (lambda: ChainNegatives(FromData(), NoMemory(4)), "entropy_weight needs chains that a memory keeps"),
    ],
)
def test_it_is_refused_where_there_is_no_walk_or_none_that_is_kept(negatives, message):
    with pytest.raises(ValueError, match=message):
        MaximumLikelihood(
            [2], small_energy().float(), LEARNS, negatives(), through_last_step=ThroughLastStep()
        )


def test_impossible_settings_are_refused():
    for settings in ({"weight": -1.0}, {"neighbours": 0}, {"temperature": 0.0}):
        with pytest.raises(ValueError, match="must"):
            ThroughLastStep(**settings)
