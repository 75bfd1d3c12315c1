"""Laws of the methods that infer latents: the triangle's lines, a memory of each point, the watch's names."""

import math

import pytest
import torch
from torch import nn

from energy_gan.callbacks.divergence import StopDivergence
from energy_gan.energies.mlp import Identity
from energy_gan.energies.pairs import MLPStatistics, PairEnergy
from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.energy_prior import EnergyPrior
from energy_gan.generators.output_noise import GaussianLikelihood
from energy_gan.generators.priors import NormalPrior
from energy_gan.inference.amortised import AmortisedInference
from energy_gan.inference.short_run import ShortRunInference
from energy_gan.methods.base import Method
from energy_gan.methods.divergence_triangle import DivergenceTriangle
from energy_gan.methods.latent_ebm import LatentEBM
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.memory import PersistentChains, WeightedChains
from energy_gan.negatives.starts import FromNoise
from energy_gan.optim.learns import Learns
from energy_gan.optim.schedules import cosine
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Batch

SGD = Learns(lambda parameters: torch.optim.SGD(parameters, lr=0.1))
W = torch.tensor([[1.0, 0.6], [-0.6, 1.0], [0.0, 0.0]])  # of orthogonal columns: the posterior is diagonal
SIGMA = 0.5


def triangle(normalised=False, **settings):
    """x = W z + σ ε beside the encoder that is its posterior."""
    torch.manual_seed(0)
    generator = Generator(nn.Linear(2, 3), NormalPrior(2), GaussianLikelihood(SIGMA, in_samples=True))
    encoder = AmortisedInference(Identity([3]), 2)
    precision = 1 + W[:, 0].square().sum() / SIGMA**2
    with torch.no_grad():
        generator.network.weight.copy_(W)
        generator.network.bias.zero_()
        encoder.last.weight.zero_()
        encoder.last.weight[:2].copy_(W.T / SIGMA**2 / precision)
        encoder.last.bias.zero_()
        encoder.last.bias[2:] = 5 * torch.atanh(-0.5 * precision.log() / 5)
    energy = PairEnergy(MLPStatistics([3], 2, hidden=[16], activation="silu"), normalised)
    return DivergenceTriangle([3], energy, SGD, generator, SGD, encoder, SGD, **settings)


def model_s_own(method, n):
    """Points of the generator's law."""
    with torch.no_grad():
        return method.generator.draw(method.generator.prior.sample(n)).samples


def gradient(player, *arguments):
    gradients = torch.autograd.grad(sum(player.terms(*arguments).values()), player.parameters)
    return torch.cat([part.flatten() for part in gradients])


def test_where_both_joint_laws_are_one_the_energy_of_pairs_stays():
    """Q = P: its gradient is 0 but for chance, which falls with the pairs; where they differ it does not."""
    method = triangle()
    player, n = method.players[0], 40_000
    x = model_s_own(method, n)
    same, other = (gradient(player, x_, method.generator.prior.sample(n)).norm() for x_ in (x, 1.5 * x))
    assert same < 0.02
    assert other > 10 * same


def test_the_encoder_s_entropy_cancels_at_weight_1_and_counts_beyond():
    """Where nothing depends on z, ∂/∂ log σ is λ (σ² − 1) + 1: positive at λ = 1, then 0 at σ² = 1 − 1/λ."""
    for weight, at_rest in ((1.0, None), (2.0, 0.5)):
        method = triangle(bound_weight=weight)
        with torch.no_grad():
            method.generator.network.weight.zero_()
            for part in method.energy.parameters():
                part.zero_()
        log_std = torch.tensor(-0.5 if at_rest is None else 0.5 * math.log(at_rest))
        with torch.no_grad():
            method.inference.last.weight.zero_()
            method.inference.last.bias[:2] = 0
            method.inference.last.bias[2:] = 5 * torch.atanh(log_std / 5)
        x = torch.zeros(8, 3)
        found = gradient(method.players[1], x, torch.zeros(8, 2))[-2:]
        expected = weight * (math.exp(2 * log_std) - 1) + 1
        assert found.tolist() == pytest.approx([expected * (1 - (log_std.item() / 5) ** 2)] * 2, abs=1e-5)


def test_the_lines_of_the_triangle_are_those_of_its_divergence():
    """Encoder and generator descend λ KL(Q ‖ P) + KL(P ‖ Π) − KL(Q ‖ Π), here of sampled KLs."""
    method = triangle(bound_weight=1.5)
    x, latent = torch.randn(8_192, 3), method.generator.prior.sample(8_192)
    _, encoder, generator = method.players

    torch.manual_seed(1)
    z, log_prob = method.inference(method.generator, x)
    made = method.generator.draw(latent).samples
    of_data = 1.5 * (log_prob - method.generator.log_joint(x, z)) - log_prob - method.energy(x, z)
    divergence = of_data.mean() + method.energy(made, latent).mean()
    for player, least in ((encoder, 0.98), (generator, 0.999999)):  # the encoder's own KL is exact
        exact = torch.autograd.grad(divergence, player.parameters, retain_graph=True)
        torch.manual_seed(1)
        ours = gradient(player, x, latent)
        assert torch.cosine_similarity(torch.cat([g.flatten() for g in exact]), ours, 0) > least


def test_with_the_true_energy_the_divergence_is_0_and_the_encoder_has_nothing_to_learn():
    """Q = P and E = −log P(x, z): each line of the encoder cancels, whatever x is; and KL(P ‖ Π) = 0."""
    method = triangle()
    method.energy = PairEnergy(MLPStatistics([3], 2, hidden=[4]), normalised=False)
    method.energy.forward = lambda x, latent: -method.generator.log_joint(x, latent)
    torch.manual_seed(2)
    n = 40_000
    total = sum(method.encoder_terms(model_s_own(method, n), torch.zeros(n, 2)).values())
    assert float(total.detach()) == pytest.approx(0, abs=0.05)


def test_the_prior_s_gradient_is_that_of_the_likelihood():
    """∂ log p(x) / ∂θ = E_prior[∂U] − E_{z | x}[∂U], here of both integrals by a grid over two latents."""
    torch.manual_seed(0)
    energy = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))
    prior = EnergyPrior(energy, 2, Chains(MALA(), 100, 0.3, target=0.7))
    generator = Generator(nn.Linear(2, 3), prior, GaussianLikelihood(SIGMA))
    x, line = torch.tensor([1.0, 0.3, -0.2]), torch.linspace(-6, 6, 161)
    grid = torch.cartesian_prod(line, line)
    joint = generator.log_joint(x.expand(len(grid), 3), grid).logsumexp(0)
    exact = torch.autograd.grad(joint - prior.log_prob(grid).logsumexp(0), energy.parameters())
    n = 6_000
    inferred = ShortRunInference(Chains(MALA(), 100, 0.05, target=0.7))(generator, x.expand(n, 3)).latent
    two_chains = energy(prior.sample(n)).mean() - energy(inferred).mean()
    found = torch.autograd.grad(two_chains, energy.parameters())
    for ours, known in zip(found, exact, strict=True):
        torch.testing.assert_close(ours, known, atol=0.04, rtol=0)


def test_layers_of_a_normalised_energy_have_norm_1():
    energy = triangle(normalised=True).energy
    for _ in range(30):
        energy(torch.randn(4, 3), torch.randn(4, 2))
    for layer in energy.modules():
        if isinstance(layer, nn.Linear):
            assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.01)


class Quadratic(nn.Module):
    """U(z) = ½ zᵀ A z − bᵀ z, A and b to learn."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))

    def forward(self, latent):
        return 0.5 * ((latent @ self.a) * latent).sum(1) - latent @ self.b


@pytest.mark.parametrize("memory", [PersistentChains, WeightedChains])
def test_a_prior_s_energy_learns_the_law_of_the_latents(memory):
    """Of z⁺ ~ N(μ, S), and a U that is quadratic: N((I + A)⁻¹ b, (I + A)⁻¹) comes to be that."""
    torch.manual_seed(0)
    mean, covariance = torch.tensor([0.5, -0.5]), torch.tensor([[0.6, 0.2], [0.2, 0.5]])
    law = torch.distributions.MultivariateNormal(mean, covariance)
    prior = EnergyPrior(Quadratic(), 2, Chains(MALA(), 50, 0.1, target=0.7))
    generator = Generator(nn.Linear(2, 3), prior, GaussianLikelihood(SIGMA))
    negatives = ChainNegatives(FromNoise(), memory([2], 1_024, 512), 5, 0.1, target=0.7)
    adam = Learns(lambda parameters: torch.optim.Adam(parameters, lr=0.1), schedule=cosine)
    inference = ShortRunInference(Chains(MALA(), 1, 0.1))
    method = LatentEBM([3], generator, SGD, inference, prior_learns=adam, negatives=negatives)
    player, steps = method.players[0], 120
    for step in range(steps):
        player.at(step / steps)
        method.descend(player, player.terms(Batch(torch.zeros(512, 3)), law.sample((512,))))
    precision = torch.eye(2) + 0.5 * (prior.energy.a + prior.energy.a.T).detach()
    learned = torch.linalg.solve(precision, prior.energy.b.detach())
    found = torch.distributions.MultivariateNormal(learned, precision_matrix=precision)
    assert torch.distributions.kl_divergence(law, found) < 0.01


def method_of(name, *overrides) -> Method:
    torch.manual_seed(0)
    return build(compose(["data=eight_gaussians", f"method={name}", *overrides])["method"], "method").train()


def test_each_point_s_chain_goes_on_from_where_it_was():
    method, x, index = method_of("abp"), torch.randn(8, 2), torch.arange(8)
    likelihoods = []
    for _ in range(30):
        latent = method.infer(Batch(x, None, index))
        with torch.no_grad():
            likelihoods.append(float(method.generator.log_likelihood(x, latent).mean()))
    assert torch.equal(method.memory.recall(index), latent)
    assert likelihoods[-1] > likelihoods[0] + 1


def test_the_watch_names_both_kinds_of_chains_and_latents():
    method = method_of("lebm")
    method.training_step(Batch(torch.randn(64, 2)), 0)
    named = set(StopDivergence().measured(method, torch.randn(64, 2)))
    assert named >= {
        "the acceptance rate of the prior chains",
        "the acceptance rate of the posterior chains",
        "the mean energy of the prior latents",
        "the mean energy of the posterior latents",
    }


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("vae", ["method.generator.prior.latent_dim=0"], "latent_dim must be at least 1, got 0"),
        ("vae", ["method.generator.noise.scale=0.0"], "scale must be a positive number, got 0"),
        ("lebm", ["method.prior_learns=null"], "the prior has a network of its own: give prior_learns"),
        ("lebm", ["method.inference_learns=null"], "the inference has a network of its own"),
        ("lebm", ["method.negatives=null"], "needs negatives"),
        ("triangle", ["method.bound_weight=0.0"], "bound_weight must be a positive number, got 0"),
        (
            "abp",
            ["method.generator.prior._target_=energy_gan.generators.priors.UniformPrior"],
            "latents that are normal",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_refused(name, overrides, message):
    with pytest.raises(InputError, match=message):
        method_of(name, *overrides)
