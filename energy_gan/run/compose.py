"""From names and overrides to a plain config, every value resolved. Hydra's work, without torch.

`data=` and `method=` choose the recipe: `conf/experiment/<method>/<data>.yaml` where there is one,
else the one for that kind of data. A mistake is one line that names what there is instead.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from energy_gan.errors import InputError
from energy_gan.run.folder import check_links, check_places, check_whole
from energy_gan.run.plain import PLURAL, Config, check_plain, parse_yaml, read_yaml
from energy_gan.system import commands
from energy_gan.system.commands import command

HERE = Path(__file__).parent.parent
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"
KINDS = {  # of data, each with the recipes that are made for it, the narrowest first
    "points": ("points",),
    "table": ("table", "points"),
    "small_images": ("small_images", "images"),
    "images": ("images",),
    "text": ("text",),
}


def options(group: str) -> dict[str, str]:
    """The configs of a group, each with the comment on its first line."""
    files = sorted(file for file in (CONF / group).glob("*.yaml") if not file.name.startswith("_"))
    return {file.stem: file.read_text(encoding="utf-8").split("\n")[0].lstrip("# ") for file in files}


def compose(overrides: Sequence[str] = ()) -> Config:
    """The config that `key=value` overrides ask for, resolved to plain containers.

    `data=` and `method=` choose the recipe: `experiment/<method>/<data>` where there is one, else
    the one for that kind of data. Without `method=`, `experiment/default/` names the best.

    Raises:
        InputError: an unknown name, key or option, a missing or unreadable value.
    """
    OmegaConf.register_new_resolver("table_shape", _table_shape, replace=True)
    OmegaConf.register_new_resolver("n_classes", _n_classes, replace=True)
    OmegaConf.register_new_resolver("at_least", lambda n, shape: max(n, prod(shape)), replace=True)
    OmegaConf.register_new_resolver(
        "in_plane", lambda here, beyond, shape: here if prod(shape) <= 2 else beyond, replace=True
    )
    OmegaConf.register_new_resolver("twentieth", _twentieth, replace=True)
    OmegaConf.register_new_resolver("doubling", _doubling, replace=True)
    OmegaConf.register_new_resolver("total", sum, replace=True)
    OmegaConf.register_new_resolver(
        "halving", lambda least, shape: _doubling(least, shape)[::-1], replace=True
    )
    OmegaConf.register_new_resolver("levels", _levels, replace=True)
    OmegaConf.register_new_resolver("coarser", _coarser, replace=True)
    overrides = [_quoted(override) for override in overrides]
    if not _chosen("experiment", overrides) and (recipe := _recipe(overrides)):
        # the recipe names the method: `aligned` is another one of images than of points
        overrides = [o for o in overrides if o.partition("=")[0] != "method"] + [f"experiment={recipe}"]
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            config = hydra_compose("train", overrides, return_hydra_config=True)
        choices = config.hydra.runtime.choices
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        config.name = f"{choices.method}/{choices.data}"
        config = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        kind = config["data"].pop("kind", "points")  # no constructor takes it, see `KINDS`
        config["kind"] = "points" if kind == "table" else kind
        config["data"].pop("n_classes", None)  # for networks
    except (HydraException, OmegaConfBaseException, OSError, TypeError, ValueError) as error:
        raise InputError(_explain(error, overrides)) from error
    return config


def _quoted(override: str) -> str:
    """The override, its value in quotes if Hydra's grammar cannot read it: a path with = or ' in it."""
    key, equals, value = override.partition("=")
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        if equals and key.isprintable() and not value.startswith(("'", '"')):
            escaped = value.replace("'", "\\'")
            return f"{key}='{escaped}'"
    return override


def _chosen(group: str, overrides: Sequence[str]) -> str | None:
    values = [o.partition("=")[2].strip("'\"") for o in overrides if o.partition("=")[0] == group]
    return values[-1] if values else None


def _recipe(overrides: Sequence[str]) -> str | None:
    data = _chosen("data", overrides) or OmegaConf.load(CONF / "train.yaml").defaults[1].data
    method = _chosen("method", overrides) or "default"
    if not (CONF / f"data/{data}.yaml").is_file():
        return None  # Hydra then names the data sets there are
    return recipe_of(method, data)


def recipe_of(method: str, data: str) -> str | None:
    """The config in conf/experiment of a method on a set, the narrowest; None for points without any.

    Raises:
        InputError: the method is not made for what the set holds.
    """
    kinds = KINDS[OmegaConf.load(CONF / f"data/{data}.yaml").kind]
    own = [data] if data not in KINDS else []  # data=points is a table, see there
    recipes = [f"{method}/{name}" for name in (*own, *kinds)]
    found = next((r for r in recipes if (CONF / f"experiment/{r}.yaml").is_file()), None)
    if not found and kinds[-1] != "points" and method in options("method"):
        what = kinds[-1]
        able = sorted(
            f.parent.name for f in CONF.glob(f"experiment/*/{what}.yaml") if f.parent.name != "default"
        )
        raise InputError(
            f"method={method} is not made for {what}, as data={data} has: give {' or '.join(able)}"
        )
    return found


def _doubling(least: int, shape: Sequence[int]) -> list[int]:
    """Widths of layers that each halve an image, down to 4 to 7 pixels: least, 2 least, 4 least, …"""
    return [least * 2**i for i in range(max(1, int(min(shape[1:])).bit_length() - 3))]


def _levels(shape: Sequence[int]) -> int:
    """How often height and width can be halved, to whole numbers of at least 4 pixels; at least once."""
    levels = 1
    while all(side % 2 ** (levels + 1) == 0 and side >= 8 * 2**levels for side in shape[1:]):
        levels += 1
    return levels


def _coarser(factor: int, shape: Sequence[int]) -> list[int]:
    """The shape of images with so many times fewer pixels a side."""
    return [shape[0], *(max(1, side // factor) for side in shape[1:])]


def _twentieth(most: int, steps: Any) -> int:
    """Of the steps of a run, and at most so many; what is no number of steps is refused later."""
    return max(1, min(most, steps // 20)) if isinstance(steps, int) else most


def _table_shape(path: str, label_column: Any = None) -> list[int]:
    from energy_gan.data.table_files import table_shape  # reads files: only where it is asked for

    (columns,) = table_shape(path)
    return [columns - (label_column is not None)]


def _n_classes(what: str, *settings: Any) -> int:
    from energy_gan.data import number_of_classes  # reads files

    return {
        "table": number_of_classes.of_table,
        "text": number_of_classes.of_text,
        "folder": number_of_classes.of_folder,
    }[what](*settings)


def _explain(error: Exception, overrides: Sequence[str]) -> str:
    """One line from what Hydra and OmegaConf say in many."""
    cause = error
    while cause is not None:
        if isinstance(cause, InputError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__  # OmegaConf raises from what it has copied
    text = str(error)
    if match := re.search(r"Could not find '(\w+)/(.+)'", text):
        group, name = match.groups()
        return f"{group}={name} is unknown: choose one of {', '.join(options(group))}"
    for group, value in re.findall(r"^(\w+)=(null|[\d.]+)$", "\n".join(overrides), re.MULTILINE):
        if "Config group override must be" in text and (CONF / group).is_dir():
            names = ", ".join(options(group)) or "<method>/<data>"
            parts = f"; a part of it is left out by {group}.PART=null" if group in PLURAL else ""
            return f"{group}={value} is no name: choose one of {names}{parts}"
    if match := re.search(r"Could not override '(.+)'", text):
        near = _nearest(match[1], overrides)
        return f"{match[1]} is not a key of the config{near}: see `{_config()}` for all"
    if isinstance(error, MissingMandatoryValue | InterpolationToMissingValueError):
        return f"{error.full_key} has no value: give {error.full_key}=VALUE"
    what = " ".join(text.split("See https")[0].split())
    return f"cannot read the overrides: {what}; write them as key=value"


def _config() -> str:
    return command("config") if commands.caller == commands.MAKE else command("train", "--config")


def _nearest(key: str, overrides: Sequence[str]) -> str:
    """Did you mean …, among the keys of the same recipe."""
    groups = [o for o in overrides if o.partition("=")[0] in ("experiment", "data", "method", "network")]
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            keys = list(_leaves(OmegaConf.to_container(hydra_compose("train", groups))))
    except (HydraException, OmegaConfBaseException, OSError):
        return ""
    same_ending = [k for k in keys if k.rpartition(".")[2] == key.rpartition(".")[2]]
    near = same_ending or difflib.get_close_matches(key, keys, n=3)
    return f", did you mean {' or '.join(near[:3])}?" if near else ""


def _leaves(node: Any, key: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else name)
    elif not key.endswith(("_target_", "_partial_")):
        yield key


ABSENT = object()  # null is a value


def read_config(run: Path, overrides: Sequence[str] = (), places: Sequence[str] = ()) -> Config:
    """The config that a run's folder keeps, for use in that folder, with some values changed.

    It may be a stranger's: its values are plain and taken as they are, see `energy_gan.run.folder`.

    Args:
        places: folders that the user himself has named for what runs share.

    Raises:
        InputError: the file is damaged, of an older layout or says where else to write, or an override
            names a key that it does not have.
    """
    path = run / "config.yaml"
    kept = read_yaml(path, get_yaml_loader())
    check_whole(kept, path)
    check_links(run)
    try:
        config = OmegaConf.create(kept)
        OmegaConf.set_struct(config, True)
        config.run_dir, old = str(run), config.run_dir
        for name in ("callbacks", "logger", "trainer"):  # the folder may have been moved
            _replace(config[name], old, str(run))
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals or OmegaConf.select(config, key, default=ABSENT) is ABSENT:
                near = difflib.get_close_matches(key, list(_leaves(OmegaConf.to_container(config))), n=1)
                hint = f", did you mean {near[0]}?" if near else ""
                raise InputError(f"{override!r} changes no key of {path}{hint}")
            given, there = parse_yaml(f"v: {value}", get_yaml_loader())["v"], OmegaConf.select(config, key)
            check_plain(given, key)
            if isinstance(there, DictConfig) and given is not None and not isinstance(given, dict):
                raise InputError(
                    f"{override} names another group of settings, and {path} keeps its own: give its keys "
                    f"one by one, {key}.KEY=VALUE"
                )
            OmegaConf.update(config, key, OmegaConf.create({"v": given}).v, force_add=True)
        config = OmegaConf.to_container(config)
    except (OmegaConfBaseException, YAMLError, AttributeError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    check_places(config, run, {override.partition("=")[0] for override in overrides}, places)
    return config


def _replace(node: Any, old: Any, new: str) -> None:
    for key, value in node.items() if isinstance(node, DictConfig) else ():
        if isinstance(value, str) and (value == old or value.startswith(f"{old}/")):
            node[key] = new + value[len(old) :]
        else:
            _replace(value, old, new)
