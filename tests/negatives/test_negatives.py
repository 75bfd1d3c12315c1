"""Laws of the negatives: unbiased normalisers, weights that make up for what chains miss."""

import math

import pytest
import torch

from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.output_noise import FixedNoise
from energy_gan.generators.priors import NormalPrior
from energy_gan.negatives.base import ess, systematic
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.importance import ImportanceNegatives
from energy_gan.samplers.langevin import Langevin

X = torch.zeros(1, 2)  # the data, which none of these looks at


def energy_at(mean, std=1.0):
    """Of N(mean, std²) in the plane: log Z = log 2π std²."""
    return lambda x: 0.5 * ((x - mean) / std).square().sum(1)


@pytest.fixture
def generator():
    """A generator far from right: N(0.7, …) in the plane, with noise of 0.3."""
    network = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(network.bias, 0.7)
    torch.nn.init.constant_(network.weight, 0.4)
    return Generator(network, NormalPrior(2), FixedNoise(start=0.3, end=0.3))


@pytest.mark.parametrize("wide", [16, 64])
def test_the_normaliser_is_unbiased_whatever_the_generator_does(generator, wide):
    torch.manual_seed(0)
    negatives, energy = ImportanceNegatives(wide, wide_std=1.6), energy_at(-0.5)
    estimates = []
    for _ in range(400):
        x, log_weights, *_ = negatives(energy, generator.draw(generator.prior.sample(64)), X)
        estimates.append((log_weights - energy(x)).logsumexp(0).exp())
    estimates = torch.stack(estimates)
    error = estimates.std() / len(estimates) ** 0.5
    assert error < 0.02 * 2 * math.pi, "the test can tell"
    assert abs(estimates.mean() - 2 * math.pi) < 3 * error


def test_known_weights_need_output_noise():
    generator = Generator(torch.nn.Linear(2, 2), NormalPrior(2))
    with pytest.raises(InputError, match=r"give method\.generator\.noise"):
        ImportanceNegatives()(energy_at(0.0), generator.draw(generator.prior.sample(8)), X)


def moving(chains, generator, steps=30):
    """The chains' mean, and their log Z, when the energy's mean goes from 0 to 1.5 faster than they can."""
    torch.manual_seed(0)
    with torch.no_grad():
        for step in range(steps + 1):
            energy = energy_at(1.5 * step / steps)
            draw = generator.draw(generator.prior.sample(64)) if generator else None
            x, log_weights, *_ = chains(energy, draw, X)
    energies = energy(x)
    if log_weights is None:
        return x.mean(), None
    log_terms = log_weights - energies
    return log_terms.softmax(0) @ x.mean(1), float(log_terms.logsumexp(0))


@pytest.mark.parametrize("seeded", [True, False])
def test_weighted_chains_keep_up_with_an_energy_that_runs_ahead(generator, seeded):
    slow = {"chains": 6000, "moved": 4000, "n_steps": 1, "step_size": 0.01, "target": None}
    mean, log_normalizer = moving(ChainNegatives([2], **slow), generator if seeded else None)
    assert mean.item() == pytest.approx(1.5, abs=0.12)
    assert log_normalizer == pytest.approx(math.log(2 * math.pi), abs=0.12)
    lagging, _ = moving(ChainNegatives([2], weighted=False, **slow), generator if seeded else None)
    assert lagging < 1.2, "without weights they lag, so that the test can tell"


def test_chains_go_on_where_their_buffers_left_them(generator):
    draws = [generator.draw(generator.prior.sample(32)) for _ in range(4)]

    def go_on(chains, some):
        torch.manual_seed(5)
        return [chains(energy_at(0.3), draw, X) for draw in some][-1]

    chains = ChainNegatives([2], chains=64, moved=16, n_steps=2)
    go_on(chains, draws[:2])
    again = ChainNegatives([2], chains=64, moved=16, n_steps=2)
    again.load_state_dict(chains.state_dict())
    for ours, theirs in zip(go_on(chains, draws[2:]), go_on(again, draws[2:]), strict=True):
        assert (ours is None and theirs is None) or torch.equal(ours, theirs)


def test_a_step_moves_only_the_chosen_chains(generator):
    chains = ChainNegatives([2], chains=64, moved=16, n_steps=3)
    draw = generator.draw(generator.prior.sample(32))
    chains(energy_at(0.0), draw, X)
    before = chains.places.clone()
    x, *_ = chains(energy_at(0.0), draw, X)
    moved = (chains.places != before).any(1)
    assert 0 < moved.sum() <= 16
    assert x.shape == (16, 2)


def test_a_lost_chain_starts_anew_and_the_others_go_on(generator):
    """Its weight is on the scale of the others: log Z is still right."""
    narrow = energy_at(0.7, 0.25)
    chains = ChainNegatives([2], chains=4096, moved=64, n_steps=3)
    draw = generator.draw(generator.prior.sample(1024))
    chains(narrow, draw, X)
    before = chains.places.clone()
    chains.places[:2000] = torch.tensor([torch.nan, 0.0])
    chains.energies[2000] = torch.inf
    chains(narrow, draw, X)
    assert chains.places.isfinite().all()
    assert (chains.places != before).any(1)[2001:].sum() <= 64
    log_normalizer = chains.log_weights.logsumexp(0) - math.log(4096)
    assert log_normalizer.item() == pytest.approx(math.log(2 * math.pi * 0.25**2), abs=0.05)


def test_another_kernel_may_move_them():
    chains = ChainNegatives([2], 32, 32, weighted=False, target=None, kernel=Langevin())
    assert chains(energy_at(0.0), None, X).log_weights is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"moved": 99, "chains": 10}, "moved must be 1 to chains=10, got 99"),
        ({"least_ess": 1.5}, "least_ess must be a share from 0 to 1, got 1.5"),
        ({"n_steps": 0}, "n_steps must be at least 1"),
    ],
)
def test_impossible_chains_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ChainNegatives([2], **settings)


def test_systematic_resampling_rounds_each_share_up_or_down():
    shares = torch.rand(40, generator=torch.Generator().manual_seed(0)).softmax(0)
    counts = torch.bincount(systematic(shares, 1000), minlength=40)
    assert counts.sum() == 1000
    assert ((counts - 1000 * shares).abs() < 1).all()


def test_the_effective_number_of_samples():
    assert ess(torch.zeros(10)).item() == pytest.approx(10)
    assert ess(torch.tensor([0.0, -100.0, -100.0])).item() == pytest.approx(1)
    assert ess(torch.log(torch.tensor([3.0, 1.0]))).item() == pytest.approx(16 / 10)
