"""What is wrong with a sweep, found before its first trial.

W&B looks at the form of a file only. Here every parameter is set to each of its extreme values in the
experiment that the file's command names, the parts are built with it, and the metric must be one that
a run of that experiment logs.
"""

from typing import Any, NamedTuple

from energy_gan.errors import InputError
from energy_gan.run.compose import compose
from energy_gan.run.plain import Config
from energy_gan.run.words import split_trust
from energy_gan.search.file import SHORT, Sweep, as_overrides, extremes

GROUPS = ("data", "method", "network", "trainer", "callbacks", "logger", "experiment")


class Logged(NamedTuple):
    """The names that a run logs: throughout, and with the last measurement only."""

    during: set[str]
    at_end: set[str]


def check_experiment(sweep: Sweep) -> Config:
    """Every parameter is a key of the experiment and fits it at its extreme values; the config of one trial.

    A few trials are composed and built in which every parameter takes each of these values once.

    Raises:
        InputError: the first that does not.
    """
    from energy_gan.run.build import build, check, make_optimizers

    overrides, trust = split_trust(sweep.overrides)
    overrides.append("run_dir=runs/sweep")
    config = compose(overrides)
    values = {name: _searchable(name, parameter) for name, parameter in sweep.spec["parameters"].items()}
    for trial in range(max(map(len, values.values()))):
        settings = {name: listed[trial % len(listed)] for name, listed in values.items()}
        try:
            config = compose([*overrides, *as_overrides(settings)])
            check(config, trust)
            build(config["data"], "data")
            make_optimizers(build(config["method"], "method"))
        except InputError as error:
            raise InputError(f"with {' '.join(as_overrides(settings))}: {error}") from error
    return config


def _searchable(name: str, parameter: dict) -> list[Any]:
    if name in GROUPS:
        raise InputError(f"parameters.{name} is a group of the config: write {name}=… into the command")
    if name in ("run_dir", "name"):
        raise InputError(f"parameters.{name} is chosen for each trial and cannot be searched")
    return extremes(name, parameter)


# ---- the metric


def check_metric(sweep: Sweep, config: Config, here: bool = True) -> None:
    """The metric is one that the experiment logs, and logs in time to end a trial early.

    Args:
        here: it is to run on this machine, whose features of images count.

    Raises:
        InputError: it is not; says what is logged.
    """
    name = sweep.metric
    if name is None:
        return
    logged = logged_names(config, name, here)
    if name not in logged.during | logged.at_end:
        raise InputError(
            f"metric {name} is never logged by this experiment: it logs "
            f"{', '.join(sorted(logged.during | logged.at_end))}"
        )
    if "early_terminate" not in sweep.spec:
        return
    if name not in logged.during:
        raise InputError(
            f"metric {name} is measured at the end of a run only, early_terminate needs one of "
            f"{', '.join(sorted(logged.during))}"
        )
    least, steps = sweep.spec["early_terminate"].get("min_iter", 0), config["trainer"]["max_steps"]
    every = config["callbacks"]["report"]["every_n_steps"] if name.startswith("val/") else steps
    if name.startswith("val/") and least >= (measurements := -(-steps // every)):
        raise InputError(
            f"early_terminate.min_iter={least} ends no trial early: one of trainer.max_steps={steps} is "
            f"measured {measurements} times, the last time at its end; give less, or a smaller "
            "callbacks.report.every_n_steps"
        )
    if not here:  # W&B's server has the curves
        return
    if name.startswith("train/"):  # of a trial that has ended measurements stay, and hyperband counts points
        raise InputError(
            f"metric {name} is logged between measurements, so the curves of trials that run and that have "
            "ended do not compare: early_terminate needs a val/… metric on this machine"
        )
    if (config.get("logger") or {}).get("tensorboard") is None:
        raise InputError(
            "early_terminate reads the curves of trials from TensorBoard's files and logger.tensorboard is "
            "null: leave it on, or take early_terminate out"
        )


def in_short(sweep: Sweep, config: Config, here: bool = True) -> Sweep:
    """The same, its trials measured in short: a full measuring takes longer than many of them train.

    Left as it is where the metric comes with a full measuring only, or the command has a word of its own.
    """
    name, report = sweep.metric or "", (config.get("callbacks") or {}).get("report")
    told = any(word.partition("=")[0] == SHORT for word in sweep.overrides)
    if (
        told
        or report is None
        or (name.startswith("val/") and name not in logged_names(config, name, here).during)
    ):
        return sweep
    return sweep.with_overrides([f"{SHORT}=true"])


def logged_names(config: Config, like: str, here: bool = True) -> Logged:
    """What a run of the experiment logs under the first part of a name, `val/` or `train/`.

    What is measured is declared, see `energy_gan.reports.numbers`; what training logs, one step of it shows.
    No image set is needed.

    Args:
        here: it is to run on this machine: whether Inception's weights are there counts.
    """
    from energy_gan.model import Model
    from energy_gan.reports.chosen import facts, measured
    from energy_gan.run.build import build

    if like.startswith("train/"):
        return Logged(_train_names(config), set())
    if (config.get("callbacks") or {}).get("report") is None:
        return Logged(set(), set())
    model, data = Model(build(config["method"], "method")), build(config["data"], "data")
    numbers = list(measured(facts(model, data, inception=None if here else True)))
    during = {n.tag for n in numbers if not n.at_end}
    return Logged(during, {n.tag for n in numbers})


def _train_names(config: Config) -> set[str]:
    """One step on noise of the right shape."""
    import tempfile

    import torch

    from energy_gan.data.base import Batches, DataModule
    from energy_gan.run.run import Run

    class Noise(DataModule):
        has = frozenset({"labels"})
        labels = torch.zeros(64, dtype=torch.long)

        def load(self):
            return torch.rand(64, *self.shape), torch.rand(64, *self.shape)

        def train_dataloader(self):
            return Batches(self.standardise(self.points), self.batch_size, self.seed, self._step, self.labels)

    with tempfile.TemporaryDirectory() as folder:
        trainer = compose(["trainer=cpu", f"run_dir='{folder}'"])["trainer"]
        trainer |= {"max_steps": 1, "log_every_n_steps": 1}
        trainer |= {"enable_progress_bar": False, "enable_checkpointing": False}
        size = min(8, config["data"]["batch_size"])
        quick = {**config, "trainer": trainer, "callbacks": {}, "logger": {}, "run_dir": folder}
        run = Run(quick, data=Noise(config["data"]["shape"], size, 0))
        if (classes := run.method.learned.classes) is not None:  # noise of each class
            with torch.no_grad():
                run.data.labels = torch.arange(64) % classes(run.data.some()[:2]).shape[1]
        run.fit()
    return set(run.method.reported)


def check_all(sweep: Sweep, here: bool = True) -> Config:
    """Everything that can be found wrong with a sweep before its first trial; the experiment's config."""
    try:
        config = check_experiment(sweep)
        check_metric(sweep, config, here)
    except InputError as error:
        raise InputError(f"sweep {sweep.name}: {error}") from error
    return config
