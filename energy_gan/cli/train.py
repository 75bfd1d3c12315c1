"""Train: `python -m energy_gan.cli.train data=four_spin method=kim_bengio seed=1 …`."""

import argparse
import atexit
import gc
import inspect
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pydoc import locate
from typing import Any

from energy_gan.cli import Parser, door
from energy_gan.compose import CONF, Config, compose, options, read_config
from energy_gan.errors import InputError

DESCRIPTION = """\
Train an energy model and a generator of the same distribution, measure and draw them.

data sets    {data}
methods      {method}

Every setting is a key of the config, given as key=value:
  data=NAME method=NAME seed=0 trainer.max_steps=6000 data.batch_size=128
  data=points data.path=FILE       your own table: .npy, .csv or .parquet
  trust=[my_package]               admit classes of your own package as _target_
  run_dir=FOLDER resume=auto       go on with the run in this folder, begin it where there is none:
                                   the same command again continues what was cut short
`--config` prints all keys of the run that the command would start."""


def arguments() -> argparse.Namespace:
    listed = {group: ", ".join(options(group)) for group in ("data", "method")}
    parser = Parser(
        "train",
        description=DESCRIPTION.format(**listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--config", action="store_true", help="print the composed config and stop")
    return parser.parse_args()


def split_trust(overrides: list[str]) -> tuple[list[str], list[str]]:
    """The overrides, and the packages that `trust=[a,b]` names: it is no key of a config or a file."""
    named = ",".join(o.partition("=")[2].strip("[]") for o in overrides if o.startswith("trust="))
    rest = [o for o in overrides if not o.startswith("trust=")]
    return rest, [name.strip() for name in named.split(",") if name.strip()]


def only_trust(overrides: list[str]) -> list[str]:
    """The packages that `trust=[a,b]` names, where nothing else can be given."""
    rest, trust = split_trust(overrides)
    if rest:
        raise InputError(f"{rest[0]!r} cannot be given here: only trust=[my_package] can, all else is --NAME")
    return trust


def split_resume(overrides: list[str]) -> tuple[list[str], bool]:
    """The overrides, and whether `resume=auto` is among them: no key of a config either."""
    named = [o for o in overrides if o.startswith("resume=")]
    if other := [o for o in named if o != "resume=auto"]:
        raise InputError(
            f"{other[0]} is unknown: give resume=auto, or `make resume RUN=…` for a run that is there"
        )
    return [o for o in overrides if o not in named], bool(named)


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
            f"or go on with `make resume RUN={config['run_dir']}`"
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
    kept = read_config(folder)
    if different := differences(kept, as_kept(config)):
        listed = "; ".join(different[:3]) + (f"; {len(different) - 3} more" if len(different) > 3 else "")
        raise InputError(
            f"run_dir={folder} holds a run of another config ({listed}): give the same command, another "
            f"run_dir, or change its settings by `make resume RUN={folder} ARGS='key=value'`"
        )
    if not any((folder / "checkpoints").glob("step_*.ckpt")):
        return None
    loggers, known = config["logger"], kept["logger"]
    if isinstance(loggers.get("wandb"), dict) and isinstance(known.get("wandb"), dict):  # the same run on W&B
        number = loggers["wandb"].get("id") or known["wandb"].get("id")
        loggers = loggers | {"wandb": loggers["wandb"] | {"id": number}}
    callbacks = kept["callbacks"] | {"progress": config["callbacks"].get("progress")}
    return kept | {"logger": loggers, "callbacks": callbacks}


def as_kept(config: Config) -> Config:
    """The config as it is read back from a run's folder."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.create(OmegaConf.to_yaml(config)))


def differences(kept: Any, given: Any, key: str = "") -> list[str]:
    """The keys, each with both values, in which two configs ask for different training."""
    if not (isinstance(kept, dict) and isinstance(given, dict)):
        return [] if kept == given else [f"{key}={_shown(given)}, there {_shown(kept)}"]
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


@contextmanager
def quick_start(config: Config) -> Iterator[None]:
    """What is imported and built in here takes a fourth less of the processor's time.

    Python looks for garbage as objects become more, over and over among all those that modules are made of,
    and they stay: it is told to let them be. And W&B asks of every module there is where it comes from, so it
    comes before torch and its thousands. A process that has torch already has other things and is left alone.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        if config["logger"].get("wandb"):
            import wandb.apis.public  # noqa: F401, it would be imported as the run begins
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # or libraries complain at the end of what is left


def main() -> None:
    given = arguments()
    overrides, trust = split_trust(given.overrides)
    overrides, auto = split_resume(overrides)
    config = compose(overrides)
    if given.config:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(config), end="")
        return
    if not auto or config["run_dir"] is not None:
        run_dir = str(config["run_dir"] if auto else choose_run_dir(config)).replace("'", "\\'")
        config = compose([*overrides, f"run_dir='{run_dir}'"])
        sys.argv.append(f"run_dir='{run_dir}'")  # Lightning starts the other processes by the same command
    kept = taken_up(config) if auto else None

    with quick_start(config):
        from energy_gan.build import newest
        from energy_gan.cli.summary import summary
        from energy_gan.run import Run  # torch and Lightning: seconds, so only once the command is good

        if kept:
            found = newest(Path(kept["run_dir"]))
            step, last = found[1]["global_step"], kept["trainer"]["max_steps"]
            if step >= last:
                if first_process():
                    print(f"{kept['run_dir']} is finished: step {step} of {last}")
                return
        run = Run(kept or config, trust)
    if kept:
        run.resume(found)
    elif auto:
        run.start_again()
    else:
        run.create()
        run.fit()
    if run.trainer.is_global_zero:
        print(summary(run.folder))


if __name__ == "__main__":
    door(main)
