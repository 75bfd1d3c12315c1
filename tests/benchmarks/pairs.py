"""The three pairs that are measured, from the project's own configs, on data that need no download."""

from collections.abc import Iterator, Sequence
from copy import deepcopy

import numpy as np
import torch
from straightforward import Straightforward
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.data.images import ImageData, Split
from energy_gan.data.source import ArraySource
from energy_gan.methods.energy_gan import EnergyGAN
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.run.plain import Config
from energy_gan.shapes import Batch

# at 64×64 half the paper's channels and a batch of 16, so that a step takes a CPU about a second
HALF = ["method.energy.features.channels=[64,128,256,512]", "method.generator.channels=[512,256,128,64]"]
PAIRS = {
    "2D": ["data=four_spin"],
    "MNIST": ["data=mnist"],
    "64×64": ["data=celeba", "data.batch_size=16", *HALF],
}
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class NoiseImages(ImageData):
    """Random pixels in memory instead of a set's."""

    in_memory = True

    def __init__(self, shape: Sequence[int], batch_size: int, n: int):
        super().__init__(shape, ".", None, batch_size, 0, 0, "stop")
        self.n = n

    def source(self, split: Split) -> ArraySource:
        pixels = np.random.default_rng(0).integers(0, 256, (self.n, *self.shape), np.uint8)
        return ArraySource("noise", split, pixels)


def config_of(name: str, *overrides: str) -> Config:
    return compose([*PAIRS[name], "method=kim_bengio", *overrides])


def data_of(config: Config) -> DataModule:
    if config["kind"] != "points":
        return noise_images(config["data"]["shape"], config["data"]["batch_size"])
    data = build(config["data"], "data")
    data.setup()
    return data


def noise_images(shape: Sequence[int], batch_size: int) -> DataModule:
    data = NoiseImages(shape, batch_size, max(1024, batch_size))
    data.setup()
    return data


def method_of(config: Config) -> EnergyGAN:
    """The project's method, always with the same first weights."""
    torch.manual_seed(0)
    return build(config["method"], "method").train().to(DEVICE)


def by_hand(config: Config) -> Straightforward:
    """The straightforward step on copies of the method's networks, with torch's plain Adagrad."""
    method = method_of(config)
    networks = [deepcopy(method.energy), deepcopy(method.generator)]
    optimizers = []
    for player, network in zip(("energy", "generator"), networks, strict=True):
        given = config["method"][f"{player}_learns"]["optimizer"]
        settings = {k: v for k, v in given.items() if k not in ("_target_", "_partial_", "fused")}
        optimizers.append(torch.optim.Adagrad(network.parameters(), **settings))
    return Straightforward(*networks, *optimizers)


def batches(data: DataModule) -> Iterator[Tensor]:
    """Batches as the networks see them, from the project's own loader."""
    for given in data.train_dataloader():
        batch = Batch(given.x.to(DEVICE))
        yield (data.on_after_batch_transfer(batch, 0) if data.kind == "images" else batch).x
