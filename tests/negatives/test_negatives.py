"""Laws of the negatives: unbiased normalisers, weights that make up for what chains miss."""

import math

import pytest
import torch

from energy_gan.errors import InputError
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.flow import FlowGenerator
from energy_gan.generators.mixture import log_mixture
from energy_gan.generators.output_noise import FixedNoise
from energy_gan.generators.priors import NormalPrior
from energy_gan.negatives.chains import TRACED, ChainNegatives
from energy_gan.negatives.importance import ImportanceNegatives, weighted_samples
from energy_gan.negatives.memory import Buffer, NoMemory, PersistentChains, Taken, WeightedChains
from energy_gan.negatives.starts import FromData, FromGenerator, FromNoise, FromUniform
from energy_gan.numerics.weights import ess, systematic
from energy_gan.samplers.base import init
from energy_gan.samplers.chains import Chains
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


@pytest.mark.parametrize("start", [FromGenerator(), FromNoise(), FromUniform(4.0)])
def test_weighted_chains_keep_up_with_an_energy_that_runs_ahead(generator, start):
    slow = {"n_steps": 1, "step_size": 0.01}
    generator = generator if start.needs_generator else None
    mean, log_normalizer = moving(ChainNegatives(start, WeightedChains([2], 6000, 4000), **slow), generator)
    assert mean.item() == pytest.approx(1.5, abs=0.12)
    assert log_normalizer == pytest.approx(math.log(2 * math.pi), abs=0.12)
    lagging, _ = moving(ChainNegatives(start, PersistentChains([2], 6000, 4000), **slow), generator)
    assert lagging < 1.2, "without weights they lag, so that the test can tell"


@pytest.mark.parametrize(
    "memory",
    [
        lambda: WeightedChains([2], 64, 16),
        lambda: PersistentChains([2], 64, 16),
        lambda: Buffer([2], 64, 16, fresh=0.2, overwrite="first_in_first_out"),
        lambda: Buffer([2], 64, 16, fresh=0.5, restarts="accepted"),
    ],
)
def test_chains_go_on_where_their_buffers_left_them(generator, memory):
    draws = [generator.draw(generator.prior.sample(32)) for _ in range(4)]

    def go_on(chains, some):
        torch.manual_seed(5)
        return [chains(energy_at(0.3), draw, X) for draw in some][-1]

    chains = ChainNegatives(FromGenerator(), memory(), n_steps=2)
    go_on(chains, draws[:2])
    again = ChainNegatives(FromGenerator(), memory(), n_steps=2)
    again.load_state_dict(chains.state_dict())
    for ours, theirs in zip(go_on(chains, draws[2:]), go_on(again, draws[2:]), strict=True):
        assert (ours is None and theirs is None) or torch.equal(ours, theirs)


def test_a_step_moves_only_the_chosen_chains(generator):
    chains = ChainNegatives(FromGenerator(), WeightedChains([2], 64, 16), n_steps=3)
    draw = generator.draw(generator.prior.sample(32))
    chains(energy_at(0.0), draw, X)
    before = chains.memory.places.clone()
    x, *_ = chains(energy_at(0.0), draw, X)
    moved = (chains.memory.places != before).any(1)
    assert 0 < moved.sum() <= 16
    assert x.shape == (16, 2)


def test_a_lost_chain_starts_anew_and_the_others_go_on(generator):
    """Its weight is on the scale of the others: log Z is still right."""
    narrow = energy_at(0.7, 0.25)
    chains = ChainNegatives(FromGenerator(), WeightedChains([2], 4096, 64), n_steps=3)
    draw = generator.draw(generator.prior.sample(1024))
    chains(narrow, draw, X)
    before = chains.memory.places.clone()
    chains.memory.places[:2000] = torch.tensor([torch.nan, 0.0])
    chains.memory.energies[2000] = torch.inf
    chains(narrow, draw, X)
    assert chains.memory.places.isfinite().all()
    assert (chains.memory.places != before).any(1)[2001:].sum() <= 64
    log_normalizer = chains.memory.log_weights.logsumexp(0) - math.log(4096)
    assert log_normalizer.item() == pytest.approx(math.log(2 * math.pi * 0.25**2), abs=0.05)


@pytest.mark.parametrize("lost", [math.inf, math.nan, -math.inf])
def test_of_a_lost_chain_nothing_is_kept_that_no_checkpoint_may_hold(generator, lost):
    chains = ChainNegatives(FromGenerator(), WeightedChains([2], 64, 16), n_steps=1)
    memory, draw = chains.memory, generator.draw(generator.prior.sample(64))
    assert not memory.begun.any()
    assert all(x.isfinite().all() for x in chains.state_dict().values())
    chains(energy_at(0.0), draw, X)
    assert memory.begun.all()
    taken = Taken(init(energy_at(0.0), memory.places[:4]), torch.full((4,), lost), torch.arange(4))
    state = taken.state._replace(
        x=torch.tensor([[0.0, lost], [0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]),
        energy=torch.tensor([0.0, lost, 1.0, 2.0]),
    )
    memory.keep(taken._replace(log_weights=torch.tensor([lost, lost, 1.0, 2.0])), state)
    assert memory.begun.nonzero()[:, 0].tolist() == list(range(2, 64)), "the first two begin anew"
    assert all(x.isfinite().all() for x in chains.state_dict().values())
    assert memory.log_weights[2:4].tolist() == memory.energies[2:4].tolist() == [1.0, 2.0]
    chains(energy_at(0.0), draw, X)
    assert memory.begun.all()


def test_another_kernel_may_move_them():
    chains = ChainNegatives(FromNoise(), PersistentChains([2], 32, 32), kernel=Langevin())
    assert chains(energy_at(0.0), None, X).log_weights is None


def test_chains_that_nobody_keeps_begin_anew(generator):
    """Contrastive divergence: K steps of the kernel from the data, in every step."""
    x = torch.randn(32, 2, generator=torch.Generator().manual_seed(1))
    kernel = Langevin()
    chains = ChainNegatives(FromData(), NoMemory(32), 3, step_size=0.02, kernel=kernel)
    for seed in (3, 4):
        torch.manual_seed(seed)
        found = chains(energy_at(0.0), None, x)
        torch.manual_seed(seed)
        walk = Chains(kernel, 3, 0.02).run(energy_at(0.0), x[torch.randperm(32)])
        assert torch.equal(found.samples, walk.state.x)
        torch.testing.assert_close(found.gradient, found.samples)
    torch.manual_seed(4)
    two = Chains(kernel, 2, 0.02).run(energy_at(0.0), x[torch.randperm(32)])
    assert torch.equal(found.before, two.state.x), "one step earlier"
    assert chains.chains(energy_at(0.0), 8, torch.Generator()) == {}, "none is there to be tried"
    with pytest.raises(InputError, match="chains that start at points of an unknown density have no weights"):
        ChainNegatives(FromData(), WeightedChains([2], 32, 32))(energy_at(0.0), None, x)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (lambda: PersistentChains([2], 10, 99), "at most all that there are, 10, got 99"),
        (lambda: Buffer([2], 10, 64), "at most all that there are, 10, got 64"),
        (lambda: Buffer([2], fresh=1.5), "fresh must be a share from 0 to 1, got 1.5"),
        (lambda: WeightedChains([2], least_ess=1.5), "least_ess must be a share from 0 to 1, got 1.5"),
        (lambda: NoMemory(0), "n must be at least 1, got 0"),
        (lambda: FromUniform(0.0), "half_width must be a positive number, got 0.0"),
        (lambda: ChainNegatives(FromNoise(), NoMemory(2), 0), "n_steps must be at least 1"),
        (lambda: ChainNegatives(FromNoise(), NoMemory(2), step_size=0.0), "step_size positive, got 8, 0.0"),
        (lambda: ChainNegatives(FromNoise(), NoMemory(2), target=1.0), "between 0 and 1, got 1.0"),
        (lambda: ChainNegatives(FromGenerator(), NoMemory(2))(energy_at(0.0), None, X), "with a generator"),
    ],
)
def test_impossible_chains_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        parts()


def test_the_trace_is_of_the_last_steps_oldest_first():
    chains = ChainNegatives(FromNoise(), NoMemory(4))
    assert chains.walked.trace.shape == (0, 2)
    found = chains(energy_at(0.0), None, X)
    found = found._replace(energies=energy_at(0.0)(found.samples))
    steepness = found.samples.norm(dim=1).mean().item()
    for step in range(TRACED + 3):
        chains.note(torch.tensor([float(step)]), found)
    gaps, gradients = chains.walked.trace.unbind(1)
    torch.testing.assert_close(gaps + found.energies.mean(), torch.arange(3.0, TRACED + 3))
    torch.testing.assert_close(gradients, torch.full((TRACED,), steepness))


# ---- the buffer


def from_noise(n):
    return FromNoise()(n, None, X)


def test_a_buffer_restarts_its_share():
    """The number of restarts is binomial: within 5 standard deviations."""
    torch.manual_seed(0)
    buffer, restarts = Buffer([2], 1000, 100, fresh=0.05), []
    for _ in range(200):
        taken = buffer.take(energy_at(0.0), lambda n: (restarts.append(n), from_noise(n))[1])
        buffer.keep(taken, taken.state)
    n, p = 200 * 100, 0.05
    assert restarts[0] == 1000, "it is filled first"
    assert abs(sum(restarts[1:]) - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_accepted_restarts_leave_the_density_as_it_is():
    """N(0, I) under proposals of N(0, 1.5² I): its variance stays, most places are new. Of "always", 2.25."""

    def renewed(restarts):
        torch.manual_seed(0)
        buffer = Buffer([2], 20_000, 20_000, fresh=1.0, restarts=restarts)
        before = buffer.places.normal_().clone()
        taken = buffer.take(energy_at(0.0), lambda n: FromNoise(1.5)(n, None, X))
        new = (taken.state.x != before[taken.chosen]).any(1)
        return taken.state.x.var().item(), new.float().mean().item()

    variance, new = renewed("accepted")
    assert variance == pytest.approx(1.0, abs=0.04)
    assert 0.4 < new < 0.9
    assert renewed("always")[0] == pytest.approx(2.25, abs=0.09)
    buffer = Buffer([2], 8, 8, fresh=1.0, restarts="accepted")
    with pytest.raises(InputError, match="restarts=accepted needs the density of the start's law"):
        buffer.take(energy_at(0.0), lambda n: FromData()(n, None, X[:1].expand(8, 2)))


@pytest.mark.parametrize("overwrite", ["in_place", "first_in_first_out"])
def test_what_a_buffer_overwrites(overwrite):
    torch.manual_seed(0)
    buffer = Buffer([1], 10, 4, fresh=0.0, overwrite=overwrite)
    buffer.places[:, 0] = torch.arange(10.0)
    at = []
    for step in range(3):
        taken = buffer.take(energy_at(0.0), from_noise)
        at.append(taken.chosen.tolist())
        assert len(set(at[-1])) == 4
        buffer.keep(taken, taken.state._replace(x=torch.full((4, 1), 100.0 + step)))
    if overwrite == "in_place":
        expected = list(range(10))
        for step, chosen in enumerate(at):
            for place in chosen:
                expected[place] = 100 + step
    else:
        expected = [102, 102, 100, 100, 101, 101, 101, 101, 102, 102]
    assert buffer.places[:, 0].tolist() == expected


def test_a_buffer_transforms_what_it_takes_up():
    buffer = Buffer([2], 8, 8, fresh=0.0, transform=torch.nn.Softplus())
    buffer.places.fill_(0.0)
    taken = buffer.take(energy_at(0.0), from_noise)
    torch.testing.assert_close(taken.state.x, torch.full((8, 2), math.log(2.0)))
    assert not buffer.places.any(), "and keeps what was there"


# ---- where chains begin


def test_starts_know_their_densities(generator):
    torch.manual_seed(0)
    draw = generator.draw(generator.prior.sample(16))
    x, log_density = FromGenerator()(20_000, draw, X)
    torch.testing.assert_close(log_density(x[:50]), log_mixture(x[:50], draw))
    deviations = torch.cdist(x, draw.clean).amin(1)
    assert deviations.mean() < 0.4, "0.3 of noise about the batch's points"
    means = draw.clean.mean(0), draw.clean.var(0, correction=0) + 0.3**2
    torch.testing.assert_close(x.mean(0), means[0], atol=0.02, rtol=0)
    torch.testing.assert_close(x.var(0), means[1], atol=0.02, rtol=0)
    noise, log_density = FromNoise(0.5)(20_000, draw, X)
    known = torch.distributions.Normal(0.0, 0.5)
    torch.testing.assert_close(log_density(noise[:50]), known.log_prob(noise[:50]).sum(1))
    torch.testing.assert_close(noise.std(0), torch.full((2,), 0.5), atol=0.01, rtol=0)
    cube, log_density = FromUniform(2.0)(1000, draw, X)
    assert cube.abs().max() <= 2
    assert cube.std().item() == pytest.approx(2 / math.sqrt(3), abs=0.05)
    inside_and_not = torch.tensor([-2 * math.log(4), -math.inf])
    torch.testing.assert_close(log_density(torch.tensor([[1.9, -1.9], [0.0, 2.1]])), inside_and_not)


def test_a_batch_without_noise_has_samples_and_no_density():
    points = torch.randn(6, 2)
    x, log_density = FromGenerator()(40, Draw(points, points, points), X)
    assert torch.cdist(x, points).amin(1).max() == 0
    with pytest.raises(InputError, match=r"give method\.generator\.noise"):
        log_density(x)


@pytest.mark.parametrize("n", [3, 10, 25])
def test_all_data_are_started_from_equally_often(n):
    x = torch.arange(10.0)[:, None]
    counts = torch.bincount(FromData()(n, None, x).samples.flatten().long(), minlength=10)
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1


def test_noise_without_a_size_is_refused():
    with pytest.raises(ValueError, match=r"std must be positive, got 0\.0"):
        FromNoise(0.0)


# ---- weights


@pytest.mark.parametrize("known", ["batch", "flow"])
def test_weighted_samples_of_many_batches_carry_log_z(generator, known):
    torch.manual_seed(0)
    part = generator if known == "batch" else FlowGenerator([2], transforms=1, bins=4, hidden=[8])
    found = weighted_samples(energy_at(0.3, 0.8), part, 20_000, 448)
    assert 20_000 <= len(found.samples) < 20_448
    log_z = (found.log_weights - energy_at(0.3, 0.8)(found.samples)).logsumexp(0)
    assert log_z.item() == pytest.approx(math.log(2 * math.pi * 0.8**2), abs=0.05)
    bare = Generator(torch.nn.Linear(2, 2), NormalPrior(2))
    assert weighted_samples(energy_at(0.0), bare, 100, 448) is None


def test_systematic_resampling_rounds_each_share_up_or_down():
    shares = torch.rand(40, generator=torch.Generator().manual_seed(0)).softmax(0)
    counts = torch.bincount(systematic(shares, 1000), minlength=40)
    assert counts.sum() == 1000
    assert ((counts - 1000 * shares).abs() < 1).all()


def test_the_effective_number_of_samples():
    assert ess(torch.zeros(10)).item() == pytest.approx(10)
    assert ess(torch.tensor([0.0, -100.0, -100.0])).item() == pytest.approx(1)
    assert ess(torch.log(torch.tensor([3.0, 1.0]))).item() == pytest.approx(16 / 10)
