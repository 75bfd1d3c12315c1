"""Weights & Biases for everybody: offline unless it is asked for, so never a question or an error."""

import os
from pathlib import Path

from lightning.pytorch.loggers import WandbLogger


class Wandb(WandbLogger):
    """A W&B run in the run's folder. `WANDB_MODE=online` uploads it; `wandb sync` does so later.

    Args:
        project: its name on W&B.
        run_dir: the run's folder; W&B makes its own, `wandb`, in it.
    """

    def __init__(self, project: str, run_dir: str):
        os.environ.setdefault("WANDB_SILENT", "true")
        mode = os.environ.get("WANDB_MODE", "offline")
        name = "/".join(Path(run_dir).parts[-3:])
        # absolute, since W&B writes from a process of its own, which may have started in another folder
        folder = str(Path(run_dir).absolute())
        super().__init__(project=project, name=name, save_dir=folder, offline=mode != "online", mode=mode)
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, whatever its value

    def finalize(self, status: str) -> None:
        """End the W&B run with the training, so that the next one in this process is another."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(status != "success"))
            self._experiment = None
