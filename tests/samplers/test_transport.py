"""Laws of chains in the latents of a base, of the generator that they make, and what is refused."""

import math

import pytest
import torch
import zuko
from small import ADAGRAD, Blobs, quiet_trainer

from energy_gan.energies.experts import LinearExperts, ProductOfExperts
from energy_gan.energies.flow import FlowEnergy
from energy_gan.energies.mixture import MixtureBase
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.errors import InputError
from energy_gan.generators.flow import FlowGenerator
from energy_gan.generators.mlp import MLPGenerator
from energy_gan.generators.priors import NormalPrior
from energy_gan.methods.maximum_likelihood import MaximumLikelihood
from energy_gan.model import Model
from energy_gan.negatives.base_samples import BaseNegatives
from energy_gan.negatives.memory import NoMemory, PersistentChains, WeightedChains
from energy_gan.negatives.starts import FromGenerator, FromNoise
from energy_gan.negatives.transported import TransportedChains
from energy_gan.numerics.quadrature import Grid, evaluate
from energy_gan.numerics.weights import ess
from energy_gan.objectives import noise_contrast
from energy_gan.optim.learns import Learns
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.hmc import HMC
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Batch


def flow(dimension=2):
    return FlowGenerator([dimension], transforms=2, bins=8, hidden=[16])


def tilted(tilt=1.0, base=None):
    """Experts of a size that counts, over a flow at its start."""
    torch.manual_seed(0)
    energy = ProductOfExperts([2], MLPFeatures([2], [16, 16]), 1, LinearExperts, base or FlowEnergy(flow()))
    with torch.no_grad():
        energy.experts.weight.mul_(6 * tilt)
        energy.experts.bias.zero_()
        energy.linear.zero_()
    return energy.requires_grad_(False).eval()


def transported(**settings):
    return TransportedChains(FromNoise(), NoMemory(64), kernel=HMC(3), **settings)


def test_the_density_pushed_forward_is_the_energy_s():
    """p(x) by a grid over x is p(z) |det ∂z/∂x| by a grid over z, in float64, of a smooth flow:
    there sums over cells converge fast.
    """
    torch.manual_seed(0)
    smooth = flow()
    smooth.network = zuko.flows.MAF(2, transforms=2, hidden_features=[16], activation=torch.nn.Tanh)
    energy = tilted(base=FlowEnergy(smooth)).double()
    space = TransportedChains.space(energy)
    log_z = []
    for of in (energy, space.energy):
        grid = Grid(torch.full((2,), -8.0), torch.full((2,), 8.0), (40, 40), (4, 4), 1.0)
        log_z.append(float(grid.log_normalizer(lambda x, of=of: of(x.double()))))
    z = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = space.push(z)
    slopes = torch.autograd.functional.jacobian(lambda x: space.pull(x).sum(0), x).permute(1, 0, 2)
    of_x = -energy(x) - log_z[0]
    of_z = -space.energy(z) - log_z[1] + torch.linalg.det(slopes).abs().log()
    assert float(energy.over_base(x).std()) > 0.3  # the tilt counts
    torch.testing.assert_close(of_x, of_z, atol=1e-5, rtol=0)
    torch.testing.assert_close(space.pull(x), z, atol=1e-8, rtol=0)


@pytest.mark.parametrize("kernel", [HMC(3), MALA()])
def test_without_a_tilt_chains_leave_the_normal_law_alone(kernel):
    energy, n = tilted(tilt=0.0), 4_000
    space = TransportedChains.space(energy)
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(n, 2, generator=rng)
    end = Chains(kernel, 3, 0.3).run(space.energy, z, rng).state.x
    assert (end - z).abs().mean() > 0.5  # they have moved
    assert end.mean(0).abs().max() < 4 / math.sqrt(n)
    assert (end.var(0) - 1).abs().max() < 4 * math.sqrt(2 / n)
    assert end.T.corrcoef()[0, 1].abs() < 4 / math.sqrt(n)


def test_negatives_and_the_generator_s_samples_are_of_the_energy_s_law():
    """E[f] over chains, the generator's samples, and the grid; the weights say what Z is."""
    energy = tilted(2.0)
    grid = Grid(torch.full((2,), -6.0), torch.full((2,), 6.0), (48, 48), (4, 4), 1.0)
    f, masses = evaluate(energy.over_base, grid.centres), grid.log_masses(lambda x: -energy(x)).exp()
    mean, of_base = float(masses @ f), float(energy.over_base(energy.base.sample(4_000)).mean())
    torch.manual_seed(1)
    weighted = TransportedChains(
        FromNoise(), WeightedChains([2], 1_000, 1_000), 6, 0.3, kernel=HMC(3), moves=6
    )
    found = weighted(energy, None, torch.zeros(4, 2))
    log_w = found.log_weights - energy(found.samples)
    log_z = float(grid.log_normalizer(energy))
    assert float(log_w.logsumexp(0)) == pytest.approx(log_z, abs=4 * float(ess(log_w)) ** -0.5)
    error = 4 * float(masses @ (f - mean).square()) ** 0.5 / math.sqrt(1_000)
    assert abs(of_base - mean) > 2 * error
    assert float(log_w.softmax(0) @ energy.over_base(found.samples)) == pytest.approx(mean, abs=error)
    generator = weighted.generator(energy, [2])
    samples = generator.draw(generator.prior.sample(1_000)).samples
    assert float(energy.over_base(samples).mean()) == pytest.approx(mean, abs=error)


def method(energy, negatives, **settings):
    base = Learns(ADAGRAD) if isinstance(energy.base, FlowEnergy) else None
    settings = {"base_learns": base} | settings
    return MaximumLikelihood([2], energy.requires_grad_(True), Learns(ADAGRAD), negatives, **settings)


def test_a_flow_is_a_base_for_contrast_too_and_its_weights_are_its_own():
    found = method(tilted(), BaseNegatives(64), objective=noise_contrast)
    base, energy = found.players
    assert {base.name, energy.name} == {"base", "energy"}
    assert set(base.parameters) == set(found.energy.base.parameters())
    assert not set(base.parameters) & set(energy.parameters)
    quiet_trainer(3).fit(found, Blobs([2], 16, 0))
    model = Model(found.eval())
    assert model.offers == {"energy"}
    samples, log_weights = model.weighted_samples(20_000)
    log_z = (log_weights - model.energy_of_networks(samples)).logsumexp(0)
    grid = Grid(torch.full((2,), -8.0), torch.full((2,), 8.0), (48, 48), (4, 4), 1.0)
    exact = grid.log_normalizer(lambda x: model.energy_of_networks(x.float()).double())
    assert float(log_z) == pytest.approx(float(exact), abs=0.03)


def test_refined_samples_stay_where_the_energy_s_own_are():
    """Refinement walks in the latents: in x, MALA would need another step size at each place."""
    found = method(tilted(), transported(step_size=0.3, moves=15)).eval()
    model = Model(found.requires_grad_(False))
    assert model.offers == {"energy", "generator"}
    x, refined = model.sample(200, refine=0), model.sample(200, refine=3)
    energies = model.energy(x), model.energy(refined)
    error = 4 * float(energies[0].std()) * math.sqrt(2 / 200)
    assert float(energies[0].mean() - energies[1].mean()) == pytest.approx(0, abs=error)
    assert (x - refined).abs().mean() > 0.1


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            lambda: method(tilted(base=MixtureBase([2], 2, 1)), transported()),
            "a map from N.0, I., FlowEnergy, and this MixtureBase has none",
        ),
        (
            lambda: MaximumLikelihood(
                [2],
                ProductOfExperts([2], MLPFeatures([2], [8]), 1),
                Learns(ADAGRAD),
                transported(),
            ),
            "a base whose density is known, FlowEnergy as its quadratic term: this ProductOfExperts has none",
        ),
        (lambda: FlowEnergy(MLPGenerator([2], NormalPrior(2), hidden=[8])), "this MLPGenerator has none"),
        (lambda: method(tilted(), transported(), base_learns=None), "give base_learns, on the page"),
        (
            lambda: method(
                tilted(base=MixtureBase([2], 2, 1)), BaseNegatives(4), base_learns=Learns(ADAGRAD)
            ),
            "this MixtureBase has none: give base_learns=null",
        ),
        (lambda: TransportedChains(FromGenerator(), NoMemory(4)), "give start a FromNoise"),
        (lambda: transported(moves=0), "moves must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(made, said):
    with pytest.raises(ValueError, match=said):
        made()


def test_only_a_flow_has_an_inverse():
    generator = flow()
    z = torch.randn(5, 2)
    torch.testing.assert_close(generator.latent_of(generator(z)), z, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="an inverse: give a FlowGenerator"):
        MLPGenerator([2], NormalPrior(2), hidden=[8]).latent_of(torch.zeros(1, 2))


def test_of_images_base_and_energy_learn_from_shades_that_noise_has_filled():
    """And chains move in the latents of a flow of images."""
    given = ["data=digits", "method=nt_ebm", "method.energy.quadratic.flow.width=4"]
    found, seen = build(compose(given)["method"], "method"), []
    k = torch.randint(0, 17, (64, 1, 8, 8))
    batch = Batch(k / 8 - 1)
    found.fit_parts(batch.x)
    found.energy.base.register_forward_pre_hook(lambda _, given: seen.append(given[0][:64]))
    assert found.base_terms(batch)["base_likelihood"].isfinite()
    assert sum(found.energy_terms(batch).values()).isfinite()
    for filled in (seen[0], seen[-1]):
        noise = (filled + 1) * 8 - k
        assert -1e-4 < noise.min() < 0.01 < 0.99 < noise.max() < 1 + 1e-4
    assert found.negatives.walked.some(64).std() > 0.5


def test_latents_persist_from_step_to_step():
    negatives = TransportedChains(FromNoise(), PersistentChains([2], 64, 64), 1, 0.3)
    energy = tilted()
    space = negatives.space(energy)
    samples = negatives(energy, None, torch.zeros(4, 2)).samples
    kept = space.push(negatives.walked.some(64))
    assert {tuple(row) for row in samples.round(decimals=4).tolist()} == {
        tuple(row) for row in kept.round(decimals=4).tolist()
    }
