"""From a config to objects: the one place that checks and builds.

A config is a tree of nodes; a node with `_target_` is a call, its other keys the arguments. Before anything
is built, every value must be plain and every node is checked: the target must be one that a config may name
(`buildable`); every key must be a parameter of the target; every value must fit the parameter's annotation.
What is checked is what is built, nothing is resolved in between. Each failure is one line that names the
key, the value and the remedy.
"""

import dataclasses
import difflib
import inspect
import types
import typing
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from pydantic import ConfigDict, InstanceOf, PydanticUserError, TypeAdapter, ValidationError

from energy_gan.errors import InputError
from energy_gan.run.buildable import ROOTS, check_root, locate, named, shown
from energy_gan.run.folder import WRITTEN
from energy_gan.run.plain import PLURAL, Config, check_plain, inside

if TYPE_CHECKING:
    from energy_gan.data.base import DataModule
    from energy_gan.data.density import Density
    from energy_gan.methods.base import Method

# the only leaves that no constructor takes
TYPES = {
    "seed": Annotated[int, Ge(0)],
    "kind": Literal["points", "small_images", "images", "text"],
    "threads": Annotated[int, Ge(1)] | None,
    "compile": bool,
    "channels_last": bool,
    "float32_matmul_precision": Literal["highest", "high", "medium"],
    "name": str | None,
    "run_dir": str | None,
}
# what constructors refuse, and torch and Lightning say of bad values
REFUSALS = (
    ValueError,
    TypeError,
    RuntimeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    ImportError,
    MemoryError,
)
CALL_KEYS = {"_target_", "_partial_"}
NEVER = {"trust", "model_registry"}  # parameters that no config gives: who is trusted, where weights are sent


def check(config: Config, trust: Sequence[str] = ()) -> None:
    """Refuse what is not trusted, not known or of the wrong type.

    Raises:
        InputError: names the first such key, its value and what was expected.
    """
    check_plain(config)
    for key, expected in TYPES.items():
        if key in config:
            check_type(config[key], expected, key)
    for group in PLURAL:
        parts = config.get(group) or {}
        if not isinstance(parts, dict):
            raise InputError(f"{group} is of the wrong type: expected parts by name, got {shown(parts)}")
        for name, part in parts.items():
            if isinstance(part, list) or (
                isinstance(part, dict) and ("_target_" not in part or part.get("_partial_"))
            ):
                raise InputError(
                    f"{group}.{name} has no _target_, so nothing can be made of it: leave it out, "
                    f"{group}.{name}=null, or give all of it"
                )
    for key, value in config.items():
        if key not in TYPES:
            _check(value, key, trust)
            if key in ROOTS and not (isinstance(value, dict) and "_target_" in value):
                raise InputError(f"{key} has no _target_, so nothing can be made of it: give all of it")
            if isinstance(value, dict) and value.get("_partial_") and key != "trainer":
                raise InputError(f"{key}._partial_=True makes nothing of it: leave it out")
    for group in (*PLURAL, "trainer"):
        _check_places(config.get(group), group, config)


def _check_places(node: Any, key: str, config: Config) -> None:
    """A run writes into its own folder only."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in entries:
        here, home = f"{key}.{name}", config.get("run_dir")
        if name in WRITTEN and isinstance(value, str) and home is not None and not inside(value, home):
            raise InputError(
                f"{here}={shown(value)} is not in the run's own folder: give run_dir=FOLDER alone"
            )
        _check_places(value, here, config)


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
    target = locate(node["_target_"], key, trust)
    check_root(target, key)
    check_type(node.get("_partial_", False), bool, f"{key}._partial_")
    parameters = {
        name: p
        for name, p in inspect.signature(target).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name not in NEVER
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
            check_type(value, annotations[name], f"{key}.{name}")
    required = [name for name, p in parameters.items() if p.default is p.empty]
    absent = [name for name in required if name not in node]
    if absent and not node.get("_partial_"):
        name = f"{key}.{absent[0]}"
        raise InputError(f"{name} has no value: {node['_target_']} needs it, give +{name}=VALUE")


def _annotations(target: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):  # a library's annotation that cannot be evaluated here
        return {}


def _holds_calls(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(_holds_calls(v) for v in value.values())
    return isinstance(value, list) and any(_holds_calls(v) for v in value)


def check_type(value: Any, annotation: Any, key: str) -> None:
    """InputError that names the key unless the value fits the annotation."""
    annotation = _instances(annotation)
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except PydanticUserError:  # a dataclass, which takes no config
        adapter = TypeAdapter(annotation)
    try:
        adapter.validate_python(
            tuple(value) if isinstance(value, list) and _wants_tuple(annotation) else value
        )
    except ValidationError as error:
        wanted = dict.fromkeys(e["msg"].removeprefix("Input should be ") for e in error.errors())
        wanted = [text.replace("an instance of Sequence", "a list") for text in wanted]
        raise InputError(
            f"{key}={shown(value)} is of the wrong type: expected {' or '.join(wanted)}"
        ) from error


def _instances(annotation: Any) -> Any:
    """The same, where a dataclass stands for itself: what its fields are is checked when it is built."""
    if dataclasses.is_dataclass(annotation):
        return InstanceOf[annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.Union[tuple(map(_instances, typing.get_args(annotation)))]  # noqa: UP007, made here
    return annotation


def _wants_tuple(annotation: Any) -> bool:
    """A config has no tuples: a list stands for one."""
    return typing.get_origin(annotation) is tuple or any(map(_wants_tuple, typing.get_args(annotation)))


def build(node: Any, key: str) -> Any:
    """The object, or the containers of objects, that a checked node describes: arguments first, in order.

    Raises:
        InputError: a constructor refused a value.
    """
    if isinstance(node, list):
        return [build(value, f"{key}[{index}]") for index, value in enumerate(node)]
    if not isinstance(node, dict):
        return node
    arguments = {name: build(value, f"{key}.{name}") for name, value in node.items() if name not in CALL_KEYS}
    if "_target_" not in node:
        return arguments
    target = named(node["_target_"])
    if node.get("_partial_"):
        return partial(target, **arguments)
    try:
        return target(**arguments)
    except REFUSALS as error:
        raise InputError(f"{key}: {refusal(error)}") from error


def build_data(node: Config, trust: Sequence[str] = ()) -> "DataModule":
    """A data set from its node of a config, checked before; nothing is read yet.

    Raises:
        InputError: a setting is wrong, or names what is not trusted.
    """
    check({"data": node}, trust)
    return build(node, "data")


def build_density(node: Any) -> "Density":
    """The known law of a data set from its node, checked before.

    Raises:
        InputError: a setting is wrong, or names what is not trusted.
    """
    check_plain({"density": node})
    _check(node, "data.density", ())
    return build(node, "data.density")


def make_optimizers(method: "Method") -> None:
    """InputError where one refuses its settings; else that would be said in the midst of a training."""
    try:
        method.configure_optimizers()
    except REFUSALS as error:
        raise InputError(f"method: {refusal(error)}") from error


def refusal(cause: BaseException) -> str:
    """What a constructor said against its values, in one line."""
    said = " ".join(str(cause).split()) or type(cause).__name__
    return said if isinstance(cause, ValueError) else f"the values do not go together: {said}"
