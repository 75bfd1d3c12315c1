"""Laws of the flow, of contrast with it, of weighted samples; the cells of the report."""

import math

import pytest
import torch

from energy_gan.energies.flow import FlowEnergy
from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.flow import FlowGenerator
from energy_gan.generators.priors import NormalPrior
from energy_gan.negatives.density import DensityNegatives
from energy_gan.numerics.quadrature import Grid
from energy_gan.objectives import noise_contrast
from energy_gan.run.checkpoints import load
from energy_gan.shapes import Negatives
from energy_gan.studies.agreement import TwoDimensions
from energy_gan.studies.study import Trial
from energy_gan.studies.tables import section
from energy_gan.studies.trials import cell


@pytest.fixture
def flow():
    torch.manual_seed(0)
    return FlowGenerator([2], transforms=2, bins=8, hidden=[16])


def test_the_density_is_that_of_the_samples(flow):
    """log q(x) = log N(z) − log |det ∂x/∂z|, the Jacobian by autograd."""
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    for one in z:
        jacobian = torch.autograd.functional.jacobian(lambda z: flow(z[None])[0], one)
        log_normal = -one.square().sum() / 2 - math.log(2 * math.pi)
        expected = log_normal - torch.linalg.det(jacobian).abs().log()
        torch.testing.assert_close(flow.log_prob(flow(one[None]))[0], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_samples_are_those_of_the_library_s_inverse(dimension):
    torch.manual_seed(0)
    flow = FlowGenerator([dimension], transforms=3, bins=4, hidden=[8, 8])
    z = 2 * torch.randn(50, dimension)
    x = flow(z)
    torch.testing.assert_close(x, flow.network().transform.inv(z), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(flow.latent_of(x), z, rtol=1e-3, atol=1e-3)


def test_a_flow_s_energy_needs_no_normaliser(flow):
    grid = Grid(torch.tensor([-6.0, -6.0]), torch.tensor([6.0, 6.0]), (32, 32), (8, 8), 1.5)
    with torch.no_grad():
        assert grid.log_normalizer(FlowEnergy(flow)).item() == pytest.approx(0, abs=1e-2)


def test_a_flow_s_negatives_weigh_log_z_without_bias(flow):
    draw = flow.draw(flow.prior.sample(20_000, torch.Generator().manual_seed(0)))

    def energy(x):
        return x.square().sum(1) / (2 * 0.8**2)

    negatives = DensityNegatives()(energy, draw, draw.samples)
    log_z = (negatives.log_weights - energy(negatives.samples)).logsumexp(0)
    assert log_z.item() == pytest.approx(math.log(2 * math.pi * 0.8**2), abs=0.03)


def test_noise_contrast_is_stationary_where_the_energy_is_the_data_s():
    """With x⁺ and x⁻ of known laws, the gradient in the precision vanishes at E = −log p + c, there only."""
    torch.manual_seed(0)
    positive, negative = torch.randn(200_000), 1.5 * torch.randn(200_000)
    noise = torch.distributions.Normal(0.0, 1.5)
    log_weights = -noise.log_prob(negative) - math.log(len(negative))

    def gradient(precision):
        p = torch.tensor(precision, requires_grad=True)
        of_data, of_noise = (p * x.square() / 2 + 7.0 for x in (positive, negative))
        negatives = Negatives(negative[:, None], log_weights, of_noise, None, noise.log_prob(positive))
        terms = noise_contrast(of_data, negatives)
        return torch.autograd.grad(sum(terms.values()), p)[0].item()

    assert gradient(1.0) == pytest.approx(0, abs=1e-3)
    assert gradient(0.9) < -5e-3
    assert gradient(1.1) > 5e-3


def test_noise_contrast_needs_a_known_density():
    with pytest.raises(ValueError, match="DensityNegatives"):
        noise_contrast(torch.zeros(3), Negatives(torch.zeros(3, 2), energies=torch.zeros(3)))
    with pytest.raises(InputError, match="METHOD=fce"):
        Generator(torch.nn.Linear(2, 2), NormalPrior(2)).log_prob(torch.zeros(1, 2))


def test_refined_and_weighted_samples_of_a_run(finished_run):
    model = load(finished_run)
    assert model.weighted_samples(500) is None, "the paper's generator has no density"
    raw, refined = model.sample(300, 1), model.sample(300, 1, refine=5)
    assert refined.shape == raw.shape
    assert not torch.equal(raw, refined)
    assert torch.equal(refined, model.sample(300, 1, refine=5))
    with pytest.raises(InputError, match="refine is a number of steps, at least 0, got -1"):
        model.sample(3, refine=-1)


def test_the_report_s_cells_are_mean_and_worst():
    assert cell([0.1, 0.3], min) == "0.200 (0.300)"
    assert cell([0.9, 0.8], max) == "0.850 (0.800)"
    assert cell([None, None], min) == "–"
    report = {"metrics": {"kl_data_energy": 0.5}, "seconds": 30.0, "step": 10, "yardsticks": {"kde": {}}}
    text = section(TwoDimensions, "rings", {Trial("aligned", "rings", s): report for s in (0, 1)})
    assert "| `aligned` | 0.500 (0.500) | – |" in text
    assert "| 2 | 10 | 30 |" in text
