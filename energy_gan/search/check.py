"""What is wrong with a sweep, found before its first trial.

W&B looks at the form of a file only. Here every parameter is set to each of its extreme values in the
experiment that the file's command names, the parts are built with it, and the metric must be one that
a run of that experiment logs.
"""

from typing import Any, NamedTuple

from energy_gan.errors import InputError
from energy_gan.run.compose import Config, compose, split_trust
from energy_gan.search.file import Sweep, as_overrides, extremes

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
    from energy_gan.run.build import build, check

    overrides, trust = split_trust(sweep.overrides)
    overrides.append("run_dir=runs/sweep")
    config = compose(overrides)
    values = {name: _searchable(name, parameter) for name, parameter in sweep.spec["parameters"].items()}
    for trial in range(max(map(len, values.values()))):
        settings = {name: listed[trial % len(listed)] for name, listed in values.items()}
        try:
            config = compose([*overrides, *as_overrides(settings)])
            check(config, trust)
            for part in ("data", "method"):
                build(config[part], part)
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


def logged_names(config: Config, like: str, here: bool = True) -> Logged:
    """What a run of the experiment logs under the first part of a name, `val/` or `train/`.

    Found out by measuring, or training for one step, an untrained model; no image set is needed.
    """
    if like.startswith("train/"):
        return Logged(_train_names(config), set())
    report = (config.get("callbacks") or {}).get("report")
    if report is None:
        return Logged(set(), set())
    if len(config["data"]["shape"]) == 3:
        during, at_end = _image_names(config, here)
    else:
        during, at_end = _point_names(config, like.removeprefix("val/"))
    return Logged({f"val/{name}" for name in during}, {f"val/{name}" for name in at_end})


def _train_names(config: Config) -> set[str]:
    """One step on noise of the right shape."""
    import tempfile

    import torch

    from energy_gan.data.base import DataModule
    from energy_gan.run.run import Run

    class Noise(DataModule):
        def load(self):
            return torch.rand(64, *self.shape), torch.rand(64, *self.shape)

    with tempfile.TemporaryDirectory() as folder:
        trainer = compose(["trainer=cpu", f"run_dir='{folder}'"])["trainer"]
        trainer |= {"max_steps": 1, "log_every_n_steps": 1}
        trainer |= {"enable_progress_bar": False, "enable_checkpointing": False}
        size = min(8, config["data"]["batch_size"])
        quick = {**config, "trainer": trainer, "callbacks": {}, "logger": {}, "run_dir": folder}
        run = Run(quick, data=Noise(config["data"]["shape"], size, 0))
        run.fit()
    return set(run.method.reported)


def _point_names(config: Config, name: str) -> tuple[set[str], set[str]]:
    """By the report itself, on an untrained model. What is costly is measured only if need be."""
    from energy_gan.model import Model
    from energy_gan.run.build import build

    data = build(config["data"], "data")
    data.setup()
    method = build(config["method"], "method")
    method.shift.copy_(data.shift)
    method.scale.copy_(data.scale)
    few = {"n_samples": 1000, "n_samples_during": 1000}
    report = build({**config["callbacks"]["report"], **few}, "callbacks.report")
    report.prepare(data)
    model = Model(method.eval())
    during = set(report.measure(model, 1000))
    return during, set() if name in during else set(report.measure(model))


def _image_names(config: Config, here: bool) -> tuple[set[str], set[str]]:
    """By the features that can be had: Inception's by its weights, the classifier's by the set's classes."""
    from energy_gan.metrics.images import ImageEvaluation
    from energy_gan.metrics.inception import Inception
    from energy_gan.reports import images

    def of(n_neighbours: int) -> set[str]:
        evaluation = _bare(ImageEvaluation)
        evaluation.features, evaluation.classifier = features, classifier
        evaluation.n_neighbours = n_neighbours
        return {"energy_held_out", "energy_generated", "energy_gap", *evaluation.names}

    labelled = not config["data"]["_target_"].endswith(("CelebA", "LSUN"))  # of a folder one cannot know
    classifier = _bare(images.Classifier) if labelled else None
    inception = _bare(Inception) if not here or images.inception_or_none() is not None else None
    features = tuple(network for network in (classifier, inception) if network is not None)
    if config["method"].get("generator") is None:
        return {"energy_held_out"}, {"energy_held_out", "drift"}
    return of(0), {*of(1), "drift"}


def _bare(kind: type) -> Any:
    """An object that is asked for names only: without weights and data."""
    return kind.__new__(kind)


def check_all(sweep: Sweep, here: bool = True) -> Config:
    """Everything that can be found wrong with a sweep before its first trial; the experiment's config."""
    try:
        config = check_experiment(sweep)
        check_metric(sweep, config, here)
    except InputError as error:
        raise InputError(f"sweep {sweep.name}: {error}") from error
    return config
