"""A run's checkpoints: which there are, what the last whole one holds, and the model in it."""

import sys
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from energy_gan.data.base import DataModule
from energy_gan.errors import InputError
from energy_gan.model import Model
from energy_gan.run.build import build, build_data, check, refusal
from energy_gan.run.contents import OlderLayoutError, check_contents, check_fits
from energy_gan.run.folder import checkpoints
from energy_gan.system.commands import command


def way_on(folder: Path | None, settings: str = "") -> str:
    """How to go on from what is saved in a folder of checkpoints, if anything is; with other settings."""
    there = sorted(folder.glob("step_*.ckpt")) if folder else []
    if not there:
        return "no checkpoint was saved before"
    step = int(there[-1].stem.removeprefix("step_"))
    return f"step {step} is kept: go on with `{command('resume', RUN=str(folder.parent), ARGS=settings)}`"


def newest(run: Path) -> tuple[Path, dict[str, Any]]:
    """The last whole checkpoint of a run's folder, with its contents; standard error names damaged ones.

    Raises:
        InputError: it is no run's folder, nothing was saved in it, or nothing of it is whole.
    """
    found, said = checkpoints(run), ""
    for count, path in enumerate(found):
        try:
            checkpoint = read_checkpoint(path)
        except OlderLayoutError:
            raise  # so are the others
        except InputError as error:
            said = said or str(error)
            continue
        if count:
            damaged = ", ".join(p.name for p in found[:count])
            print(f"{run}: {damaged} cannot be read, {path.name} is taken instead", file=sys.stderr)
        return path, checkpoint
    names = ", ".join(path.name for path in found)
    raise InputError(
        f"RUN={run} has no checkpoint that can be read, {names} are damaged: train it anew; {said}"
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents: tensors and plain containers, nothing in it is executed.

    Raises:
        InputError: the file is missing, damaged, or not one of ours.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a run's folder or a .ckpt file of one")
    with path.open("rb") as file, warnings.catch_warnings():  # a file that may not be read is not damaged
        warnings.simplefilter("ignore")  # torch's, of what it then refuses
        try:
            with zipfile.ZipFile(file) as archive:  # torch does not look at the checksums that it writes
                changed = archive.testzip()
            file.seek(0)
            checkpoint = None if changed else torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # zipfile and torch raise whatever the damaged bytes lead to
            raise InputError(
                f"{path} cannot be read, it is damaged or no checkpoint: give an earlier one of its folder"
            ) from error
    if changed:
        raise InputError(
            f"{path} cannot be read, the checksum of {changed} is wrong: give an earlier one of its folder"
        )
    check_contents(checkpoint, path)
    return checkpoint


def load(path: str | Path, trust: Sequence[str] = ()) -> Model:
    """The trained model of a run's folder (its last checkpoint) or of one checkpoint.

    Args:
        path: the folder or the .ckpt file.
        trust: your own packages that the config may build from.

    Raises:
        InputError: it is neither, it is damaged, or its config names something not trusted.
    """
    path = Path(path)
    checkpoint = read_checkpoint(path) if path.suffix == ".ckpt" else newest(path)[1]
    config = checkpoint["hyper_parameters"]
    check({"method": config["method"]}, trust)
    method = build(config["method"], "method")
    check_fits(method, checkpoint, path)
    method.save_hyperparameters(config)
    try:
        method.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise InputError(f"{path} holds other weights than its config describes: {refusal(error)}") from error
    return Model(method.eval())


def folder_of(path: Path) -> Path:
    """The run's folder, of one or of a checkpoint in it."""
    return path.parent.parent if path.suffix == ".ckpt" else path


def data_of(path: Path, trust: Sequence[str] = ()) -> DataModule:
    """The data that the run of a folder or of a checkpoint was trained on, not read yet."""
    from energy_gan.run.compose import read_config  # with Hydra

    return build_data(read_config(folder_of(path))["data"], trust)
