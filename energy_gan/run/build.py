"""From a config to objects: the one place that checks and instantiates.

A config is a tree of nodes; a node with `_target_` is a call, its other keys the arguments. Before
anything is built, every node is checked: the target must come from this package, from a few
libraries, or from a package that the user trusts on the command line; every key must be a parameter
of the target; every value must fit the parameter's annotation. Each failure is one line that names
the key, the value and the remedy.
"""

import difflib
import importlib
import inspect
import re
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from energy_gan.errors import InputError
from energy_gan.run.compose import PLURAL, Config

if TYPE_CHECKING:
    from energy_gan.data.base import DataModule

TRUSTED = ("energy_gan", "lightning.pytorch", "torch.nn", "torch.optim")
# the only leaves that no constructor takes
TYPES = {
    "seed": Annotated[int, Ge(0)],
    "kind": Literal["points", "small_images", "images"],
    "threads": Annotated[int, Ge(1)] | None,
    "compile": bool,
    "channels_last": bool,
    "float32_matmul_precision": Literal["highest", "high", "medium"],
}
WITHOUT_TARGET = {"name", "run_dir", *TYPES}
REFUSALS = (ValueError, RuntimeError, IndexError, OverflowError, TypeError)  # what torch says of bad values
CALL_KEYS = {"_target_", "_partial_"}


def check(config: Config, trust: Sequence[str] = ()) -> None:
    """Refuse what is not trusted, not known or of the wrong type.

    Raises:
        InputError: names the first such key, its value and what was expected.
    """
    for key, expected in TYPES.items():
        if key in config:
            _check_type(config[key], expected, key)
    for key, value in config.items():
        if key not in WITHOUT_TARGET:
            _check(value, key, trust)
    for group in PLURAL:
        parts = config.get(group) or {}
        if not isinstance(parts, dict):
            raise InputError(f"{group} is of the wrong type: expected parts by name, got {parts!r}")
        for name, part in parts.items():
            if part is not None and "_target_" not in part:
                raise InputError(
                    f"{group}.{name} has no _target_, so nothing can be made of it: leave it out, "
                    f"{group}.{name}=null, or give all of it"
                )


def _check(node: Any, key: str, trust: Sequence[str]) -> None:
    if isinstance(node, list):
        for index, value in enumerate(node):
            _check(value, f"{key}[{index}]", trust)
    elif isinstance(node, dict) and "_target_" not in node:
        for name, value in node.items():
            _check(value, f"{key}.{name}", trust)
    elif isinstance(node, dict):
        _check_call(node, key, trust)
    elif node is not None:  # null takes a part out; the value may be a secret
        raise InputError(f"{key} is unknown: it belongs to no part of the config, leave it out")


def _check_call(node: Config, key: str, trust: Sequence[str]) -> None:
    target = _locate(node["_target_"], key, trust)
    if not isinstance(node.get("_partial_", False), bool):
        raise InputError(
            f"{key}._partial_={node['_partial_']!r} is of the wrong type: expected true or false"
        )
    parameters = {
        name: p
        for name, p in inspect.signature(target).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    annotations = _annotations(target)
    for name, value in node.items():
        if name in CALL_KEYS:
            continue
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            raise InputError(
                f"{key}.{name} is unknown: {node['_target_']} takes {', '.join(parameters)}"
                + (f"; did you mean {near[0]}?" if near else "")
            )
        if _holds_calls(value):
            _check(value, f"{key}.{name}", trust)
        elif name in annotations:
            _check_type(value, annotations[name], f"{key}.{name}")
    required = [name for name, p in parameters.items() if p.default is p.empty]
    absent = [name for name in required if name not in node]
    if absent and not node.get("_partial_"):
        name = f"{key}.{absent[0]}"
        raise InputError(f"{name} has no value: {node['_target_']} needs it, give +{name}=VALUE")


def _locate(path: Any, key: str, trust: Sequence[str]) -> Any:
    """The class or function of a dotted name, if it is defined where we trust.

    The name's own module counts, not only the path to it: `energy_gan.run.build.importlib` is refused.
    """
    allowed = (*TRUSTED, *trust)

    def trusted(name: str) -> bool:
        return any(name == package or name.startswith(f"{package}.") for package in allowed)

    if not isinstance(path, str) or not trusted(path):
        raise InputError(
            f"{key}._target_={path} is not trusted: targets come from {', '.join(allowed)}; to admit your "
            f"own package, give trust=[{str(path).partition('.')[0]}] on the command line"
        )
    module, _, name = path.rpartition(".")
    try:
        target = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{key}._target_={path} cannot be imported: {error}") from error
    if not callable(target) or not trusted(getattr(target, "__module__", None) or ""):
        raise InputError(f"{key}._target_={path} is not a class or function of {', '.join(allowed)}")
    return target


def _annotations(target: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):  # a library's annotation that cannot be evaluated here
        return {}


def _holds_calls(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(_holds_calls(v) for v in value.values())
    return isinstance(value, list) and any(_holds_calls(v) for v in value)


def _check_type(value: Any, annotation: Any, key: str) -> None:
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except PydanticUserError:
        adapter = TypeAdapter(annotation)
    try:
        adapter.validate_python(
            tuple(value) if isinstance(value, list) and _wants_tuple(annotation) else value
        )
    except ValidationError as error:
        wanted = dict.fromkeys(e["msg"].removeprefix("Input should be ") for e in error.errors())
        wanted = [text.replace("an instance of Sequence", "a list") for text in wanted]
        raise InputError(f"{key}={value!r} is of the wrong type: expected {' or '.join(wanted)}") from error


def _wants_tuple(annotation: Any) -> bool:
    """A config has no tuples: a list stands for one."""
    return typing.get_origin(annotation) is tuple or any(map(_wants_tuple, typing.get_args(annotation)))


def build(node: Config, key: str) -> Any:
    """The object, or the containers of objects, that a checked node describes.

    Raises:
        InputError: a constructor refused a value.
    """
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if not isinstance(cause, REFUSALS):
            raise
        where = re.search(r"full_key: (\S+)", str(error))
        where = ".".join([key, *([where[1]] if where else [])])
        raise InputError(f"{where}: {refusal(cause)}") from error


def build_data(node: Config, trust: Sequence[str] = ()) -> "DataModule":
    """A data set from its node of a config, checked before; nothing is read yet.

    Raises:
        InputError: a setting is wrong, or names what is not trusted.
    """
    check({"data": node}, trust)
    return build(node, "data")


def refusal(cause: BaseException) -> str:
    """What a constructor said against its values, in one line."""
    said = " ".join(str(cause).split())
    return said if isinstance(cause, ValueError) else f"the values do not go together: {said}"
