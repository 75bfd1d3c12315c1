"""Laws of the alternating step: its gradients, who moves, and that a resumed run is the same run."""

import os
import signal
from functools import partial

import pytest
import torch
from lightning import Callback
from small import ADAGRAD, Blobs, equal, fit, parameters, quiet_trainer, small_method, weights

from energy_gan.callbacks.checkpoint import SaveCheckpoints
from energy_gan.energies.experts import ProductOfExperts
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.generator_terms.batch_norm_entropy import BatchNormEntropy
from energy_gan.generator_terms.critic import Critic
from energy_gan.generators.base import Generator
from energy_gan.generators.priors import NormalPrior
from energy_gan.methods.energy_gan import EnergyGAN
from energy_gan.methods.maximum_likelihood import MaximumLikelihood
from energy_gan.methods.players import Draws, Step
from energy_gan.negatives.generator import GeneratorNegatives
from energy_gan.negatives.grid import GridNegatives
from energy_gan.objectives import classifier, maximum_likelihood
from energy_gan.optim.learns import Learns
from energy_gan.optim.muon import COEFFICIENTS, ITERATIONS, MuonWithAdam, orthogonal
from energy_gan.optim.schedules import cosine
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.shapes import Batch, Negatives

LEARNS = Learns(ADAGRAD)


def negatives_of(energies, log_weights=None):
    return Negatives(torch.zeros(len(energies), 2), log_weights, energies)


def step_of(method, x, z=None):
    """A training step in which every move has the latents z."""
    z = method.generator.prior.sample(len(x)) if z is None else z
    return Step(x, method.generator, Draws(reuse="latents"), kept=z)


def test_energy_gradient_is_equation_7_by_hand():
    """∇L = mean ∇E(x⁺) − mean ∇E(x⁻), summed point by point, in float64."""
    method = small_method().double()
    x, z = torch.randn(16, 2).double(), method.generator.prior.sample(16).double()
    with torch.no_grad():
        x_negative = method.generator(z)

    def mean_gradient(points):
        gradients = [torch.autograd.grad(method.energy(p[None]).sum(), weights_) for p in points]
        return [torch.stack(g).mean(0) for g in zip(*gradients, strict=True)]

    weights_ = [p for p in method.energy.parameters() if p.requires_grad]
    by_hand = [a - b for a, b in zip(mean_gradient(x), mean_gradient(x_negative), strict=True)]
    loss = sum(method.energy_terms(step_of(method, x, z)).values())
    torch.testing.assert_close(list(torch.autograd.grad(loss, weights_)), by_hand, rtol=1e-10, atol=1e-12)


def test_weighted_negatives_give_the_exact_likelihood():
    """With grid points and log areas the two terms sum to −log p, and the gradient is its own."""
    energies = torch.randn(5, dtype=torch.float64, requires_grad=True)
    log_areas = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64))
    positive = torch.tensor([0.7, -0.2], dtype=torch.float64)
    terms = maximum_likelihood(positive, negatives_of(energies, log_areas))
    normaliser = (log_areas.exp() * (-energies).exp()).sum()
    torch.testing.assert_close(sum(terms.values()), positive.mean() + normaliser.log())
    (gradient,) = torch.autograd.grad(terms["negative_phase"], energies)
    torch.testing.assert_close(gradient, -(log_areas.exp() * (-energies).exp() / normaliser).detach())


def test_squares_are_those_of_the_energy_in_its_papers_units():
    """T times the loss of E = F / T is F⁺ − F⁻ + α (F⁺² + F⁻²)."""
    positive, negative, temperature = torch.randn(7), torch.randn(5), 0.03
    terms = maximum_likelihood(positive, negatives_of(negative), squares=0.7, temperature=temperature)
    f, g = temperature * positive, temperature * negative
    expected = f.mean() - g.mean() + 0.7 * (f.square().mean() + g.square().mean())
    torch.testing.assert_close(temperature * sum(terms.values()), expected)
    assert "squares" not in maximum_likelihood(positive, negatives_of(negative))


def test_classifier_is_logistic_loss():
    """Eq. 8: binary cross-entropy of P(data | x) = σ(−E(x)) over both kinds."""
    positive, negative = torch.randn(9), torch.randn(9)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        -torch.cat([positive, negative]), torch.cat([torch.ones(9), torch.zeros(9)])
    )
    torch.testing.assert_close(sum(classifier(positive, negatives_of(negative)).values()), expected)


def test_classifier_gradient_is_half_of_maximum_likelihood_where_the_two_kinds_cannot_be_told():
    """Eq. 8's last line: at P(y | x) = ½ the gradient is ½ · ½ of Eq. 7's."""
    energies = torch.zeros(8, requires_grad=True)
    (of_classifier,) = torch.autograd.grad(
        sum(classifier(energies[:4], negatives_of(energies[4:])).values()), energies
    )
    (of_likelihood,) = torch.autograd.grad(
        sum(maximum_likelihood(energies[:4], negatives_of(energies[4:])).values()), energies
    )
    torch.testing.assert_close(of_classifier, of_likelihood / 4)


@pytest.mark.parametrize("mover", ["energy", "generator"])
def test_a_move_leaves_the_other_player_bitwise_unchanged(mover):
    method = small_method()
    energy, generator = parameters(method.energy), parameters(method.generator)
    player = next(p for p in method.players if p.name == mover)
    method.descend(player, player.terms(step_of(method, torch.randn(16, 2))))
    assert equal(energy, parameters(method.energy)) == (mover == "generator")
    assert equal(generator, parameters(method.generator)) == (mover == "energy")
    other = method.generator if mover == "energy" else method.energy
    assert all(p.grad is None for p in other.parameters())


def test_every_weight_moves():
    method = small_method()
    before = parameters(method)
    fit(method, 5)
    still = [name for name, value in parameters(method).items() if torch.equal(value, before[name])]
    assert not still, f"never moved: {still}"


def test_the_classifier_is_an_interchangeable_objective():
    method = small_method(objective=classifier)
    before = parameters(method.energy)
    fit(method, 3)
    assert 0 < method.reported["train/positive_phase"] + method.reported["train/negative_phase"] < 2
    assert not equal(before, parameters(method.energy))


@pytest.mark.parametrize(("energy_steps", "generator_steps"), [(1, 1), (3, 2)])
def test_one_batch_is_one_step(energy_steps, generator_steps):
    method = small_method(
        energy_learns=Learns(ADAGRAD, steps=energy_steps),
        generator_learns=Learns(ADAGRAD, steps=generator_steps),
    )
    trainer = fit(method, 11)
    assert trainer.global_step == trainer.fit_loop.epoch_loop.total_batch_idx + 1 == method.step == 11


def test_order_and_latents_are_settings():
    def moves(**settings):
        method, seen = small_method(**settings), []
        for player in method.players:

            def terms(step, name=player.name, terms=player.terms):
                found = terms(step)
                seen.append((name, step.kept))
                return found

            player.terms = terms
        method.training_step(Batch(torch.randn(16, 2)), 0)
        return [name for name, _ in seen], all(torch.equal(z, seen[0][1]) for _, z in seen)

    assert moves() == (["energy", "generator"], True)
    assert moves(generator_first=True, draws=Draws(reuse="nothing")) == (["generator", "energy"], False)
    assert moves(energy_learns=Learns(ADAGRAD, steps=2))[0] == ["energy", "energy", "generator"]


@pytest.mark.parametrize("stop", [7, 14, 30])  # 30 lies past the first epoch of 25 batches
def test_a_resumed_run_is_the_uninterrupted_run_bit_for_bit(tmp_path, stop):
    settings = {"generator_learns": Learns(ADAGRAD, cosine)}
    whole = small_method(**settings)
    fit(whole, 40, tmp_path / "whole")

    fit_until(small_method(**settings), 40, tmp_path / "cut", stop)
    torch.manual_seed(12345)  # a fresh process has another random state
    resumed = small_method(**settings)
    torch.nn.init.normal_(resumed.energy.linear)  # and other weights, until the checkpoint is read
    fit(resumed, 40, tmp_path / "cut", resume=tmp_path / f"cut/step_{stop:09d}.ckpt")
    assert equal(weights(whole), weights(resumed))
    for a, b in zip(whole.players, resumed.players, strict=True):
        pairs = zip(a.optimizer.state.values(), b.optimizer.state.values(), strict=True)
        assert all(torch.equal(s["sum"], t["sum"]) for s, t in pairs)


def test_sigterm_ends_a_run_after_its_step_and_nothing_is_lost(tmp_path):
    class Terminate(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if pl_module.step == 9:
                os.kill(os.getpid(), signal.SIGTERM)

    whole = small_method()
    fit(whole, 40, tmp_path / "whole")
    with pytest.raises(SystemExit) as ended:
        fit(small_method(), 40, tmp_path / "cut", callbacks=[Terminate()])
    assert ended.value.code == 143
    resumed = small_method()
    fit(resumed, 40, tmp_path / "cut", resume=tmp_path / "cut/step_000000010.ckpt")
    assert equal(weights(whole), weights(resumed))


def test_adagrad_can_have_its_epsilon_inside_the_root():
    """The author's w ← w − lr·g/√(Σg² + 1e-6) is torch's initial_accumulator_value=1e-6, eps=0."""
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = torch.optim.Adagrad([weight], lr=0.1, initial_accumulator_value=1e-6, eps=0)
    total, expected = 1e-6, 1.0
    for gradient in (1e-3, 2e-3, -5e-4):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        total += gradient**2
        expected -= 0.1 * gradient / total**0.5
    assert weight.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            lambda: {"terms": {"entropy": BatchNormEntropy(-1.0)}},
            "weight must be a number of at least 0, got -1",
        ),
        (lambda: {"energy_learns": Learns(ADAGRAD, steps=0)}, "steps must be at least 1, got 0"),
        (lambda: {"energy_learns": Learns(ADAGRAD, every=0)}, "every must be at least 1, got 0"),
        (lambda: {"energy_learns": Learns(partial(ADAGRAD, lr=-1.0))}, "Invalid learning rate: -1"),
        (lambda: {"terms": {"critic": Critic(torch.nn.Linear(2, 1))}}, "give terms.critic.learns"),
        (lambda: {"draws": Draws(n=1)}, "n must be at least 2, got 1"),
    ],
)
def test_impossible_settings_are_refused_at_construction(settings, message):
    with pytest.raises(ValueError, match=message):
        small_method(**settings()).configure_optimizers()


def test_parts_that_do_not_fit_are_refused_at_construction():
    energy = ProductOfExperts([2], MLPFeatures([2]), 4)
    generator = Generator(torch.nn.Linear(3, 2), NormalPrior(3))
    column = torch.nn.Sequential(torch.nn.Linear(2, 1))  # (B, 1) instead of (B,)
    with pytest.raises(ValueError, match=r"one number a point, must have shape \(2,\) here, got \(2, 1\)"):
        EnergyGAN([2], column, LEARNS, generator, LEARNS)
    wide = Generator(torch.nn.Linear(3, 5), NormalPrior(3))
    with pytest.raises(ValueError, match=r"samples must have shape \(2, 2\) here, got \(2, 5\)"):
        EnergyGAN([2], energy, LEARNS, wide, LEARNS)
    with pytest.raises(ValueError, match="the negatives must come from elsewhere, got GeneratorNegatives"):
        MaximumLikelihood([2], energy, LEARNS, GeneratorNegatives())
    three = ProductOfExperts([3], MLPFeatures([3]), 4)
    with pytest.raises(ValueError, match=r"the negatives must have shape \(4288, 3\) here, got \(4288, 2\)"):
        MaximumLikelihood([3], three, LEARNS, GridNegatives(cells=64, reach=2.0))


@pytest.mark.parametrize("recipe", ["aligned", "aligned_chains"])
def test_our_recipes_resume_bit_for_bit_too(tmp_path, recipe):
    """With Muon's and Adam's states, the noise's limit, the chains and their weights."""
    given = ["data=eight_gaussians", f"method={recipe}", "trainer.max_steps=20", "method.draws.n=32"]
    given += ["method.generator.prior.bits=3", "method.energy.features.hidden=[16,16]"]

    def method():
        torch.manual_seed(0)
        return build(compose(given)["method"], "method")

    whole = method()
    fit(whole, 20, tmp_path / "whole")
    cut, torch_state = method(), torch.get_rng_state()
    fit_until(cut, 20, tmp_path / "cut", stop=10)
    torch.set_rng_state(torch_state)
    resumed = method()
    (last,) = (tmp_path / "cut").glob("*7.ckpt")
    fit(resumed, 20, tmp_path / "resumed", resume=last)
    assert equal(weights(whole), weights(resumed))


class Stop(Callback):
    def __init__(self, at):
        self.at = at

    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.should_stop or trainer.global_step >= self.at


def fit_until(method, max_steps, folder, stop):
    """As `fit`, but the run ends early although more steps were planned."""
    callbacks = [SaveCheckpoints(str(folder), every_n_steps=7, keep=100), Stop(stop)]
    trainer = quiet_trainer(max_steps, min_epochs=0, callbacks=callbacks, enable_checkpointing=True)
    trainer.fit(method, Blobs([2], 16, 0))
    assert trainer.global_step < max_steps


@pytest.mark.parametrize("shape", [(8, 8), (4, 24), (24, 4)])
def test_muon_s_update_has_singular_values_of_about_1_along_the_gradient_s_own_vectors(shape):
    """U φ(S) Vᵀ with φ five times s ← a s + b s³ + c s⁵, on singular values of the gradient over its norm."""
    gradient = torch.randn(shape, dtype=torch.float64)
    u, s, v = torch.linalg.svd(gradient, full_matrices=False)
    s = s / s.norm()
    seen = s > 0.002
    for _ in range(ITERATIONS):
        s = sum(c * s**k for c, k in zip(COEFFICIENTS, (1, 3, 5), strict=True))
    torch.testing.assert_close(orthogonal(gradient), u @ s.diag() @ v)
    torch.testing.assert_close(orthogonal(gradient.float()), (u @ s.diag() @ v).float(), rtol=0, atol=1e-5)
    assert 0.68 < s[seen].min() < s.max() < 1.21


def test_muon_with_adam_is_muon_and_adam():
    """torch's Adam to the last bit, and its Muon but for the bfloat16 that it iterates in."""
    shapes = [(8, 2), (8,), (12, 8)]  # the first has too few columns for Muon
    ours, theirs = ([torch.nn.Parameter(torch.zeros(shape)) for shape in shapes] for _ in range(2))
    both = MuonWithAdam(ours, lr=0.05, adam_lr=0.01, weight_decay=0.1)
    muon = torch.optim.Muon(theirs[2:], 0.05, momentum=0.95, weight_decay=0.1)
    adam = torch.optim.Adam(theirs[:2], 0.01, betas=(0.9, 0.99), fused=True)
    schedule = torch.optim.lr_scheduler.StepLR(both, 1, 0.5)
    for step in range(6):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = other.grad = torch.randn(mine.shape)
        for optimizer in (both, muon, adam):
            optimizer.step()
        schedule.step()
        for optimizer in (muon, adam):
            optimizer.param_groups[0]["lr"] *= 0.5
        if step == 2:  # saved and loaded into a new one
            state = both.state_dict()
            both = MuonWithAdam(ours, lr=9.0, adam_lr=9.0)
            both.load_state_dict(state)
            schedule = torch.optim.lr_scheduler.StepLR(both, 1, 0.5)
    assert all(torch.equal(*pair) for pair in zip(ours[:2], theirs[:2], strict=True))
    assert 0 < (ours[2] - theirs[2]).norm() < 0.1 * theirs[2].norm()
    with pytest.raises(ValueError, match="lr and adam_lr must be positive"):
        MuonWithAdam(ours, lr=-1.0)


def test_an_energy_that_moves_in_every_third_step_rests_in_between():
    method, moved = small_method(energy_learns=Learns(ADAGRAD, every=3)), []
    before = [w.clone() for w in method.energy.parameters()]

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            now = [w.clone() for w in method.energy.parameters()]
            moved.append(any(not torch.equal(a, b) for a, b in zip(before, now, strict=True)))
            before[:] = now

    generator = [w.clone() for w in method.generator.parameters()]
    fit(method, 7, callbacks=[Watch()])
    assert moved == [True, False, False, True, False, False, True]
    assert not torch.equal(generator[0], next(method.generator.parameters()))
