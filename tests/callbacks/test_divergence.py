"""Divergence is found in time, named with its remedy, and looking for it changes nothing."""

import re
from functools import cache
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from faults import planted
from faults.common import same
from lightning import Callback, Trainer

from energy_gan.callbacks.checkpoint import SaveCheckpoints, Watch
from energy_gan.callbacks.divergence import ENERGY, RATE, SPREAD, StopDivergence, remedy
from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.generators.priors import NormalPrior
from energy_gan.methods.base import Learned, Method
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.run.run import Run, fit

SOUND = {f"{ENERGY} data": 1.0, f"{ENERGY} negatives": 2.0, SPREAD: 0.9, f"{RATE} chains": 0.6}
SOUND |= {f"{RATE} coarse chains": 0.5}


# --- when --------------------------------------------------------------------------------------------------


@cache
def defaults():
    return compose([])["callbacks"]["divergence"]


def a_method(**attributes):
    return MagicMock(
        spec=Method,
        players=[],
        reported={},
        hparams={},
        **{"named_parameters.return_value": []},
        **attributes,
    )


def a_trainer(*callbacks):
    return MagicMock(
        spec=Trainer,
        callbacks=[*callbacks],
        log_every_n_steps=50,
        max_steps=10**6,
        should_stop=False,
        world_size=1,
    )


def watched(values, steps=120):
    """The step after which default settings stop a run of these quantities, or None; and what it says."""
    callback, method, trainer, step = build(defaults(), "divergence"), a_method(), a_trainer(), 0
    callback.measured = lambda method, points: SOUND | values(step)
    callback.setup(trainer, method, "fit")
    try:
        for step in range(steps):
            method.step = step + 1
            callback.on_train_batch_end(trainer, method, {}, (torch.zeros(2, 2),), 0)
    except InputError as error:
        return step, str(error)
    return None, ""


FAULTS = {
    "runaway": {f"{ENERGY} negatives": 1e6},
    "collapsed": {SPREAD: 1e-5},
    "rejected": {f"{RATE} chains": 0.0},
    "one of several chains": {f"{RATE} coarse chains": 0.0},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_stays_finite_is_stopped_within_50_steps_whenever_it_begins(fault):
    waits = []
    for cause in range(20, 56):
        stopped, why = watched(lambda step, c=cause: FAULTS[fault] if step >= c else {})
        waits.append(stopped - cause)
        assert why.startswith(f"the run has diverged at step {stopped}: {next(iter(FAULTS[fault]))} ")
        assert f", since step {stopped - 19}; " in why, "the first of 20 looks in a row"
    assert max(waits) <= 44
    assert min(waits) == 19, "never before patience looks in a row"


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_stops_nothing(fault):
    """A fault of 19 steps, at any moment, and the first steps in which chains find their step size."""
    for begin in (0, 6, 7, 25, 26, 40, 50, 60):
        assert watched(lambda step, b=begin: FAULTS[fault] if b <= step < b + 19 else {}) == (None, "")
    assert watched(lambda step: FAULTS["rejected"] if step < 25 else {}) == (None, "")


def test_the_usual_size_of_the_energies_is_where_they_begin():
    """A scale is free: 10⁷ from the start is as good as 1; a thousandfold is not, nor 10⁹ of anything."""
    for begin, later, stops in ((1e7, 9e8, False), (1.0, 9e4, False), (1.0, 1.1e5, True), (1e7, 1.1e9, True)):
        energies = {True: begin, False: later}
        stopped, _ = watched(lambda step, e=energies: {f"{ENERGY} data": e[step < 60]})
        assert (stopped is not None) == stops


def test_between_the_looks_nothing_is_computed(monkeypatch):
    looks = []
    monkeypatch.setattr(StopDivergence, "look", lambda self, method, seen, step: looks.append(step))
    monkeypatch.setattr(
        StopDivergence, "measured", lambda self, method, points: looks.append(method.step) or {}
    )
    run = planted.started(
        planted.RUNS["kim_bengio"], "run", "trainer.max_steps=70", "callbacks.checkpoint=null"
    )
    run.create()
    run.fit()
    assert looks == [1, 0, 26, 25, 51, 50, 70, 69], "after steps 1, 26, 51, and before the end is measured"


@pytest.mark.parametrize("name", ["kim_bengio", "aligned_chains"])
def test_looking_changes_nothing(name):
    """A run with it is the run without, bit for bit."""
    weights = []
    for more in ([], ["callbacks.divergence=null"]):
        run = planted.started(
            planted.RUNS[name],
            f"run{len(weights)}",
            "trainer.log_every_n_steps=5",
            "trainer.max_steps=20",
            *more,
        )
        run.create()
        run.fit()
        weights.append(run.method.state_dict())
    assert same(*weights)


# --- what it asks of a method ------------------------------------------------------------------------------


def measured(learned, signs=None):
    method = a_method(learned=learned, step=5, training=True, device=torch.device("cpu"))
    method.vital_signs.return_value, method.modules.return_value = signs or {}, []
    return StopDivergence().measured(method, torch.ones(4, 2))


def test_a_method_is_watched_by_what_it_has():
    """Nothing, an energy that is a plain function, a generator alone, chains by name."""
    assert measured(Learned()) == {}
    assert measured(Learned(energy=lambda x: x.sum(1))) == {f"{ENERGY} data": 2.0}
    generator = Generator(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)), NormalPrior(2))
    before = generator.network[1].running_mean.clone()
    (spread,) = measured(Learned(generator=generator)).values()
    assert spread == pytest.approx(1.0, abs=0.05), "batch norm's"
    assert torch.equal(generator.network[1].running_mean, before)
    signs = {
        "energy_negative": 3.0,
        "chains_acceptance": 0.5,
        "coarse_acceptance": 0.25,
        "chains_step_size": 1,
    }
    assert measured(Learned(), signs) == {
        f"{ENERGY} negatives": 3.0,
        f"{RATE} chains": 0.5,
        f"{RATE} coarse": 0.25,
    }


# --- the line ----------------------------------------------------------------------------------------------

CONFIG = {
    "energy_learns": {"optimizer": {"lr": 0.05, "adam_lr": 0.01}, "steps": 1},
    "generator_learns": {"optimizer": {"lr": 0.002}},
    "terms": {"entropy": {"weight": 1.0, "learns": {"optimizer": {"lr": 0.003}}}},
    "penalty": {"weight": 0.1},
    "coarse_learns": {"optimizer": {"lr": 0.004}},
    "negatives": {"chains": {"step_size": 0.01}},
}
LEARNS = "method.energy_learns.optimizer.lr=0.05 and method.energy_learns.optimizer.adam_lr=0.01"


@pytest.mark.parametrize(
    ("config", "quantity", "said"),
    [
        (CONFIG, f"{ENERGY} data", f"lower {LEARNS}, or raise method.penalty.weight=0.1"),
        (
            CONFIG,
            SPREAD,
            "lower method.generator_learns.optimizer.lr=0.002, or raise method.terms.entropy.weight=1",
        ),
        (CONFIG, "entropy.network.0.weight", "lower method.terms.entropy.learns.optimizer.lr=0.003"),
        (CONFIG, "coarse.network.0.weight", "lower method.coarse_learns.optimizer.lr=0.004"),
        ({}, "energy.linear", "lower the learning rate of the energy"),
    ],
)
def test_the_remedy_names_settings_that_there_are(config, quantity, said):
    assert remedy(config, ["energy", "generator", "entropy", "coarse"], quantity) == said


def test_a_remedy_for_chains_is_their_step_size():
    said = remedy(CONFIG, ["energy"], f"{RATE} chains")
    assert said == f"lower {LEARNS}, or lower method.negatives.chains.step_size=0.01"


class Nan(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if pl_module.step == 33:
            batch[0][0] = torch.nan


def test_the_line_says_what_to_do_with_what_is_kept():
    run = planted.started(planted.RUNS["kim_bengio"], "run")
    run.trainer.callbacks.insert(0, Nan())
    run.create()
    with pytest.raises(InputError) as error:
        run.fit()
    assert re.fullmatch(
        r"the run has diverged at step 39: .* is nan; lower method\.\S*lr=0\.01.*; step 20 is kept: go on "
        r"with `make resume RUN=run ARGS=…`",
        str(error.value),
    )
    assert [path.name for path in Path("run/checkpoints").iterdir()] == ["step_000000020.ckpt"]


def test_without_a_folder_no_way_back_is_promised(monkeypatch):
    real = Run._trainer

    def trainer(self):
        made = real(self)
        made.callbacks.insert(0, Nan())
        return made

    monkeypatch.setattr(Run, "_trainer", trainer)
    more = ["data.batch_size=32", "callbacks.progress.refresh_rate=0"]
    with pytest.raises(InputError, match=r"has diverged at step .*; no checkpoint was saved before"):
        fit(torch.randn(200, 2), method="kim_bengio", max_steps=60, overrides=more)
    assert not list(Path().iterdir())


def test_while_one_who_watches_is_suspicious_nothing_is_saved():
    class Doubt(Callback, Watch):
        suspicious = True

    saves, doubt, method = SaveCheckpoints("checkpoints", every_n_steps=5), Doubt(), a_method()
    trainer = a_trainer(doubt, saves, Callback())
    saves.save, saves.asked = MagicMock(), 0
    trainer.strategy.reduce_boolean_decision.return_value = False
    for method.step in (4, 5, 6):
        saves.on_train_batch_end(trainer, method, {}, (), 0)
    saves.save.assert_not_called()
    doubt.suspicious, method.step = False, 7
    saves.on_train_batch_end(trainer, method, {}, (), 0)
    saves.save.assert_called_once()


@pytest.mark.parametrize(
    "settings", [{"every_n_steps": 0}, {"patience": 0}, {"runaway": 1.0}, {"collapsed": 1.0}]
)
def test_impossible_settings_are_refused_at_construction(settings):
    with pytest.raises(ValueError, match=rf"{next(iter(settings))}.* got .*{next(iter(settings.values()))}"):
        StopDivergence(**settings)
