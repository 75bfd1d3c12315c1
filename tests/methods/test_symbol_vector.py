"""Laws of symbol-vector coupling: one symbol is LEBM, the information's bounds, a known law is recovered."""

import math
from functools import partial

import pytest
import torch
from small import parameters

from energy_gan.energies.classes import ClassEnergies
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.errors import InputError
from energy_gan.generators.energy_prior import EnergyPrior
from energy_gan.generators.mlp import MLPGenerator
from energy_gan.generators.output_noise import GaussianLikelihood
from energy_gan.generators.priors import NormalPrior
from energy_gan.inference.amortised import AmortisedInference
from energy_gan.inference.short_run import ShortRunInference
from energy_gan.inference.symbols import Information
from energy_gan.inference.warm_started import WarmStarted
from energy_gan.methods.latent_ebm import LatentEBM
from energy_gan.methods.symbol_vector import SymbolVector
from energy_gan.model import Model
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.memory import PersistentChains
from energy_gan.negatives.starts import FromNoise
from energy_gan.objectives import cross_entropy, symbol_information
from energy_gan.optim.learns import Learns
from energy_gan.run.compose import compose
from energy_gan.run.run import Run
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Batch

ADAM = Learns(partial(torch.optim.Adam, lr=0.01))


def method_of(page=SymbolVector, n_classes=3, inference=None, prior=None, **settings):
    """Two latents, points of four numbers."""
    torch.manual_seed(0)
    logits = torch.nn.Sequential(MLPFeatures([2], [8], last_activation="tanh"), torch.nn.Linear(8, n_classes))
    prior = prior or EnergyPrior(ClassEnergies(logits), 2, Chains(MALA(), 20, 0.3))
    generator = MLPGenerator([4], prior, [8], batch_norm=False, noise=GaussianLikelihood(0.3))
    amortised = AmortisedInference(MLPFeatures([4], [8]), 2)
    negatives = ChainNegatives(FromNoise(), PersistentChains([2], 64, 32), 5, 0.2, 0.7)
    settings = {"together": True, "prior_learns": ADAM, "negatives": negatives} | settings
    if page is SymbolVector:
        settings = {"information": Information(2.0, 0.0)} | settings
    return page([4], generator, ADAM, inference(amortised) if inference else amortised, **settings)


def batches(n):
    rng = torch.Generator().manual_seed(1)
    for step in range(n):
        torch.manual_seed(step)
        x = torch.randn(16, 4, generator=rng)
        yield Batch(x, torch.full((16,), -1), None, Batch(x[:5], torch.zeros(5, dtype=torch.long)))


def trained(method, n=5):
    for part in method.modules():
        if hasattr(part, "at"):
            part.at(1.0)
    for batch in batches(n):
        method.training_step(batch, 0)
    return parameters(method)


def test_with_one_symbol_it_is_lebm_bit_for_bit():
    symbols, plain = trained(method_of(n_classes=1)), trained(method_of(LatentEBM, n_classes=1))
    assert symbols.keys() == plain.keys()
    assert all(torch.equal(symbols[name], plain[name]) for name in plain)
    several = trained(method_of(n_classes=3)), trained(method_of(LatentEBM, n_classes=3))
    assert not all(torch.equal(several[0][name], several[1][name]) for name in several[1])


def test_information_is_between_nothing_and_log_k():
    even = torch.full((4,), 0.25)
    same, sure = torch.randn(4).expand(64, 4), 50 * torch.eye(4).repeat(16, 1)
    torch.testing.assert_close(symbol_information(same), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(symbol_information(sure), torch.tensor(math.log(4)))
    logits = torch.randn(64, 4) * 3
    found = symbol_information(logits)
    p = logits.softmax(1).double()
    by_hand = (p * (p.log() - p.mean(0).log())).sum(1).mean()
    torch.testing.assert_close(found.double(), by_hand, atol=1e-6, rtol=1e-5)
    assert 0 < found < math.log(4)
    torch.testing.assert_close(symbol_information(logits, even), found)
    assert symbol_information(torch.randn(64, 1)) == 0


def test_with_a_marginal_it_is_greatest_where_the_classes_have_these_shares():
    shares = torch.tensor([0.75, 0.25])
    fits = 50 * torch.eye(2)[[0, 0, 0, 1]]
    entropy = -(shares * shares.log()).sum()
    torch.testing.assert_close(symbol_information(fits, shares), entropy)
    for other in (50 * torch.eye(2)[[0, 1, 0, 1]], 5 * torch.eye(2)[[0, 0, 0, 1]], torch.zeros(4, 2)):
        assert symbol_information(other, shares) < entropy - 1e-3


def test_the_weight_of_the_information_rises_and_takes_the_labels_shares():
    information = Information(10.0, 0.5, "labels")
    weights = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        information.at(progress)
        weights.append(information.weight)
    assert weights == [0, 5, 10, 10]
    information.take(torch.tensor([0, 0, 0, 1, -1]), 2)
    assert information.shares.tolist() == [0.75, 0.25]
    assert torch.equal(
        information(torch.zeros(4, 2)), symbol_information(torch.zeros(4, 2), information.shares)
    )


def test_with_the_shares_that_it_finds_only_unsure_latents_are_moved():
    logits = torch.randn(64, 3, requires_grad=True)
    information = Information(1.0, 0.0, "found")(logits)
    torch.testing.assert_close(information, symbol_information(logits))
    log_p = logits.log_softmax(1)
    within = -(log_p.exp() * log_p).sum(1).mean()
    (found,), (expected,) = (torch.autograd.grad(value, logits) for value in (information, -within))
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_the_law_of_a_class_is_the_joint_law_of_it():
    prior, z = method_of().generator.prior, torch.randn(7, 2)
    log_y = prior.energy.classes(z).log_softmax(1)
    for number in range(3):
        own = prior.of_class(number)
        torch.testing.assert_close(own.log_prob(z), prior.log_prob(z) + log_y[:, number])
        assert {id(w) for w in own.parameters()} == {id(w) for w in prior.parameters()}


def test_a_mixture_whose_classes_are_known_is_recovered():
    """f_y(z) = 2 b_y·z makes of N(0, I) two normals at ±(2, 0), of variance 1."""
    torch.manual_seed(0)
    prior = EnergyPrior(ClassEnergies(torch.nn.Linear(2, 2)), 2, Chains(MALA(), 200, 0.5, 0.7))
    negatives = ChainNegatives(FromNoise(), PersistentChains([2], 256, 128), 5, 0.5, 0.7)
    method = method_of(prior=prior, negatives=negatives, cross_entropy=1.0, information=Information(0.0))
    learner = method.players[0]
    for step in range(150):
        labels = torch.arange(256) % 2
        z = torch.randn(256, 2) + 2 * torch.stack([1.0 - 2 * labels, torch.zeros(256)], 1)
        terms = {
            **super(SymbolVector, method).prior_terms(Batch(z), z),
            "labelled": cross_entropy(method.classes(z), labels),
        }
        for group in learner.optimizer.param_groups:
            group["lr"] = 0.05 * (1 - step / 150)
        method.descend(learner, terms)
    for number, sign in ((0, 1), (1, -1)):
        samples = prior.of_class(number).sample(2_000, torch.Generator().manual_seed(0))
        torch.testing.assert_close(samples.mean(0), torch.tensor([2.0 * sign, 0.0]), atol=0.25, rtol=0)
        torch.testing.assert_close(samples.var(0), torch.ones(2), atol=0.15, rtol=0)
    logits = method.classes(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).softmax(1)
    torch.testing.assert_close(logits[:, 0], torch.sigmoid(torch.tensor([4.0, -4.0])), atol=0.05, rtol=0)


def test_each_side_learns_from_the_labels_by_its_own_weights():
    method, batch = method_of(), next(batches(1))
    latent = method.infer(batch)
    terms = {name: player.terms(batch, latent) for name, player in zip("pi", method.players, strict=True)}
    assert terms["p"].keys() == {
        "prior_positive_phase",
        "prior_negative_phase",
        "prior_symbols",
        "prior_labelled",
    }
    assert terms["i"].keys() == {"inference_reconstruction", "inference_kl", "inference_symbols", "labelled"}
    expected = 200 * cross_entropy(
        method.classes(method.inference.law(batch.x[:5])[0]), batch.labelled.labels
    )
    torch.testing.assert_close(terms["i"]["labelled"], expected)
    torch.testing.assert_close(terms["p"]["prior_labelled"], expected)
    decoder = torch.autograd.grad(
        terms["i"]["labelled"], method.generator.network.parameters(), allow_unused=True
    )
    assert all(gradient is None for gradient in decoder)


@pytest.mark.parametrize("short_run", [True, False])
def test_chains_may_infer_or_refine(short_run):
    chains = ShortRunInference(Chains(MALA(), 3, 0.01))
    if short_run:
        method = method_of(inference=lambda _: chains, together=False)
    else:
        method = method_of(
            inference=lambda a: WarmStarted(a, chains, False), together=False, inference_learns=ADAM
        )
    before = parameters(method)
    after = trained(method, 2)
    assert all(not torch.equal(before[n], after[n]) for n in before if not n.endswith("1.bias")), "all learn"
    assert Model(method.eval()).classify(torch.randn(3, 4)).shape == (3, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"prior": NormalPrior(2), "prior_learns": None, "negatives": None},
            "an EnergyPrior whose energy has classes",
        ),
        ({"cross_entropy": -1.0}, "cross_entropy must be a number of at least 0"),
        ({"information": Information(1.0, 0.0, [0.5, 0.5])}, "has 2 shares and there are 3 classes"),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        method_of(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((-1.0,), "weight must not be negative"),
        ((1.0, 2.0), "rise a share"),
        ((1.0, 0.1, [0.5, 0.6]), "add up to 1"),
    ],
)
def test_impossible_settings_of_the_information_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Information(*settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["data=eight_gaussians"], "needs points with labels and these have none"),
        (
            ["data=digits", "data.n_classes=7"],
            "the data have 10 classes and the prior's energy 7: give data.n_classes=10",
        ),
        (["data=digits", "data.labels=500"], "data.labels=500 are asked of each class and"),
    ],
)
def test_labels_that_are_not_there_are_one_line_before_training(given, message, tmp_path):
    config = compose([*given, "method=symbol_vector", f"run_dir='{tmp_path / 'run'}'", "logger.wandb=null"])
    config["callbacks"] = {"progress": None}
    with pytest.raises(InputError, match=message):
        Run(config).fit()
