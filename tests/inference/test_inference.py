"""Laws of inference: chains against the closed forms of a linear generator, an encoder's bound, a memory."""

import math

import pytest
import torch
from torch import nn

from energy_gan.energies.mlp import Identity
from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.energy_prior import EnergyPrior
from energy_gan.generators.output_noise import GaussianLikelihood
from energy_gan.generators.priors import NormalPrior, UniformPrior
from energy_gan.inference.amortised import AmortisedInference, kl_to_normal
from energy_gan.inference.per_image import LatentMemory
from energy_gan.inference.ranking import JointRanking
from energy_gan.inference.short_run import ShortRunInference
from energy_gan.inference.warm_started import WarmStarted
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.langevin import Langevin
from energy_gan.samplers.mala import MALA

W = torch.tensor([[1.0, 0.3], [-0.2, 0.8], [0.5, 0.1]])
B = torch.tensor([0.5, -1.0, 0.0])
SIGMA = 0.4
X = torch.tensor([1.2, -0.6, 0.4])
EXACT = torch.distributions.MultivariateNormal(B, W @ W.T + SIGMA**2 * torch.eye(3)).log_prob(X)


class Quadratic(nn.Module):
    """U(z) = ½ zᵀA z − bᵀz."""

    a, b = torch.tensor([[1.5, 0.5], [0.5, 1.0]]), torch.tensor([1.0, -0.5])

    def forward(self, latent):
        return 0.5 * ((latent @ self.a) * latent).sum(1) - latent @ self.b


def linear(prior=None):
    """x = W z + b + σ ε."""
    network = nn.Linear(2, 3)
    with torch.no_grad():
        network.weight.copy_(W)
        network.bias.copy_(B)
    return Generator(network, prior or NormalPrior(2), GaussianLikelihood(SIGMA))


def posterior():
    """Mean and precision of p(z | x): N(M⁻¹ Wᵀ(x − b) / σ², M⁻¹), M = I + WᵀW / σ²."""
    precision = torch.eye(2) + W.T @ W / SIGMA**2
    return torch.linalg.solve(precision, W.T @ (X - B)) / SIGMA**2, precision


@pytest.mark.parametrize(("n_steps", "s"), [(20, 0.1), (200, 0.1), (25, 0.05)])
def test_short_runs_end_where_the_closed_form_says(n_steps, s):
    """By each axis of the precision, of curvature m: a = 1 − s² m / 2, mean μ (1 − aᴷ), variance
    a²ᴷ + s² (1 − a²ᴷ) / (1 − a²); not the posterior, where m is small or the steps are few.
    """
    torch.manual_seed(0)
    n, (mean, precision) = 20_000, posterior()
    m, axes = torch.linalg.eigh(precision)
    run = ShortRunInference(Chains(Langevin(), n_steps, s**2 / 2))
    latent = run(linear(), X.expand(n, 3)).latent @ axes
    a = 1 - s**2 * m / 2
    variance = a ** (2 * n_steps) + s**2 * (1 - a ** (2 * n_steps)) / (1 - a**2)
    expected = (mean @ axes) * (1 - a**n_steps)
    assert ((latent.mean(0) - expected).abs() < 3.5 * (variance / n).sqrt()).all()
    assert ((latent.var(0) / variance - 1).abs() < 3.5 * math.sqrt(2 / n)).all()
    if n_steps == 25:
        assert (variance > 2 / m).all(), "too wide"
        assert (expected.abs() < 0.8 * (mean @ axes).abs()).any(), "and short of the mean"


def test_mala_infers_the_posterior_and_its_step_stays_as_training_found_it():
    torch.manual_seed(0)
    n, (mean, precision) = 4_000, posterior()
    run, x = ShortRunInference(Chains(MALA(), 30, 0.5, target=0.7)), X.expand(n, 3)
    for _ in range(2):
        run(linear(), x[:500])
    found = float(run.step_size)
    assert 0.005 < found < 0.3
    latent = run.eval()(linear(), x).latent
    assert float(run.step_size) == found
    covariance = precision.inverse()
    assert ((latent.mean(0) - mean).abs() < 4 * (covariance.diagonal() / n).sqrt()).all()
    torch.testing.assert_close(latent.T.cov(), covariance, atol=0.02, rtol=0)
    told = run.chains(linear(), x[:100], latent[:100], torch.Generator().manual_seed(0))
    assert 0.5 < told["chains_acceptance"] < 0.9
    assert told["chains_step_size"] == found


def test_a_quadratic_energy_has_the_prior_and_the_normaliser_that_it_should():
    """(I + A)⁻¹ b, (I + A)⁻¹ and log Z = −½ log |I + A| + ½ bᵀ(I + A)⁻¹ b."""
    prior = EnergyPrior(Quadratic(), 2, Chains(MALA(), 100, 0.1, target=0.7))
    covariance = (torch.eye(2) + Quadratic.a).inverse()
    mean = covariance @ Quadratic.b
    latent = prior.sample(4_000, torch.Generator().manual_seed(0))
    assert ((latent.mean(0) - mean).abs() < 4 * (covariance.diagonal() / 4_000).sqrt()).all()
    torch.testing.assert_close(latent.T.cov(), covariance, atol=0.03, rtol=0)
    exact = float(0.5 * (torch.logdet(covariance) + Quadratic.b @ mean))
    weights = prior.log_weights(200_000, torch.Generator().manual_seed(0))
    assert float(weights.logsumexp(0)) == pytest.approx(exact, abs=0.01)
    normal = torch.distributions.MultivariateNormal(mean, covariance)
    torch.testing.assert_close(prior.log_prob(latent) - exact, normal.log_prob(latent), atol=1e-4, rtol=0)


def test_a_prior_s_sample_is_its_seed_s_alone():
    prior = EnergyPrior(Quadratic(), 2, Chains(Langevin(), 3, 0.08))
    seeded = [prior.sample(7, torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*seeded)
    with pytest.raises(InputError, match=r"draws\.spread=false"):
        prior.spread(4)


def test_chains_of_a_posterior_feel_the_prior_s_energy():
    """Those of the tilted prior: precision and mean gain A and b."""
    torch.manual_seed(0)
    prior = EnergyPrior(Quadratic(), 2, Chains(MALA(), 1, 0.1))
    precision = torch.eye(2) + Quadratic.a + W.T @ W / SIGMA**2
    mean = torch.linalg.solve(precision, W.T @ (X - B) / SIGMA**2 + Quadratic.b)
    latent = ShortRunInference(Chains(MALA(), 60, 0.03))(linear(prior), X.expand(4_000, 3)).latent
    assert ((latent.mean(0) - mean).abs() < 4 * (precision.inverse().diagonal() / 4_000).sqrt()).all()


def test_an_encoder_s_bound_is_above_by_its_divergence_from_the_posterior():
    """−log p(x) + KL(r(z | x) ‖ p(z | x)), all of it known here; and its KL is that of its samples."""
    torch.manual_seed(0)
    mean, precision = posterior()
    covariance = precision.inverse()
    encoder, generator = AmortisedInference(Identity([3]), 2), linear()
    mean, scales = mean + 0.2, covariance.diagonal().sqrt()
    with torch.no_grad():
        encoder.last.weight.zero_()
        encoder.last.bias.copy_(torch.cat([mean, 5 * torch.atanh(scales.log() / 5)]))
    law = torch.distributions.MultivariateNormal(mean, torch.diag(scales**2))
    exact = torch.distributions.MultivariateNormal(mean - 0.2, covariance)
    divergence = torch.distributions.kl_divergence(law, exact)
    assert divergence > 0.1, "the test can tell"
    with torch.no_grad():
        terms = encoder.bound(generator, X.expand(100_000, 3))
    assert float(sum(terms.values())) == pytest.approx(float(divergence - EXACT), abs=0.015)
    latent, log_prob = encoder(generator, X.expand(50_000, 3))
    sampled = (log_prob - NormalPrior(2).log_prob(latent)).mean().detach()
    assert float(terms["kl"]) == pytest.approx(float(sampled), abs=0.03)
    assert torch.equal(encoder.eval()(generator, X[None]).latent[0], encoder.law(X[None])[0][0])


def test_the_kl_to_a_normal_law_is_torch_s():
    mean, log_std = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).unbind()
    law = torch.distributions.Normal(mean, log_std.exp())
    known = torch.distributions.kl_divergence(law, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(kl_to_normal(mean, log_std), known)


def test_a_taught_encoder_becomes_the_law_of_its_chains():
    """Exact chains from the encoder make it the posterior's mean and its own axes' variances."""
    torch.manual_seed(0)
    mean, precision = posterior()
    encoder = AmortisedInference(Identity([3]), 2)
    warm = WarmStarted(encoder, ShortRunInference(Chains(MALA(), 5, 0.05)))
    adam, x, generator = torch.optim.Adam(encoder.parameters(), lr=0.1), X.expand(256, 3), linear()
    for _ in range(60):
        latent = warm(generator, x).latent
        (loss,) = warm.learning_terms(generator, x, latent).values()
        adam.zero_grad()
        loss.backward()
        adam.step()
    law_mean, log_std = (part[0] for part in encoder.law(x))
    torch.testing.assert_close(law_mean, mean, atol=0.1, rtol=0)
    torch.testing.assert_close((2 * log_std).exp(), precision.inverse().diagonal(), atol=0.03, rtol=0)


def test_the_gradient_of_log_p_is_that_of_the_inferred_latents():
    """∇ log p(x) = E_{z | x}[∇ log p(x | z)], Fisher's identity, with chains for the posterior."""
    torch.manual_seed(0)
    generator = linear()
    latent = ShortRunInference(Chains(MALA(), 60, 0.03))(generator, X.expand(8_000, 3)).latent
    generator.log_likelihood(X.expand(8_000, 3), latent).mean().backward()
    weight, bias = generator.network.weight, generator.network.bias
    exact_weight, exact_bias = (p.detach().clone().requires_grad_() for p in (weight, bias))
    covariance = exact_weight @ exact_weight.T + SIGMA**2 * torch.eye(3)
    torch.distributions.MultivariateNormal(exact_bias, covariance).log_prob(X).backward()
    torch.testing.assert_close(weight.grad, exact_weight.grad, atol=0.1, rtol=0)
    torch.testing.assert_close(bias.grad, exact_bias.grad, atol=0.1, rtol=0)


def test_a_ranking_is_the_joint_and_its_parts():
    generator = linear(EnergyPrior(Quadratic(), 2, Chains(MALA(), 1, 0.1)))
    rank = JointRanking(generator, AmortisedInference(Identity([3]), 2).eval())
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    joint, reconstruction, prior, tilt = rank.scores(x).values()
    latent = rank.inference(generator, x).latent
    torch.testing.assert_close(joint, -generator.log_joint(x, latent))
    torch.testing.assert_close(joint, reconstruction + prior)
    torch.testing.assert_close(prior, tilt - NormalPrior(2).log_prob(latent))
    assert torch.equal(rank(x), joint)


def test_a_memory_gives_back_each_point_s_own_latent():
    memory, latent = LatentMemory(2), torch.randn(3, 2)
    memory.recall(torch.tensor([7, 1, 4]))
    memory.remember(torch.tensor([7, 1, 4]), latent)
    assert torch.equal(memory.recall(torch.tensor([4, 7])), latent[[2, 0]])
    other = LatentMemory(2)
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.recall(torch.tensor([1])), latent[[1]])
    torch.manual_seed(0)
    unseen = memory.recall(torch.arange(10, 2_010))
    assert unseen.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianLikelihood(0.0), "scale must be a positive number, got 0"),
        (lambda: NormalPrior(0), "latent_dim must be at least 1, got 0"),
        (
            lambda: EnergyPrior(nn.Linear(2, 1), 2, Chains(MALA(), 1, 0.1)),
            r"one number a latent.*got \(2, 1\)",
        ),
        (lambda: Generator(nn.Linear(2, 3), NormalPrior(2)).log_likelihood(X[None], X[None, :2]), "noise"),
        (lambda: UniformPrior(2).tilt(torch.zeros(1, 2)), "latents that are normal, .* got UniformPrior"),
    ],
)
def test_impossible_parts_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
