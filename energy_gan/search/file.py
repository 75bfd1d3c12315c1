"""A sweep file in W&B's format: read it, and check its form. `check.py` looks at what it asks for."""

import re
import warnings
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from energy_gan.errors import InputError
from energy_gan.run.compose import CONF
from energy_gan.run.folder import SHARED, WRITTEN
from energy_gan.run.plain import read_yaml

FOLDERS = (Path("sweeps"), CONF.parent / "sweeps")
TRAIN, VALUES = "energy_gan.cli.train", "${args_no_hyphens}"
SHORT = "callbacks.report.short"  # of trials, unless they are told otherwise
KNOWN = ("${env}", "${interpreter}", "${program}", VALUES)
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
EDGE = 1e-9  # the quantile at which a range ends: at 0 itself W&B's integers begin one too low
FAR = 0.01  # and at which a law without ends is looked at


class Sweep(NamedTuple):
    """A sweep file as it was read.

    Args:
        name: of the file, without its ending.
        spec: W&B's dictionary.
    """

    name: str
    spec: dict[str, Any]

    @property
    def metric(self) -> str | None:
        return self.spec.get("metric", {}).get("name")

    @property
    def maximise(self) -> bool:
        return self.spec.get("metric", {}).get("goal", "minimize") == "maximize"

    @property
    def searched(self) -> dict[str, Any]:
        """What the search engine gets: W&B's server knows `run_cap`, its engine does not."""
        return {key: value for key, value in self.spec.items() if key != "run_cap"}

    @property
    def overrides(self) -> list[str]:
        """What the command gives every trial."""
        command = [str(word) for word in self.spec["command"]]
        return [word for word in command[command.index(TRAIN) + 1 :] if not word.startswith("${")]

    def command(self, interpreter: str, values: Mapping[str, Any]) -> list[str]:
        """The words that train one trial, as W&B's agent would put them."""
        words = {"${interpreter}": [interpreter], "${program}": [str(self.spec.get("program", ""))]}
        words |= {VALUES: as_overrides(values), "${env}": []}
        return [word for part in self.spec["command"] for word in words.get(str(part), [str(part)])]

    def with_overrides(self, overrides: Sequence[str]) -> "Sweep":
        """The same with more settings for every trial; swept values still come last."""
        at = [str(word) for word in self.spec["command"]].index(VALUES)
        command = [*self.spec["command"][:at], *overrides, *self.spec["command"][at:]]
        return Sweep(self.name, {**self.spec, "command": command})


def as_overrides(values: Mapping[str, Any]) -> list[str]:
    """`key=value` words; lists without blanks, so that they can be pasted into ARGS."""
    return [f"{key}={str(value).replace(', ', ',')}" for key, value in values.items()]


def names() -> list[str]:
    """The sweeps there are."""
    return sorted({file.stem for folder in FOLDERS for file in folder.glob("*.yaml")})


def read(name: str) -> Sweep:
    """The file of that name in sweeps/, or the one at that path; its form is checked.

    Raises:
        InputError: there is none, or it is no sweep file of ours.
    """
    paths = [Path(name)] if name.endswith((".yaml", ".yml")) else [f / f"{name}.yaml" for f in FOLDERS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise InputError(f"SWEEP={name} is unknown: choose one of {', '.join(names())}, or give a .yaml file")
    spec = read_yaml(path, known=KNOWN)
    try:
        check_form(spec)
        _check_trust(spec)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Sweep(path.stem, spec)


# ---- form


def check_form(spec: Any) -> None:
    """W&B's schema, and what it lets through.

    Raises:
        InputError: names the key, what is wrong and the remedy.
    """
    if not isinstance(spec, dict):
        raise InputError("it holds no settings: a sweep has command, method, metric and parameters")
    cap = spec.get("run_cap")
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        raise InputError(f"run_cap={cap!r} must be a whole number of trials, at least 1")
    for name, parameter in _parameters(spec).items():
        _check_parameter(name, parameter)
    if said := _violations({key: value for key, value in spec.items() if key != "run_cap"}):
        raise InputError(f"it does not fit W&B's schema: {said}")
    _check_command(spec.get("command"))
    metric = spec.get("metric")
    if metric is None and (spec["method"] == "bayes" or "early_terminate" in spec):
        what = "early_terminate" if "early_terminate" in spec else "method: bayes"
        raise InputError(f"{what} needs a metric: give metric: {{name: val/…, goal: minimize}}")
    if spec["method"] == "custom":
        raise InputError("method: custom is not searched here: give bayes, random or grid")
    if spec["method"] == "grid":
        _check_grid(spec["parameters"])


def _parameters(spec: dict) -> dict[str, Any]:
    parameters = spec.get("parameters")
    return parameters if isinstance(parameters, dict) else {}


def _check_parameter(name: Any, parameter: Any) -> None:
    if not isinstance(parameter, dict):
        raise InputError(f"parameters.{name}={parameter!r} says no range: give values: […], or min and max")
    if "parameters" in parameter:
        inner = next(iter(parameter["parameters"] or {"…": 0}))
        raise InputError(f"parameters.{name} is nested, Hydra wants flat keys: write {name}.{inner}")
    given = [parameter.get(key) for key in ("min", "max", "mu", "sigma", "q", "value")]
    values = parameter.get("values", [])
    for value in (*given, *(values if isinstance(values, list) else [])):
        if isinstance(value, str) and EXPONENT.fullmatch(value):
            right = f"{float(value):.1e}"
            raise InputError(f"parameters.{name}: YAML reads {value} as text, write {right}")
    listed = values if isinstance(values, list) else []
    for value in (*listed, *([parameter["value"]] if "value" in parameter else [])):
        if value is None or isinstance(value, dict) or (isinstance(value, str) and "=" in value):
            raise InputError(
                f"parameters.{name}: {value!r} cannot reach a run as {name}=VALUE: "
                "give numbers, names, true, false or lists"
            )


def _violations(spec: dict) -> str:
    schema = _quietly_imported("sweeps.config")
    try:
        return "; ".join(schema.schema_violations_from_proposed_config(spec))
    except (TypeError, ValueError, KeyError, AttributeError) as error:  # it compares what it has not checked
        return str(error)


def _check_command(command: Any) -> None:
    example = f"[${{env}}, ${{interpreter}}, -m, {TRAIN}, data=…, method=…, {VALUES}]"
    if not isinstance(command, list) or TRAIN not in command or command.count(VALUES) != 1:
        raise InputError(f"its command must run {TRAIN} and hold {VALUES} once: command: {example}")
    strange = [word for word in command if str(word).startswith("${") and word not in KNOWN]
    if strange:
        raise InputError(f"its command has {strange[0]}, which says nothing to Hydra: use {', '.join(KNOWN)}")
    for word in command[command.index(TRAIN) + 1 :]:
        if word != VALUES and "=" not in str(word):
            raise InputError(f"its command gives {word!r} to {TRAIN}: write key=value")


def _check_trust(spec: dict) -> None:
    """A file, which may be a stranger's, admits no packages and does not say where to write or to look."""
    words = [*map(str, spec["command"]), *(f"{name}=…" for name in spec["parameters"])]
    for word in words:
        key = word.partition("=")[0].strip(" \t'\"+~")
        if key == "trust":
            raise InputError(f"{word} stands in the file: whom you trust is said by ARGS='trust=[…]' alone")
        # the run_dir of a trial is chosen for it
        if key.startswith("hydra") or (key != "run_dir" and key.rpartition(".")[2] in {*WRITTEN, *SHARED}):
            raise InputError(f"{word} stands in the file, which does not say where to write: give it as ARGS")


def _check_grid(parameters: Mapping[str, dict]) -> None:
    for name, parameter in parameters.items():
        kind = hyper_parameter(name, parameter).type
        if kind not in ("param_categorical", "param_single_value", "param_int_uniform", "param_quniform"):
            raise InputError(f"parameters.{name} has no end of values, which a grid needs: give values: […]")


def _quietly_imported(module: str) -> Any:
    """A module of W&B's search engine, without its complaint about a newer pydantic."""
    import importlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(module)
        except ImportError as error:
            raise InputError(
                "W&B's search engine is not there: `make` installs it, or pip install sweeps==0.2.0"
            ) from error


def hyper_parameter(name: str, parameter: dict) -> Any:
    """W&B's own reading of a range."""
    return _quietly_imported("sweeps.params").HyperParameter(name, parameter)


def engine() -> Any:
    """W&B's search engine: `next_run`, `stop_runs`, `SweepRun`."""
    return _quietly_imported("sweeps")


def extremes(name: str, parameter: dict) -> list[Any]:
    """All values of a list, both ends of a range; far out where a range has none."""
    known = hyper_parameter(name, parameter)
    if "value" in known.config:
        return [known.config["value"]]
    if "values" in known.config:
        return known.config["values"]
    edge = EDGE if "max" in known.config else FAR
    return [plain(known.ppf(at)) for at in (edge, 1 - edge)]


def size_of_grid(sweep: Sweep) -> int:
    """How many trials a grid has.

    Raises:
        InputError: the sweep is none.
    """
    if sweep.spec["method"] != "grid":
        raise InputError(f"how many trials? {sweep.name} has no run_cap: give N_TRIALS=…")
    sizes = []
    for name, parameter in sweep.spec["parameters"].items():
        known = hyper_parameter(name, parameter)
        if known.type == "param_int_uniform":
            sizes.append(known.config["max"] - known.config["min"] + 1)
        elif known.type == "param_quniform":
            low, high, step = (known.config[key] for key in ("min", "max", "q"))
            sizes.append(max(1, -int((low - high) // step)))
        else:
            sizes.append(len(extremes(name, parameter)))
    return prod(sizes)


def plain(value: Any) -> Any:
    """A number of Python's, with 4 digits where it is not whole: it will stand in a command line."""
    value = value.item() if hasattr(value, "item") else value
    return float(f"{value:.4g}") if isinstance(value, float) else value


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """`method.energy.experts` as `experts`, or with more of its words where two end alike."""
    short = {}
    for key in keys:
        words = key.split(".")
        ends = [".".join(words[-n:]) for n in range(1, len(words) + 1)]
        others = [other for other in keys if other != key]
        short[key] = next((e for e in ends if not any(f".{o}".endswith(f".{e}") for o in others)), key)
    return short
