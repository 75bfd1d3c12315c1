"""What a checkpoint holds, looked at once when it is read: the entries, their types, weights that are finite.

A checkpoint may be a stranger's, and Lightning takes for granted that it is one of its own.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from energy_gan.data.schema import Schema
from energy_gan.errors import InputError
from energy_gan.methods.base import Method
from energy_gan.run.build import TYPES, check_type
from energy_gan.run.folder import check_layout
from energy_gan.run.plain import check_plain

if TYPE_CHECKING:
    from lightning import Trainer

ENTRIES = {
    "pytorch-lightning_version": str,
    "global_step": int,
    "epoch": int,
    "state_dict": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "loops": dict,
    "callbacks": dict,
    "hyper_parameters": dict,
}
WEIGHTS = ("state_dict", "current_model_state")  # the second: beside an average
NUMBERS = int | float


class OlderLayoutError(InputError):
    """A checkpoint that an earlier version has made."""


def check_contents(checkpoint: Any, path: Path) -> None:
    """Refuse what is not a checkpoint as this program writes them.

    Raises:
        OlderLayoutError: an earlier version has written it.
        InputError: names the first entry that is missing, of the wrong type or not finite.
    """
    held = checkpoint if isinstance(checkpoint, dict) else {}
    parts = held.get("hyper_parameters"), held.get("state_dict")
    if not all(isinstance(part, dict) for part in parts) or not isinstance(parts[0].get("method"), dict):
        raise InputError(f"{path} is no checkpoint of energy_gan: give a run's folder or a .ckpt file of one")
    try:
        check_layout(parts[0], path)
    except InputError as error:
        raise OlderLayoutError(str(error)) from error
    try:
        _check_entries(held)
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from error


def _check_entries(held: dict[str, Any]) -> None:
    for name, expected in ENTRIES.items():
        if not isinstance(held.get(name), expected) or isinstance(held[name], bool):
            said = type(held[name]).__name__ if name in held else "missing"
            raise InputError(f"its {name} is {said}, expected {expected.__name__}")
    if not re.match(r"2\.\d+", held["pytorch-lightning_version"]):
        raise InputError("its pytorch-lightning_version is not 2")
    for name in ("global_step", "epoch"):
        if not 0 <= held[name] < 2**63:
            raise InputError(f"its {name} is not a count")
    config = held["hyper_parameters"]
    columns = config.get("columns")
    check_plain({**config, "columns": list(columns) if isinstance(columns, tuple) else columns})
    check_type(columns, list[str] | tuple[str, ...] | None, "columns")
    check_type(config.get("vocabulary"), str | None, "vocabulary")
    check_type(config.get("classes"), list[str] | None, "classes")
    if config.get("schema") is not None:
        Schema.from_config(config["schema"])
    for name in TYPES.keys() & config.keys():
        check_type(config[name], TYPES[name], name)
    for name in WEIGHTS:
        _check_weights(held.get(name, {}), name)
    if "current_model_state" in held and not isinstance(held.get("averaging_state"), dict):
        raise InputError("it has a current_model_state and no averaging_state")
    if not all(isinstance(name, str) and isinstance(s, dict) for name, s in held["callbacks"].items()):
        raise InputError("its callbacks are not states by name")


def _check_weights(weights: Any, name: str) -> None:
    if not isinstance(weights, dict):
        raise InputError(f"its {name} is {type(weights).__name__}, expected dict")
    for key, value in weights.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or value.layout is not torch.strided:
            raise InputError(f"its {name} holds something that is no weight")
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"{key} is not finite: the training had diverged")


def check_fits(
    method: Method, checkpoint: dict[str, Any], path: Path, trainer: "Trainer | None" = None
) -> None:
    """Refuse weights of other networks, and for a trainer also what it could not go on from.

    Raises:
        InputError: names the first that does not fit.
    """
    own, given = method.state_dict(), checkpoint["state_dict"]
    fixed = dict(method.named_parameters())  # the size of a buffer may be found in training
    if own.keys() != given.keys() or any(given[name].shape != w.shape for name, w in fixed.items()):
        raise InputError(
            f"{path} holds weights of other networks than its config describes: it was trained with parts of "
            "your own, `fit(energy=…, generator=…)`; build these and load the file's state_dict into them"
        )
    form = {"state_dict": own}
    if "current_model_state" in checkpoint:
        form["current_model_state"] = own
    if trainer is not None:
        form["loops"] = {"fit_loop": trainer.fit_loop.state_dict()}
        form["optimizer_states"] = [player.optimizer.state_dict() for player in method.players]
        states = {c.state_key: c.state_dict() for c in trainer.callbacks}
        form["callbacks"] = {key: s for key, s in states.items() if key in checkpoint["callbacks"]}
    if differs := _unlike(checkpoint, form):
        raise InputError(f"{path} cannot be used: its {differs} is not what such a run holds there")
    for number, player in enumerate(method.players if trainer is not None else ()):
        weights = [w for group in player.optimizer.param_groups for w in group["params"]]
        for index, values in checkpoint["optimizer_states"][number]["state"].items():
            if not (index in range(len(weights)) and _of(values, weights[index])):
                raise InputError(f"{path} cannot be used: its optimizer_states[{number}] is of other weights")


def _of(values: Any, weight: Tensor) -> bool:
    """Whether these can be what an optimizer keeps of a weight: numbers, and tensors that spread over it."""
    return isinstance(values, dict) and all(
        isinstance(name, str)
        and (
            value.ndim <= weight.ndim
            and all(n in (1, m) for n, m in zip(value.shape[::-1], weight.shape[::-1], strict=False))
            if isinstance(value, Tensor)
            else value is None or isinstance(value, NUMBERS)
        )
        for name, value in values.items()
    )


def _unlike(given: Any, form: Any, key: str = "") -> str | None:
    """The first place where something lacks what the form has, or has it of another type; None: nowhere."""
    if isinstance(form, Tensor):
        same = isinstance(given, Tensor) and _kind(given) == _kind(form)
        return None if same else key
    if isinstance(form, dict):
        if not isinstance(given, dict):
            return key
        for name, inner in form.items():
            here = f"{key}.{name}" if key else str(name)
            if name not in given:
                return here
            if found := _unlike(given[name], inner, here):
                return found
        return None
    if isinstance(form, list | tuple):
        if not isinstance(given, list | tuple) or (form and len(given) != len(form)):
            return key
        pairs = enumerate(zip(given, form, strict=bool(form)))
        return next((found for i, (a, b) in pairs if (found := _unlike(a, b, f"{key}[{i}]"))), None)
    if form is None or given is None or isinstance(form, str | bool):
        return None if given is None or form is None or isinstance(given, type(form)) else key
    return None if isinstance(given, NUMBERS) or type(given) is type(form) else key


def _kind(values: Tensor) -> tuple[bool, bool, torch.layout]:
    return values.is_floating_point(), values.dtype == torch.bool, values.layout
