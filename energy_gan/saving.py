"""A model on disk: a run's folder that `load` reads, with config and weights and nothing to go on from."""

from importlib.metadata import version
from pathlib import Path

import torch
import yaml

from energy_gan.errors import InputError
from energy_gan.methods.base import Method
from energy_gan.system.files import write_atomically, write_text

OF_DATA = ("columns", "schema", "vocabulary", "classes")  # in a checkpoint, beside the config


def save(method: Method, folder: Path) -> None:
    """Write config.yaml and one checkpoint into a new folder.

    Raises:
        InputError: the folder is there already, or the method was made without a config.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already and nothing is overwritten: name another folder")
    config = dict(method.hparams) | {"run_dir": str(folder)}
    if "method" not in config:
        raise InputError("this method was built by hand and no config says how: keep its state_dict yourself")
    step = config["trainer"]["max_steps"]
    checkpoint = {
        "pytorch-lightning_version": version("lightning"),
        "global_step": step,
        "epoch": 0,
        "state_dict": method.state_dict(),
        "optimizer_states": [],
        "lr_schedulers": [],
        "loops": {},
        "callbacks": {},
        "hyper_parameters": config,
    }
    path = folder / "checkpoints" / f"step_{step:09d}.ckpt"
    write_atomically(path, lambda part: torch.save(checkpoint, part))
    of_run = {name: value for name, value in config.items() if name not in OF_DATA}
    write_text(folder / "config.yaml", yaml.safe_dump(of_run, sort_keys=False, allow_unicode=True))
