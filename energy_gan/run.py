"""One run: its config, its folder, and the objects that train."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

from lightning import Trainer
from omegaconf import OmegaConf

from energy_gan.build import build, check, newest_checkpoint
from energy_gan.compose import Config
from energy_gan.data.base import DataModule
from energy_gan.methods.base import Method


class Run:
    """Build everything that a config describes. Nothing is written before `create`.

    Args:
        config: composed and resolved; `run_dir` is the folder.
        trust: the user's own packages that the config may build from.

    Raises:
        InputError: a key, a value or the data cannot be used.
    """

    def __init__(self, config: Config, trust: Sequence[str] = ()):
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.WARNING)
        check(config, trust)
        self.config, self.folder = config, Path(config["run_dir"])
        self.data: DataModule = build(config["data"], "data")
        self.data.setup()
        self.method: Method = build(config["method"], "method")
        self.method.save_hyperparameters(config)
        callbacks = build(config["callbacks"], "callbacks")
        loggers = build(config["logger"], "logger")
        self.trainer: Trainer = build(config["trainer"], "trainer")(
            callbacks=[c for c in callbacks.values() if c], logger=[x for x in loggers.values() if x]
        )

    def create(self) -> None:
        """Make the run's folder, with the resolved config in it."""
        self.folder.mkdir(parents=True)
        (self.folder / "config.yaml").write_text(OmegaConf.to_yaml(self.config))

    def fit(self, resume: bool = False) -> None:
        """Train; or go on from the last checkpoint."""
        checkpoint = newest_checkpoint(self.folder) if resume else None
        self.trainer.fit(self.method, self.data, ckpt_path=checkpoint, weights_only=True)
