"""What a step costs, counted and not timed: its arithmetic, passes and gradients, and that nothing waits."""

from copy import deepcopy
from functools import partial

import pytest
import torch
from benchmarks.straightforward import Straightforward
from benchmarks.timing import operations
from lightning import Callback, Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.utils._python_dispatch import TorchDispatchMode

from energy_gan.data.base import DataModule
from energy_gan.energies.conv import ConvFeatures
from energy_gan.energies.experts import DiagonalQuadratic, IsotropicQuadratic, ProductOfExperts
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.errors import InputError
from energy_gan.generator_terms.batch_norm_entropy import BatchNormEntropy
from energy_gan.generators.dcgan import ConvGenerator
from energy_gan.generators.mlp import MLPGenerator
from energy_gan.generators.priors import UniformPrior
from energy_gan.methods.energy_gan import EnergyGAN
from energy_gan.methods.players import Draws
from energy_gan.model import Model
from energy_gan.objectives import zero_centred_penalty
from energy_gan.optim.learns import Learns
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.run.run import Run
from energy_gan.shapes import Batch

BATCH = 16
ADAGRAD = partial(torch.optim.Adagrad, lr=0.01, fused=True)
PAIRS = ("points", "images")
LATENTS, FORWARD = Draws(reuse="latents"), Draws(reuse="forward")


def method_of(pair, optimizer=ADAGRAD, **settings):
    torch.manual_seed(0)
    if pair == "points":
        shape = [2]
        energy = ProductOfExperts(shape, MLPFeatures(shape, [24, 16]), 4, quadratic=IsotropicQuadratic())
        generator = MLPGenerator(shape, UniformPrior(4), [24, 16])
    else:
        shape = [1, 8, 8]
        features = ConvFeatures(shape, [4, 6], weight_std=0.1)
        energy = ProductOfExperts(shape, features, 5, quadratic=DiagonalQuadratic(shape), linear=False)
        generator = ConvGenerator(shape, UniformPrior(3), [6, 4], noise_before_norm=0.0, weight_std=0.1)
    settings = {"terms": {"entropy": BatchNormEntropy()}, "draws": LATENTS} | settings
    learns = Learns(optimizer)
    return EnergyGAN(shape, energy, settings.pop("energy_learns", learns), generator, learns, **settings)


@pytest.fixture
def doubles():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def points(method, n=BATCH):
    return torch.randn(n, *method.shape)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_step_takes_the_operations_that_its_mathematics_needs(pair):
    """4g + 8e, with g and e those of one forward of the generator and of the energy, less three products.

    The energy's move: g + 2e forward, 2e for the gradients of weights and 2e for those of what lies below.
    The generator's: g + e forward, e through the energy without its weights, 2g. Nobody asks for gradients of
    the inputs of the first layers, e₁ twice and g₁ once.
    """
    method = method_of(pair)
    x, z = points(method), method.generator.prior.sample(BATCH)
    e, g = operations(lambda: method.energy(x)), operations(lambda: method.generator(z))
    first_e = next(m for m in method.energy.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d))
    first_g = next(m for m in method.generator.modules() if isinstance(m, torch.nn.Linear))
    e_1 = operations(lambda: first_e(x))
    g_1 = operations(lambda: first_g(z))
    assert 0 < e_1 < e
    assert 0 < g_1 < g
    assert operations(lambda: method.training_step(Batch(x), 0)) == 4 * g + 8 * e - 2 * e_1 - g_1


@pytest.mark.parametrize("pair", PAIRS)
def test_the_straightforward_step_takes_one_energy_pass_more(pair):
    """4g + 9e: its generator's move also has gradients of the energy's weights. The counter is not blind."""
    method = method_of(pair)
    x, z = points(method), method.generator.prior.sample(BATCH)
    by_hand = by_hand_of(method, ADAGRAD)
    e = operations(lambda: method.energy(x))
    ours = operations(lambda: method.training_step(Batch(x), 0))
    assert operations(lambda: by_hand.step(x, z)) == ours + e


def test_the_operations_of_a_step_with_a_penalty_can_be_counted():
    """The counter of torch raises there without `NoModules`; the penalty's second derivative costs more."""

    def penalty(x, energies):
        (gradient,) = torch.autograd.grad(energies.sum(), x, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()

    plain, smooth = method_of("points"), method_of("points", penalty=penalty)
    x = points(plain)
    counts = [operations(lambda m=m: m.training_step(Batch(x), 0)) for m in (plain, smooth)]
    assert counts[1] > counts[0] > 0


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("generator_first", [False, True])
def test_a_step_is_two_passes_of_each_network(pair, generator_first):
    """Data and samples go through the energy together; the samples of the energy's move have no graph."""
    method, seen = method_of(pair, generator_first=generator_first), []
    for name in ("energy", "generator"):
        network = method.energy if name == "energy" else method.generator.network
        network.register_forward_hook(
            lambda module, given, result, name=name: seen.append((name, len(result), result.requires_grad))
        )
    method.training_step(Batch(points(method)), 0)
    of_energy = [("generator", BATCH, False), ("energy", 2 * BATCH, True)]
    of_generator = [("generator", BATCH, True), ("energy", BATCH, True)]
    assert seen == (of_generator + of_energy if generator_first else of_energy + of_generator)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_shared_forward_is_one_pass_of_the_generator_fewer(pair):
    method, seen = method_of(pair, draws=FORWARD, energy_learns=Learns(ADAGRAD, steps=2)), []
    other = method_of(pair, energy_learns=Learns(ADAGRAD, steps=2))
    method.generator.network.register_forward_hook(lambda module, given, result: seen.append(len(result)))
    x, z = points(method), method.generator.prior.sample(BATCH)
    saved = 2 * operations(lambda: other.generator(z))
    assert operations(lambda: method.training_step(Batch(x), 0)) == (
        operations(lambda: other.training_step(Batch(x), 0)) - saved
    )
    assert seen == [BATCH]
    norms = [m for m in method.generator.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert [int(norm.num_batches_tracked) for norm in norms] == [1] * len(norms) != []
    assert not method.last_negatives.samples.requires_grad  # no graph outlives its step


def test_with_the_generator_first_a_shared_forward_gives_the_energy_the_samples_of_before(
    doubles, monkeypatch
):
    """Each side then learns from what the other one was before the step: another algorithm."""
    sgd = partial(torch.optim.SGD, lr=0.5)
    method = method_of("points", sgd, draws=FORWARD, generator_first=True)
    x, z = points(method), method.generator.prior.sample(BATCH)
    monkeypatch.setattr(method.generator.prior, "sample", lambda n, *_, **__: z)
    before = deepcopy(method.generator)(z).detach()
    seen = []
    method.energy.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
    method.training_step(Batch(x), 0)
    assert torch.equal(seen[1], torch.cat([x, before]))
    assert not torch.equal(method.generator(z), before)


def test_a_shared_forward_is_refused_where_the_generator_moves_twice():
    refusal = "draws.reuse=forward needs generator_learns.steps=1"
    with pytest.raises(InputError, match=refusal):
        build(compose(["data=four_spin", "method=kim_bengio", "method.draws.reuse=forward",
                       "method.generator_learns.steps=2"])["method"], "method")  # fmt: skip


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_penalty_stays_in_float32_whatever_the_precision(pair, precision):
    """Squares of small gradients are what bfloat16 would lose; all that moves is finite and moves."""
    penalties = []

    def penalty(x, energies):
        penalties.append(zero_centred_penalty(x, energies))
        return penalties[-1]

    method = method_of(pair, penalty=penalty)
    start = deepcopy(method.state_dict())
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        method.training_step(Batch(points(method)), 0)
    assert [value.dtype for value in penalties] == [torch.float32]
    assert penalties[0] > 0
    weights = dict(method.named_parameters())
    assert all(p.dtype == p.grad.dtype == torch.float32 and p.isfinite().all() for p in weights.values())
    assert all(p.grad.isfinite().all() for p in weights.values())
    assert sum(not torch.equal(p, start[name]) for name, p in weights.items()) >= len(weights) - 1


@pytest.mark.parametrize("pair", PAIRS)
def test_in_a_move_only_its_player_gets_gradients(pair):
    method, moving = method_of(pair), []
    received = {"energy": set(), "generator": set()}
    for name in received:
        for p in getattr(method, name).parameters():
            p.register_post_accumulate_grad_hook(
                lambda _, name=name: received[name].add(moving[-1])  # whose move it was
            )
    for player in method.players:
        terms = player.terms
        player.terms = lambda *given, name=player.name, terms=terms: moving.append(name) or terms(*given)
    method.training_step(Batch(points(method)), 0)
    assert moving == ["energy", "generator"]
    assert received == {"energy": {"energy"}, "generator": {"generator"}}


def by_hand_of(method, optimizer):
    networks = deepcopy(method.energy), deepcopy(method.generator)
    return Straightforward(*networks, *(optimizer(network.parameters()) for network in networks))


@pytest.mark.parametrize("draws", [LATENTS, FORWARD])
@pytest.mark.parametrize("pair", PAIRS)
def test_steps_are_the_straightforward_steps_in_float64(pair, draws, doubles, monkeypatch):
    """Gradients of both moves, and all weights after three steps: saving work changed no number."""
    sgd = partial(torch.optim.SGD, lr=0.01)
    method = method_of(pair, sgd, draws=draws)
    by_hand = by_hand_of(method, sgd)
    start = deepcopy(method.energy.state_dict())
    for _ in range(3):
        x, z = points(method), method.generator.prior.sample(BATCH)
        monkeypatch.setattr(method.generator.prior, "sample", lambda n, *_, z=z, **__: z)
        method.training_step(Batch(x), 0)
        by_hand.step(x, z)
        networks = ((method.energy, by_hand.energy), (method.generator, by_hand.generator))
        for mine, straightforward in networks:
            for (name, p), q in zip(mine.named_parameters(), straightforward.parameters(), strict=True):
                said = partial("{}: {}".format, name)
                if mine is method.generator:  # by hand the energy's weights have collected gradients since
                    torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-12, msg=said)
                torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12, msg=said)
    assert any(not torch.equal(start[name], value) for name, value in method.energy.state_dict().items())


class Waits(TorchDispatchMode):
    """Notes the operations whose result Python must know, so that a GPU would have to finish first."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "is_nonzero")

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in self.NAMES:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


class Blobs(DataModule):
    def load(self):
        x = torch.randn(400, *self.shape, generator=torch.Generator().manual_seed(self.seed))
        return x, x[:50]


# not meg, which draws a whole number on the CPU, where no GPU is waited for
RECIPES = ["kim_bengio", "gan", "critic", "aligned"]


def waits_in(recipe, log_every, tmp_path):
    """What a Trainer's steps, from the third on, wait for."""
    torch.manual_seed(0)
    config = compose(["data=eight_gaussians", f"method={recipe}"])
    steps, waits = EnergyGAN.training_step, Waits()

    def watched(self, batch, batch_idx):
        with waits:
            return steps(self, batch, batch_idx)

    method = build(config["method"], "method")
    method.training_step = partial(watched, method)
    trainer = Trainer(
        accelerator="cpu",
        max_steps=6,
        max_epochs=-1,
        logger=False,
        log_every_n_steps=log_every,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(method, Blobs([2], BATCH, 0))
    return waits.seen


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_step_off_the_gate_never_waits_for_the_device(recipe, tmp_path):
    assert waits_in(recipe, 0, tmp_path) == []


class Listener(Callback):
    """Counts the backward passes that it is told of."""

    heard = 0

    def on_after_backward(self, trainer, pl_module):
        self.heard += 1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_backward_passes_that_nobody_listens_to_go_to_torch_alone(precision, tmp_path, monkeypatch):
    """And a callback that wants to hear of each does: two a step."""
    rounds, through_lightning = [], SingleDeviceStrategy.backward
    monkeypatch.setattr(
        SingleDeviceStrategy,
        "backward",
        lambda *given, **kw: rounds.append(1) or through_lightning(*given, **kw),
    )

    def fit(*callbacks):
        method = method_of("points")
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
        trainer = Trainer(
            accelerator="cpu", precision=precision, max_steps=3, max_epochs=-1, log_every_n_steps=0,
            callbacks=list(callbacks), enable_model_summary=False, default_root_dir=tmp_path, **quiet,
        )  # fmt: skip
        trainer.fit(method, Blobs([2], BATCH, 0))
        return method.state_dict()

    unheard, listener = fit(), Listener()
    assert rounds == []
    heard = fit(listener)
    assert listener.heard == len(rounds) == 6
    assert all(torch.equal(value, heard[name]) for name, value in unheard.items())


def test_a_step_on_the_gate_reads_what_it_logs(tmp_path):
    """The detector sees the waits that are meant to be there."""
    assert "_local_scalar_dense" in waits_in("kim_bengio", 3, tmp_path)


def steps(method, n=4):
    torch.manual_seed(0)
    x = torch.rand(n, BATCH, *method.shape)
    for batch in x * 2 - 1:
        method.training_step(Batch(batch), 0)
    return method.state_dict()


@pytest.mark.parametrize(
    ("pair", "penalty"),
    [
        pytest.param("points", None, marks=pytest.mark.slow),
        ("points", zero_centred_penalty),
        pytest.param("images", None, marks=pytest.mark.slow),
        ("images", zero_centred_penalty),
    ],
)
@pytest.mark.usefixtures("doubles")
def test_compiled_networks_take_the_same_steps_and_are_compiled_once(pair, penalty):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    method = method_of(pair, penalty=penalty)
    compiled = deepcopy(method)
    compiled.compile_networks("aot_eager")
    steps(method, 2)
    steps(compiled, 2)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs >= (1 if penalty else 2), "the generator, and the energy if it has no penalty"
    model = Model(compiled)
    model.sample(5)
    model.energy(torch.rand(7, *method.shape))
    compiled.calibrate()
    method.calibrate()
    torch.testing.assert_close(steps(compiled), steps(method))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
    torch._dynamo.reset()


@pytest.mark.usefixtures("doubles")
def test_channels_last_takes_the_same_steps():
    method = method_of("images")
    steps(method)
    other = deepcopy(method).to(memory_format=torch.channels_last)
    weight = other.energy.features[2].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    other.on_train_start()  # it goes on with an optimizer's state of the other layout
    torch.testing.assert_close(steps(other), steps(method))


def test_the_averages_of_a_dead_unit_end_at_zero(tmp_path):
    def averages():
        weight = torch.nn.Parameter(torch.ones(8))
        optimizer = torch.optim.Adam([weight], lr=1e-3, betas=(0.5, 0.9))
        for step in range(1000):
            weight.grad = torch.full((8,), 1.0 if step == 0 else 0.0)
            optimizer.step()
        return optimizer.state[weight]["exp_avg_sq"]

    torch.set_flush_denormal(False)
    assert averages().min() > 0  # and slow to reckon with
    Run(compose(["data=four_spin", f"run_dir='{tmp_path}/run'"]))
    assert averages().max() == 0
