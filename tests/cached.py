"""What stays the same while tests run is done once: it takes longer than what many tests look at."""

import copy
from functools import cache
from pathlib import Path

import pytest
import wandb.apis.public  # noqa: F401, before torch: each of its classes asks every module where it comes from
from PIL import Image


@pytest.fixture(scope="session", autouse=True)
def _once():
    """Files of conf/ are read, Lightning's plugins are looked for, and each kind of picture is drawn.

    Hydra's settings of its own logs and folders, which `compose` throws away, are not composed at all.
    """
    from hydra._internal.config_repository import ConfigRepository
    from hydra.core.config_store import ConfigStore
    from lightning.pytorch.trainer.connectors import callback_connector
    from matplotlib.figure import Figure

    read, plugins = ConfigRepository.load_config, callback_connector._load_external_callbacks
    draw, files, drawn = Figure.savefig, {}, set()

    def load_config(repository, config_path):
        if config_path not in files:
            files[config_path] = read(repository, config_path)
        return copy.deepcopy(files[config_path])

    def savefig(figure, path, **settings):
        kind = Path(path).name, len(figure.axes)
        if kind in drawn and Path(path).parent.name == "figures":  # of a report
            Image.new("RGB", (1, 1)).save(path)
        else:
            draw(figure, path, **settings)
            drawn.add(kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigStore.instance().repo["hydra"]["config.yaml"].node, "defaults", [])
        patch.setattr(ConfigRepository, "load_config", load_config)
        patch.setattr(callback_connector, "_load_external_callbacks", cache(plugins))
        patch.setattr(Figure, "savefig", savefig)
        yield
