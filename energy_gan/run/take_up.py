"""Which folder a run lives in, and whether what lies there is the same run, to go on with."""

import inspect
import json
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from pydoc import locate
from typing import Any, NamedTuple

from energy_gan.errors import InputError
from energy_gan.run.compose import CONF, read_config
from energy_gan.run.folder import shared_places
from energy_gan.run.plain import Config
from energy_gan.system.commands import command


class Difference(NamedTuple):
    """A key in which two configs differ, and its values as they are shown."""

    key: str
    kept: str
    given: str

    def __str__(self) -> str:
        return f"{self.key}={self.given}, there {self.kept}"


def first_process() -> bool:
    """Whether this is the first process of a run, by what torchrun, SLURM and Lightning tell each."""
    names = ("RANK",) if "RANK" in os.environ else ("SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")
    return all(os.environ.get(name, "0") == "0" for name in names)


def choose_run_dir(config: Config) -> str:
    """Where the run will live; it must not hold anything yet.

    Raises:
        InputError: it does, or each of several processes would choose for itself.
    """
    if config["run_dir"] is None:
        many = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1 or "RANK" in os.environ
        if many or config["trainer"].get("num_nodes", 1) > 1:
            raise InputError(
                "torchrun, SLURM and several machines start every process by itself: name the one folder "
                "that all of them mean, run_dir=runs/my_run"
            )
        now = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}"
        return str(Path("runs", config["name"], now))
    if first_process() and Path(str(config["run_dir"])).exists():
        raise InputError(
            f"run_dir={config['run_dir']} exists already and nothing is overwritten: name another, "
            f"or go on with `{command('resume', RUN=str(config['run_dir']))}`"
        )
    return str(config["run_dir"])


def taken_up(config: Config) -> Config | None:
    """The config to go on with in a folder that has a checkpoint; None where the run begins.

    It is the folder's own, with the command's loggers and progress bar.

    Raises:
        InputError: no folder is named, it holds something else, or a run of another config.
    """
    if config["run_dir"] is None:
        raise InputError("resume=auto needs the folder that it is about: give run_dir=runs/my_run")
    folder = Path(config["run_dir"])
    if folder.exists() and not folder.is_dir():
        raise InputError(f"run_dir={folder} is a file: name another, where a folder is or can be made")
    if not (folder / "config.yaml").is_file():
        # killed while the config was written: only that write's own file is there
        others = (
            sorted(p.name for p in folder.iterdir() if not p.name.startswith(".config."))
            if folder.exists()
            else []
        )
        if others:
            raise InputError(
                f"run_dir={folder} is no run's folder (it has {others[0]} and no config.yaml), and nothing "
                "is overwritten: name another"
            )
        return None
    kept = read_config(folder, places=[place for _, place in shared_places(config)])
    if different := differences(kept, as_kept(config)):
        more = f"; {len(different) - 3} more" if len(different) > 3 else ""
        listed = "; ".join(map(str, different[:3])) + more
        raise InputError(
            f"run_dir={folder} holds a run of another config ({listed}): give the same command, another "
            f"run_dir, or change its settings by `{command('resume', RUN=str(folder), ARGS='key=value')}`"
        )
    if not any((folder / "checkpoints").glob("step_*.ckpt")):
        return None
    loggers, known = config["logger"], kept["logger"]
    if isinstance(loggers.get("wandb"), dict) and isinstance(known.get("wandb"), dict):  # the same run on W&B
        number = loggers["wandb"].get("id") or known["wandb"].get("id")
        loggers = loggers | {"wandb": loggers["wandb"] | {"id": number}}
    callbacks = kept["callbacks"] | {"progress": config["callbacks"].get("progress")}
    return kept | {"logger": loggers, "callbacks": callbacks}


def finished(config: Config, step: int) -> bool:
    """Whether a run at that step has nothing left to do: the report of its end is there, if it makes one."""
    return step >= config["trainer"]["max_steps"] and reported(config, step)


def reported(config: Config, step: int) -> bool:
    """Whether the report of a run's end at that step is there, if it makes one."""
    file = Path(config["run_dir"]) / "metrics.json"
    makes_one = (config["callbacks"] or {}).get("report") is not None
    return not makes_one or (file.is_file() and json.loads(file.read_text())["step"] == step)


def going_on(run: Path, trust: Sequence[str] = ()) -> list[str] | None:
    """The command that goes on with a run that was cut, in its training or in the report of its end.

    None where nothing was saved. What is trusted is in no config, so the command says it.
    """
    if not any(run.glob("checkpoints/step_*.ckpt")):
        return None
    return ["energy_gan.cli.resume", str(run), *(f"trust=[{package}]" for package in trust)]


def as_kept(config: Config) -> Config:
    """The config as it is read back from a run's folder."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.create(OmegaConf.to_yaml(config)))


def differences(kept: Any, given: Any, key: str = "") -> list[Difference]:
    """In which keys two configs ask for different training."""
    if not (isinstance(kept, dict) and isinstance(given, dict)):
        return [] if kept == given else [Difference(key, _shown(kept), _shown(given))]
    found = []
    for name in dict.fromkeys([*kept, *given]):
        here = f"{key}.{name}" if key else name
        if here not in ("run_dir", "logger", "callbacks.progress"):
            there = kept[name] if name in kept else unsaid(given, here)
            found += differences(there, given.get(name), here)
    return found


def unsaid(node: Config, key: str) -> Any:
    """What a setting comes to where a config does not name it, as one of before there was such a setting."""
    if "." not in key:
        from omegaconf import OmegaConf

        return OmegaConf.load(CONF / "train.yaml").get(key)
    target = str(node.get("_target_"))
    part = locate(target) if target.startswith("energy_gan.") else None
    known = inspect.signature(part).parameters if callable(part) else {}
    default = getattr(known.get(key.rpartition(".")[2]), "default", None)
    return None if default is inspect.Parameter.empty else default


def _shown(value: Any) -> str:
    return "…" if isinstance(value, dict) else "null" if value is None else str(value)
