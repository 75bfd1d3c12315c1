"""Laws of a generator with a density: noise, pieces, mixture, and the bounds that rest on them."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from energy_gan.errors import InputError
from energy_gan.generator_terms.denoising_entropy import DenoisingEntropy
from energy_gan.generator_terms.energy_likelihood import EnergyLikelihood
from energy_gan.generator_terms.recognised_likelihood import RecognisedLikelihood
from energy_gan.generator_terms.semi_implicit_entropy import SemiImplicitEntropy
from energy_gan.generator_terms.variational_entropy import VariationalEntropy
from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.mixed_prior import MixedPrior
from energy_gan.generators.mixture import log_mixture
from energy_gan.generators.mlp import MLPGenerator
from energy_gan.generators.output_noise import FixedNoise, LearnedNoise, noise_log_prob
from energy_gan.generators.priors import NormalPrior, UniformPrior
from energy_gan.inference.recognition import Recognition
from energy_gan.negatives.base import Negatives


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def prior():
    prior = MixedPrior(bits=3, uniforms=2)
    torch.nn.init.normal_(prior.logits, generator=rng())
    return prior


@pytest.fixture(params=["isotropic", "diagonal", "full"])
def generator(request, prior):
    torch.manual_seed(0)
    generator = MLPGenerator(
        [2], prior, [16], "silu", batch_norm=False, noise=LearnedNoise([2], request.param, start=0.5)
    )
    torch.nn.init.normal_(generator.network[-1].weight, generator=rng(1))
    return generator


def factors(draw):
    """L(z), whatever the kind of noise."""
    if draw.scale.ndim == 3:
        return draw.scale
    return torch.diag_embed(draw.scale.expand(len(draw.clean), 2))


# ---- priors


def test_pieces_are_drawn_by_their_shares(prior):
    for latent in (prior.sample(100_000, rng()), prior.spread(100_000)):
        counts = torch.bincount(prior.piece_of(latent), minlength=8) / 100_000
        torch.testing.assert_close(counts, prior.logits.softmax(0), atol=0.01, rtol=0)
        assert latent[:, 3:].abs().max() <= 1
        torch.testing.assert_close(latent[:, 3:].var(0), torch.full((2,), 1 / 3), atol=0.01, rtol=0)
    torch.testing.assert_close(prior.bits_of(prior.piece_of(latent)), latent[:, :3])
    everywhere = prior.bits_of(torch.arange(8))
    total = prior.log_prob(torch.cat([everywhere, torch.zeros(8, 2)], 1)).exp().sum() * 4  # area of (−1, 1)²
    assert total.item() == pytest.approx(1)


@pytest.mark.parametrize("prior", [UniformPrior(3), NormalPrior(3), MixedPrior(4, 2)])
def test_spread_latents_have_the_law_and_less_variance(prior):
    torch.manual_seed(0)
    spread = torch.stack([prior.spread(64).square().mean(0) for _ in range(300)])
    free = torch.stack([prior.sample(64).square().mean(0) for _ in range(300)])
    torch.testing.assert_close(spread.mean(0), free.mean(0), atol=0.06, rtol=0)
    varied = free.var(0) > 1e-8  # bits squared are 1
    assert (spread.var(0)[varied] < 0.5 * free.var(0)[varied]).all()


# ---- noise and mixture


def test_samples_of_one_latent_have_the_noise_s_moments(generator):
    latent = generator.prior.sample(1, rng()).expand(50_000, -1)
    draw = generator.draw(latent, rng(1))
    covariance = factors(draw)[0] @ factors(draw)[0].T
    torch.testing.assert_close(draw.samples.mean(0), draw.clean[0], atol=0.01, rtol=0)
    torch.testing.assert_close(draw.samples.T.cov(), covariance, atol=0.01, rtol=0)


def test_the_mixture_is_torch_s(generator):
    generator.double()
    draw = generator.draw(generator.prior.sample(20, rng()).double(), rng(1))
    normals = MultivariateNormal(draw.clean, scale_tril=factors(draw))
    torch.testing.assert_close(
        noise_log_prob(draw.samples, draw.clean, draw.scale), normals.log_prob(draw.samples)
    )
    law = MixtureSameFamily(Categorical(torch.ones(20)), normals)
    x = torch.randn(30, 2, generator=rng(2), dtype=torch.float64, requires_grad=True)
    weights = list(generator.network[-1].parameters())
    ours, theirs = log_mixture(x, draw._replace(log_shares=None)), law.log_prob(x)
    torch.testing.assert_close(ours, theirs)
    for got, wanted in zip(
        torch.autograd.grad(ours.sum(), [x, *weights], retain_graph=True),
        torch.autograd.grad(theirs.sum(), [x, *weights]),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted)


def test_the_shares_get_the_gradient_of_the_expectation(prior):
    """∂/∂logits Σ π v: with all pieces drawn in proportion, the batch's gradient is the exact one."""
    value = torch.randn(8, generator=rng(3), dtype=torch.float64)
    exact = torch.autograd.grad(prior.double().logits.softmax(0) @ value, prior.logits)[0]
    torch.manual_seed(0)
    latent = prior.spread(2**15)
    draw = Draw(latent, latent, latent, None, prior.log_share(latent))
    torch.testing.assert_close(draw.log_weights.exp().sum().item(), 1.0)
    got = torch.autograd.grad(draw.mean(value[prior.piece_of(latent)]), prior.logits)[0]
    torch.testing.assert_close(got, exact, atol=1e-3, rtol=0)


def test_the_limit_of_the_noise_falls_from_start_to_end():
    noise = LearnedNoise([2], start=1.0, end=0.25, until=0.5)
    for progress, limit in ((0.0, 1.0), (0.25, 0.5), (0.5, 0.25), (1.0, 0.25)):
        noise.at(progress)
        assert noise.limit.item() == pytest.approx(limit)
        _, scale = noise(10 * torch.randn(500, 2 + noise.size, generator=rng()))
        assert scale.diagonal(dim1=1, dim2=2).min() >= 0.01
        assert scale.abs().max() <= limit + 1e-6


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LearnedNoise([2], least=2.0), "least must be positive and below start and end, got 2.0"),
        (lambda: FixedNoise(start=0.0), "start and end of the noise must be positive"),
        (lambda: FixedNoise(until=2.0), "until must be a share of the training steps"),
        (lambda: MixedPrior(bits=0), "bits must be at least 1"),
        (lambda: MixedPrior(bits=30), "bits must be at most 32, at most 16 where shares are learned"),
        (lambda: RecognisedLikelihood(0), "guesses must be at least 1, got 0"),
    ],
)
def test_impossible_parts_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# ---- bounds


def truth(generator, x, n=4_096):
    """log q(x), by a mixture of very many latents."""
    with torch.no_grad():
        return log_mixture(x, generator.draw(generator.prior.spread(n)))


def test_the_semi_implicit_bound_is_below_the_entropy_and_closes(generator):
    torch.manual_seed(0)
    with torch.no_grad():
        entropy = -truth(generator, generator.draw(generator.prior.spread(4_096)).samples).mean()

        def bound(n, times):
            draws = (generator.draw(generator.prior.sample(n)) for _ in range(times))
            return torch.stack([SemiImplicitEntropy()(generator, draw, None) for draw in draws]).mean()

        few, many = bound(8, 400), bound(256, 20)
    assert few < entropy - 0.1
    assert few < many < entropy + 0.02
    assert many > entropy - 0.1


def recognising(generator):
    torch.manual_seed(1)
    generator.recognition = Recognition([2], 3, 2, hidden=[32])
    return generator


def test_the_variational_bound_is_below_the_entropy_and_learning_closes_it(generator):
    generator = recognising(generator)
    entropy = -truth(generator, generator.draw(generator.prior.spread(4_096)).samples).mean()
    term, optimizer = VariationalEntropy(), torch.optim.Adam(generator.recognition.parameters(), 0.01)
    bounds = []
    for _ in range(150):
        bounds.append(term(generator, generator.draw(generator.prior.sample(256)), None))
        optimizer.zero_grad()
        (-bounds[-1]).backward()
        optimizer.step()
    bounds = torch.stack(bounds).detach()
    assert (bounds[:5].mean() < bounds[-20:].mean()) & (bounds[-20:].mean() < entropy + 0.02)


def test_recognition_is_a_law_over_the_latents(generator):
    recognition = recognising(generator).recognition
    n = 300  # cells along each side of (−1, 1)²
    side = (torch.arange(n) + 0.5) * 2 / n - 1
    places = torch.cartesian_prod(side, side)
    x = torch.tensor([[0.3, -0.2]]).expand(len(places), -1)
    total = 0.0
    for piece in range(8):
        bits = recognition.codec.bits_of(torch.full((len(places),), piece))
        total += recognition.log_prob(torch.cat([bits, places], 1), x).exp().sum().item() * (2 / n) ** 2
    assert total == pytest.approx(1, abs=0.02)


def test_recognition_infers_latents_with_their_probabilities(generator):
    """What the contract asks for: drawn as by `sample`, and log r(z | x) of what was drawn."""
    recognition, x = recognising(generator).recognition, torch.randn(50, 2, generator=rng(4))
    torch.manual_seed(3)
    latent, log_prob = recognition(generator, x)
    torch.manual_seed(3)
    assert torch.equal(latent, recognition.sample(x))
    assert not latent.requires_grad
    torch.testing.assert_close(log_prob, recognition.log_prob(latent, x))
    gradients = torch.autograd.grad(log_prob.sum(), list(recognition.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients), "it can be trained by it"


def test_more_guesses_bound_the_likelihood_more_closely(generator):
    generator = recognising(generator)
    torch.manual_seed(2)
    y = generator.draw(generator.prior.sample(400)).samples.detach()
    negatives, draw = Negatives(y), generator.draw(generator.prior.sample(400))
    with torch.no_grad():
        one, many = (RecognisedLikelihood(k)(generator, draw, negatives) for k in (1, 200))
        exact = truth(generator, y).mean()
    assert one < many < exact + 0.02
    assert many > exact - 0.3


def test_the_likelihood_is_of_the_weighted_samples(generator):
    """Targets drawn by exp(w − E): all the weight on one sample gives that sample's likelihood."""
    draw = generator.draw(generator.prior.sample(64, rng()), rng(1))
    x = torch.randn(10, 2, generator=rng(2))
    weights = torch.full((10,), -1e3)
    weights[7] = 0.0
    value = EnergyLikelihood()(generator, draw, Negatives(x, weights, torch.zeros(10)))
    torch.testing.assert_close(value, log_mixture(x[7:8], draw)[0])


def test_denoising_gives_the_entropy_s_gradient():
    """x = s z, z ~ N(0, 1): with the exact network, dH/ds = s / (s² + σ²), that of the noised law."""
    term = DenoisingEntropy([1], start=0.5, end=0.5)
    s = torch.tensor(1.3, requires_grad=True)
    variance = 1.3**2 + 0.5**2
    term.network = torch.nn.Linear(1, 1)  # ε̂(x̃) = σ x̃ / (s² + σ²)
    torch.nn.init.constant_(term.network.weight, 0.5 / variance)
    torch.nn.init.zeros_(term.network.bias)
    z = torch.randn(200_000, 1, generator=rng())
    draw = Draw(z, s * z, s * z)
    value = term(Generator(torch.nn.Identity(), NormalPrior(1)), draw, None)
    assert value.item() == 0
    (gradient,) = torch.autograd.grad(value, s)
    assert gradient.item() == pytest.approx(1.3 / variance, rel=0.02)


def test_denoising_learns_the_score():
    term = DenoisingEntropy([2], hidden=[32], start=0.5, end=0.5)
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(term.parameters(), 0.01)
    for _ in range(300):
        z = torch.randn(256, 2)
        optimizer.zero_grad()
        term.learning_terms(Draw(z, z, z), z)["denoising"].backward()
        optimizer.step()
    x = torch.randn(200, 2, generator=rng())
    error = (term.score(x) + x / (1 + 0.25)).square().mean()
    assert error < 0.05, "∇ log N(x; 0, 1 + σ²) = −x / (1 + σ²), of mean square 0.64"


def test_a_bound_says_what_it_lacks():
    generator = MLPGenerator([2], UniformPrior(4))
    draw = generator.draw(generator.prior.sample(8))
    with pytest.raises(InputError, match=r"give method\.generator\.noise"):
        SemiImplicitEntropy()(generator, draw, None)
    with pytest.raises(InputError, match=r"method\.generator\.recognition"):
        VariationalEntropy()(generator, draw, None)
    assert math.isfinite(draw.mean(torch.ones(8)).item())
