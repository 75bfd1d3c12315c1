"""Stacked densities: normalised, sampled exactly, and judged by points that a member has not seen."""

import pytest
import torch

from energy_gan.energies.gaussians import Gaussians
from energy_gan.energies.stacked import PARTS, Stack, expectation_maximisation
from energy_gan.generators.flow import FlowGenerator
from energy_gan.generators.stacked import StackedGenerator


def stack(**settings):
    torch.manual_seed(0)
    return Stack([2], FlowGenerator([2], transforms=1, bins=4, hidden=[8]), **settings)


def two_clusters(n, rng):
    return torch.randn(n, 2, generator=rng) * 0.5 + 2 * torch.randint(2, (n, 1), generator=rng) - 1


@pytest.fixture(scope="module")
def fitted():
    made, x = stack(folds=2, components=[1, 2], ridges=[1e-4, 1e-1]), two_clusters(400, torch.Generator())
    made.fit(x)
    made.judge(made.judges(x))
    return made, x


def test_it_is_a_density(fitted):
    made, _ = fitted
    line = torch.linspace(-7, 7, 401)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        mass = (-made(grid).double()).exp().sum() * (line[1] - line[0]) ** 2
    assert float(mass) == pytest.approx(1, abs=2e-4)
    assert made.normalised
    assert made.integrable


def test_its_samples_are_of_that_density(fitted):
    """E_p[q(x) / p(x)] = ∫ q = 1 for another density q, with the error of the mean."""
    made, _ = fitted
    generator = StackedGenerator(made)
    rng = torch.Generator().manual_seed(1)
    x = generator.draw(generator.prior.sample(40_000, rng)).samples
    other = torch.distributions.MultivariateNormal(torch.zeros(2), 0.3 * torch.eye(2))
    with torch.no_grad():
        ratios = (other.log_prob(x) + made(x)).double().exp()
    assert float(ratios.mean()) == pytest.approx(1, abs=4 * float(ratios.std()) / len(x) ** 0.5)
    assert torch.equal(generator.log_prob(x[:5]), -made(x[:5]))


def test_a_fold_is_judged_by_what_has_not_seen_it():
    """Fold 0 lies elsewhere: its own member gives it nothing, that of the other fold does."""
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(2)) * 0.1
    x[torch.arange(500) % PARTS == 0] += 5
    made = stack(folds=2, components=[1, 2], ridges=[1e-4])
    made.fit(x)
    own, other = made.judges(x)
    assert own.points.mean() > 4.5
    assert other.points.abs().mean() < 1
    seen = made.gaussians.log_prob(3, own.points).mean()
    assert own.mixtures[:, 1].mean() < -500 < seen


def test_shares_are_those_of_a_mixture_of_known_laws():
    rng = torch.Generator().manual_seed(3)
    chosen = torch.rand(20_000, generator=rng) < 0.3
    x = torch.randn(20_000, generator=rng).double() * torch.where(chosen, 1.0, 0.2)
    normals = [torch.distributions.Normal(0.0, torch.tensor(s).double()) for s in (1.0, 0.2, 30.0)]
    shares = expectation_maximisation(torch.stack([law.log_prob(x) for law in normals], 1))
    assert shares.tolist() == pytest.approx([0.3, 0.7, 0.0], abs=0.015)
    assert float(shares.sum()) == pytest.approx(1)


def test_many_points_are_not_crossed():
    made = stack(folds=5, components=[1], ridges=[1e-4, 1e-1])
    made.fit(torch.randn(2_000, 2))
    assert int(made.used) == 1
    assert (made.gaussians.shares > 0).tolist() == [True] + 9 * [False]


def test_gaussians_know_their_conditional_laws():
    """log q(v | g) = log q(v, g) − log q(g), and samples of one component have its mean and covariance."""
    rng = torch.Generator().manual_seed(4)
    made = Gaussians(3, [2])
    spread = torch.randn(2, 3, 3, generator=rng, dtype=torch.float64) + 2 * torch.eye(3)
    covariances = spread @ spread.mT
    made.shares.copy_(torch.tensor([0.3, 0.7]))
    made.means.copy_(3 * torch.randn(2, 3, generator=rng))
    made.precisions.copy_(torch.linalg.cholesky(torch.linalg.inv(covariances)))
    held, g = torch.tensor([0, 2]), torch.tensor([[1.0, -0.5], [0.3, 2.0]])
    both = torch.arange(2)
    x, log_q = made.given(both, made.shares.log(), held, g, rng)
    assert torch.equal(x[:, held], g.double())
    normal = torch.distributions.MultivariateNormal
    of_g = normal(made.means[:, held], covariances[:, held][:, :, held]).log_prob(g.double()[:, None])
    expected = made.log_joint(x, both).logsumexp(1) - (of_g + made.shares.log()).logsumexp(1)
    torch.testing.assert_close(log_q, expected)

    x, _ = made.given(both[1:], torch.zeros(1), torch.tensor([1]), torch.ones(40_000, 1), rng)
    of_1, others = covariances[1][[0, 2]][:, 1], covariances[1][[0, 2]][:, [0, 2]]
    mean = made.means[1, [0, 2]] + of_1 / covariances[1, 1, 1] * (1 - made.means[1, 1])
    torch.testing.assert_close(x[:, [0, 2]].mean(0), mean, atol=0.1, rtol=0)
    covariance = others - of_1.outer(of_1) / covariances[1, 1, 1]
    torch.testing.assert_close(x[:, [0, 2]].T.cov(), covariance, atol=0.1, rtol=0.05)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folds": 6}, "folds must be from 1 to 5"),
        ({"ridges": [0.0]}, "ridges above 0"),
        ({"components": []}, "at least 1"),
    ],
)
def test_settings_are_checked(given, said):
    with pytest.raises(ValueError, match=said):
        stack(**given)
