"""What is asked of a run's folder and its config.yaml before they are used: they may be a stranger's."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from energy_gan.errors import InputError
from energy_gan.run.plain import inside

WHOLE = {  # what a run's config has at least
    **dict.fromkeys(("method", "data", "trainer", "callbacks", "logger"), dict),
    "run_dir": str,
    "seed": int,
}
WRITTEN = {
    "folder",
    "run_dir",
    "default_root_dir",
    "dirpath",
    "save_dir",
}  # parameters that name a run's places
# what runs share: decoded images, features; and a file of each that tells a folder in which they are kept
SHARED = {"cache": "*_train_*.json", "features": "statistics_*.npz"}


def checkpoints(run: Path) -> list[Path]:
    """Those of a run's folder, the last one first, read or not.

    Raises:
        InputError: it is no run's folder, or nothing was saved in it.
    """
    if not run.exists():
        raise InputError(f"RUN={run} does not exist: give a run's folder, runs/<method>/<data>/<time>")
    if not (run / "config.yaml").is_file():
        raise InputError(
            f"RUN={run} is no run's folder (it has no config.yaml): runs/<method>/<data>/<time> is one"
        )
    found = sorted((run / "checkpoints").glob("step_*.ckpt"), reverse=True)
    if not found:
        raise InputError(f"RUN={run} has no checkpoint yet: nothing was saved before it ended, train it anew")
    return found


def check_run(path: Path) -> None:
    """InputError unless there is a run's folder with a checkpoint in it, or a file that may be one."""
    if path.suffix != ".ckpt":
        checkpoints(path)
    elif not path.is_file():
        raise InputError(f"{path} does not exist: give a run's folder or a .ckpt file of one")


def check_whole(config: Any, path: Path) -> None:
    """InputError unless it is a run's config of today's layout."""
    if not isinstance(config, dict) or not isinstance(config.get("method"), dict):
        raise InputError(f"{path} cannot be read: it is no run's config, it has no method")
    check_layout(config, path)
    for name, expected in WHOLE.items():
        if not isinstance(config.get(name), expected):
            raise InputError(f"{path} cannot be read: {name} is missing or of the wrong type")
        if name in ("method", "data", "trainer") and "_target_" not in config[name]:
            raise InputError(f"{path} cannot be read: {name} has no _target_")


def check_layout(config: dict[str, Any], path: Path) -> None:
    """InputError where a config is one of before its data said of what kind they are."""
    if "kind" not in config:
        raise InputError(
            f"{path} is of an older layout, it does not say of what kind its data are: train the run anew, "
            "or use the version that made it"
        )


def check_links(run: Path) -> None:
    """InputError where what a run writes would land elsewhere. W&B's own folder has links to its logs."""
    for folder, folders, files in os.walk(run):
        for link in (Path(folder, name) for name in (*folders, *files)):
            if link.is_symlink() and not inside(link, run):
                raise InputError(f"{link} is a link out of the run's folder, to {link.readlink()}: remove it")
        folders[:] = [name for name in folders if Path(folder, name) != run / "wandb"]


def check_places(config: Any, run: Path, said: Collection[str], places: Collection[str]) -> None:
    """InputError where what runs share would be kept at a place that a file alone has chosen.

    Args:
        said: keys that the user himself has given.
        places: folders that he has named otherwise.
    """
    for key, place in shared_places(config):
        if key not in said and place not in places and not _may_fill(place, run):
            raise InputError(
                f"{run / 'config.yaml'}: {key}={place} is neither in the run's folder nor below this one, "
                f"and a file does not say where to write: give {key}={place} yourself, or take the key out"
            )


def shared_places(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The folders, with their keys, in which a config has runs keep what they share."""
    for name, value in node.items() if isinstance(node, dict) else ():
        here = f"{key}.{name}" if key else name
        if name in SHARED and isinstance(value, str):
            yield here, value
        yield from shared_places(value, here)


def _may_fill(place: str, run: Path) -> bool:
    """A folder of the run, one below the present folder, or one where such things are kept already."""
    here = Path(os.path.normpath(Path.cwd() / place))  # by its name: links in it are the user's own
    if here.is_relative_to(os.path.normpath(run.absolute())):
        return inside(place, run)
    return here.is_relative_to(Path.cwd()) or any(any(here.glob(kept)) for kept in SHARED.values())
