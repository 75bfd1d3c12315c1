"""What every method promises, held against each recipe that ships."""

from typing import NamedTuple

import pytest
import torch
from small import FEWER, equal, parameters, quiet_trainer, weights

from energy_gan.callbacks.checkpoint import SaveCheckpoints
from energy_gan.errors import InputError
from energy_gan.methods.base import OFFERS, Method
from energy_gan.model import Model
from energy_gan.run.build import build
from energy_gan.run.compose import compose, options
from energy_gan.shapes import Batch

ALONE = {"convergent", "exact_likelihood", "tilted_energy"}  # an energy without a generator
ALONE |= {"cd", "igebm", "improved_cd", "pcd"}
ON_GRIDS = {"multigrid", "multigrid_dilated"}
WITH_INFERENCE = {"short_run", *ON_GRIDS}
# latents are inferred, no energy of points
LATENT = {"abp", "lebm", "lebm_short_run", "sri", "symbol_vector", "triangle", "vae"}
CLASSES = {"classifier", "jem"}  # an energy of classes, which data with labels teach
OF_NETWORKS = {"hypernetwork"}  # samples are weights
ON_IMAGES = {"critic", "gan", *CLASSES, *OF_NETWORKS, *ON_GRIDS, "symbol_vector"}  # recipes for images only
STEPS, CUT = 8, 4
# a constant in an energy moves nothing: positive and negative phase cancel
CONSTANTS = {"energy.experts.bias", "energy.energy.experts.bias", "terms.critic.critic.experts.bias"}
CONSTANTS |= {"generator.prior.energy.experts.bias"}
CONSTANTS |= {f"grids.{name}.energy.energy.experts.bias" for name in ("coarse", "middle", "fine")}


def config_of(method):
    data = "digits" if method in ON_IMAGES else "eight_gaussians"
    given = [f"data={data}", f"method={method}", f"trainer.max_steps={STEPS}", "data.batch_size=64"]
    return compose([*given, *FEWER.get(method, [])])


def method_of(config) -> Method:
    torch.manual_seed(0)
    method = build(config["method"], "method").train()
    method.save_hyperparameters(config)
    return method


class Trained(NamedTuple):
    config: dict
    start: dict
    method: Method
    data: object
    folder: object


@pytest.fixture(scope="module", params=options("method"))
def trained(request, tmp_path_factory):
    config, folder = config_of(request.param), tmp_path_factory.mktemp(request.param)
    data, method = build(config["data"], "data"), method_of(config)
    start = parameters(method)
    keep = SaveCheckpoints(str(folder), every_n_steps=CUT, keep=9)
    quiet_trainer(STEPS, callbacks=[keep], enable_checkpointing=True).fit(method, data)
    return Trained(config, start, method, data, folder)


def test_each_weight_moves(trained):
    moving = {name for name, p in trained.method.named_parameters() if p.requires_grad}
    still = {name for name in moving if torch.equal(parameters(trained.method)[name], trained.start[name])}
    assert still <= CONSTANTS
    assert len(moving) > 2 * len(still)


def test_what_is_saved_can_be_read_from_the_first_step_on(trained):
    """What is not finite is refused, as of a run that has diverged: also of chains that begin late."""
    for method in (method_of(trained.config), trained.method):
        held = method.state_dict().items()
        assert [name for name, x in held if x.is_floating_point() and not x.isfinite().all()] == []


def test_each_weight_has_one_player(trained):
    owned = [id(p) for player in trained.method.players for p in player.parameters]
    assert sorted(owned) == sorted(id(p) for p in trained.method.parameters() if p.requires_grad)


def test_a_step_runs_without_a_trainer(trained):
    method = method_of(trained.config)
    method.fit_parts(trained.data.some())
    method.training_step(Batch(trained.data.some()[:64], torch.arange(64) % 10), 0)
    moved = {id(p) for name, p in method.named_parameters() if not p.equal(trained.start[name])}
    parts = [getattr(method.learned, name) for name in Model(method).offers - {"ranking"}]
    owned = [{id(p) for p in part.parameters() if p.requires_grad} for part in parts]
    assert any(owned)
    assert all(moved & ids for ids in owned if ids)  # an inference may have no weights


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(trained, tmp_path):
    torch.manual_seed(12345)
    method = build(trained.config["method"], "method").train()  # other weights, until the checkpoint is read
    data = build(trained.config["data"], "data")
    last = trained.folder / f"step_{CUT:09d}.ckpt"
    keep = SaveCheckpoints(str(tmp_path), every_n_steps=CUT, keep=9)  # it calibrates, as in the whole run
    trainer = quiet_trainer(STEPS, callbacks=[keep], enable_checkpointing=True)
    trainer.fit(method, data, ckpt_path=last, weights_only=True)
    assert equal(weights(method), weights(trained.method))


def test_what_is_offered_answers_and_nothing_else_is_claimed(trained):
    model = Model(trained.method.eval())
    name = trained.config["name"].split("/")[0]
    besides = set() if name in ALONE else {"classes"} if name in CLASSES else {"generator"}
    besides |= {"inference"} if name in WITH_INFERENCE else set()
    expected = {"generator", "inference", "ranking"} if name in LATENT else {"energy"} | besides
    expected |= {"classes"} if name == "symbol_vector" else set()
    expected = {"networks", "classes", "ranking"} if name in OF_NETWORKS else expected
    assert model.offers == expected <= set(OFFERS)
    held_out = trained.data.held_out[:5]
    if trained.config["kind"] != "points":
        held_out = trained.data.pixels(held_out)
    for numbers in (model.ranking(held_out), *([model.energy(held_out)] if "energy" in model.offers else [])):
        assert numbers.shape == (5,)
        assert numbers.isfinite().all()
        assert len(numbers.unique()) > 1
    if "energy" not in model.offers:
        for refused in (lambda: model.energy(held_out), lambda: model.sample(5, refine=1)):
            with pytest.raises(InputError, match=r"here it needs energy|no generator of points"):
                refused()
    if name in LATENT:
        found = model.reconstruct(held_out)
        assert found.points.shape == held_out.shape
        assert found.latent.shape == (5, model.learned.generator.prior.latent_dim)
        assert torch.equal(model.reconstruct(held_out).latent, found.latent)
        assert torch.equal(model.ranking(held_out, seed=1), model.ranking(held_out, seed=1))
    if "classes" in model.offers:
        torch.testing.assert_close(model.classify(held_out).sum(1), torch.ones(5))
    if "generator" in model.offers:
        assert model.sample(5).shape == held_out.shape
        assert torch.equal(model.sample(5, seed=1), model.sample(5, seed=1))
    if "inference" in model.offers:
        model.method.inference.n_steps = 2
        assert model.reconstruct(held_out).points.shape == held_out.shape
    if "generator" not in model.offers:
        for refused in (lambda: model.sample(5), lambda: model.interpolate(2, 3)):
            with pytest.raises(InputError, match="no generator of points"):
                refused()


def test_vital_signs_are_finite_and_move_nothing(trained):
    before = weights(trained.method)
    signs = trained.method.eval().vital_signs(16, torch.Generator().manual_seed(0))
    assert all(torch.tensor(value).isfinite() for value in signs.values())
    assert equal(before, weights(trained.method))
