"""What a config may name: classes by their kind, a few functions by name, a user's package by his own word.

A config and a checkpoint may come from strangers, so what a name leads to decides, not where it is found:
a class that is defined here, in `torch.nn` or in `torch.optim`, of a kind that has its place in that part of
the config; a function of the list. No other function, so no entry point, and no other class of Lightning.
"""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Sequence
from typing import Any

from energy_gan.errors import InputError

OURS = "energy_gan"
# part of the config: the base of what may stand there, by name, and the packages that may define it
KINDS = {
    "method": {
        "torch.nn.modules.module.Module": (OURS, "torch.nn.modules"),
        "torch.optim.optimizer.Optimizer": (OURS, "torch.optim"),
        "energy_gan.samplers.base.Kernel": (OURS,),
    },
    "data": {
        "energy_gan.data.base.DataModule": (OURS,),
        "energy_gan.data.density.Density": (OURS,),
    },
    "callbacks": {"lightning.pytorch.callbacks.callback.Callback": (OURS,)},
    "logger": {"lightning.pytorch.loggers.logger.Logger": (OURS,)},
    "trainer": {
        "lightning.pytorch.trainer.trainer.Trainer": ("lightning.pytorch.trainer",),
        "lightning.pytorch.strategies.strategy.Strategy": (OURS,),
    },
}
PURE = ("maximum_likelihood", "classifier", "noise_contrast", "normalised_likelihood", "mean_energy")
PURE += (
    "no_phases",
    "contrast",
    "cross_entropy",
    "cross_entropies",
    "symbol_information",
    "non_saturating",
    "zero_centred_penalty",
)
FUNCTIONS = {*(f"energy_gan.objectives.{name}" for name in PURE)}
FUNCTIONS |= {f"energy_gan.optim.schedules.{name}" for name in ("cosine", "between", "restarted")}
ROOTS = {  # what the whole part is
    "method": "energy_gan.methods.base.Method",
    "data": "energy_gan.data.base.DataModule",
    "trainer": "lightning.pytorch.trainer.trainer.Trainer",
}
LONG = 200  # letters of a value in a message
LOOKED_IN = (OURS, "torch.nn", "torch.optim", "lightning.pytorch.Trainer")  # before anything is imported
ADVICE = "a config builds parts of energy_gan, modules of torch.nn, optimizers of torch.optim and the Trainer"


def buildable(target: Any, part: str) -> bool:
    """Whether a config may name this class or function in that part of it."""
    if not inspect.isclass(target):
        return part == "method" and _name(target) in FUNCTIONS
    if dataclasses.is_dataclass(target) and _inside(target.__module__, OURS):  # holds values, does nothing
        return True
    bases = bases_of(target)
    return any(
        base in bases and any(_inside(target.__module__, package) for package in packages)
        for base, packages in KINDS[part].items()
    )


def locate(path: Any, key: str, trust: Sequence[str] = ()) -> Any:
    """The class or function of a dotted name, if a config may name it at this key.

    Args:
        trust: the user's own packages, of which it may name all that they define.

    Raises:
        InputError: it may not, or there is none.
    """
    part = key.partition(".")[0]
    a_name = isinstance(path, str) and re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", path)
    own = a_name and any(_inside(path, package) for package in trust)
    if not a_name or part not in KINDS or not (own or any(_inside(path, package) for package in LOOKED_IN)):
        package = path.partition(".")[0] if a_name else "my_package"
        raise InputError(
            f"{key}._target_={path if a_name else shown(path)} is not trusted: {ADVICE}; to admit your own "
            f"package, give trust=[{package}] on the command line"
        )
    try:
        target = named(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{key}._target_={path} cannot be imported: {error}") from error
    if own and callable(target) and any(_inside(_name(target), package) for package in trust):
        return target
    if not buildable(target, part):
        raise InputError(f"{key}._target_={path} is nothing that a config builds there: {ADVICE}")
    return target


def named(path: str) -> Any:
    """What a dotted name leads to."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def check_root(target: Any, key: str) -> None:
    """InputError unless a whole part of the config is what it has to be."""
    if key in ROOTS and ROOTS[key] not in bases_of(target):
        name = ROOTS[key].rpartition(".")[2]
        raise InputError(f"{key}._target_={_name(target)} is no {name}, which {key} has to be")


def bases_of(target: Any) -> set[str]:
    """The names of a class and of all that it is derived from."""
    return {_name(base) for base in getattr(target, "__mro__", ())}


def shown(value: Any) -> str:
    """A value in a message: in one line, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONG else f"{text[:LONG]}…"


def _name(target: Any) -> str:
    return f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
