"""Samples that stream to disk: the same ones whatever the sizes are, few of them in memory at a time."""

import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import energy_gan.evaluation
import energy_gan.sampling
from energy_gan import load
from energy_gan.evaluation import Standardised
from energy_gan.model import Model
from energy_gan.randomness import random_generator
from energy_gan.reports.pictures import write_pictures
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.system import tables

BLOCK = 64


def model_of(*overrides):
    torch.manual_seed(0)
    config = compose(overrides)
    method = build(config["method"], "method").eval()
    method.save_hyperparameters(config)
    method.shift.normal_()
    method.scale.uniform_(0.5, 2)
    return Model(method)


@pytest.fixture(scope="module")
def noisy():
    """A generator with output noise, whose numbers come after those of the latents."""
    return model_of("data=four_spin", "method=aligned")


@pytest.fixture(scope="module")
def pictures():
    return model_of("data=digits", "method=critic")


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(energy_gan.sampling, "BLOCK", BLOCK)


@pytest.mark.parametrize("refine", [0, 2])
def test_the_blocks_are_the_samples(noisy, refine, small_blocks):
    n = 2 * BLOCK + 22
    blocks = list(noisy.sample_blocks(n, 5, refine))
    assert [len(block) for block in blocks] == [BLOCK, BLOCK, 22]
    assert torch.equal(torch.cat(blocks), noisy.sample(n, 5, refine))
    assert not torch.equal(blocks[0], blocks[1])


def test_more_samples_begin_with_the_same_blocks(noisy, small_blocks):
    assert torch.equal(noisy.sample(3 * BLOCK)[:BLOCK], noisy.sample(BLOCK))


@pytest.mark.parametrize("given", ["noisy", "pictures"])
def test_samples_and_energies_do_not_depend_on_the_batch(given, request, monkeypatch):
    model = request.getfixturevalue(given)
    whole = model.sample(200, 3)
    energies = model.energy(whole)
    seen = []
    for network in (model.method.generator.network, model.method.energy):
        hook = network.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
        request.addfinalizer(hook.remove)
    monkeypatch.setattr(energy_gan.evaluation, "BATCH", 48)
    torch.testing.assert_close(model.sample(200, 3), whole)
    torch.testing.assert_close(model.energy(whole), energies)
    assert seen == 2 * [48, 48, 48, 48, 8]


def test_samples_are_those_of_the_networks_in_the_units_of_the_data(pictures):
    method = pictures.method
    latent = method.generator.prior.sample(20, random_generator(4))
    with torch.no_grad():
        expected = method.generator(latent) * method.scale + method.shift
    torch.testing.assert_close(pictures.sample(20, 4), expected)


def test_blocks_are_small_where_samples_are_large(pictures, monkeypatch):
    assert pictures.block == energy_gan.sampling.BLOCK
    monkeypatch.setattr(energy_gan.sampling, "BLOCK_NUMBERS", 1000)
    assert pictures.block * pictures.dimension <= 1000 < (pictures.block + 1) * pictures.dimension


def test_bytes_are_pixels_and_are_converted_batch_by_batch(pictures, monkeypatch):
    images = torch.randint(0, 256, (100, *pictures.method.shape), dtype=torch.uint8)
    converted, to_networks = [], Standardised.networks
    monkeypatch.setattr(energy_gan.evaluation, "BATCH", 32)
    monkeypatch.setattr(
        Standardised, "networks", lambda self, x: converted.append(len(x)) or to_networks(self, x)
    )
    torch.testing.assert_close(pictures.energy(images), pictures.energy(images.float() / 255))
    assert converted == 2 * [32, 32, 32, 4]


@pytest.fixture
def blocks_alive(monkeypatch, small_blocks):
    """How many blocks there were in memory whenever another one was made."""
    alive, counts, fill = [], [], Model._fill

    def watched(self, blocks, seed, refine):
        for block in fill(self, blocks, seed, refine):
            alive.append(weakref.ref(block))
            counts.append(sum(one() is not None for one in alive))
            yield block
            del block

    monkeypatch.setattr(Model, "_fill", watched)
    return counts


def write_table(out, model, blocks, n):
    arrays = (block.numpy() for block in blocks)
    tables.write_table(out, arrays, (n, *model.method.shape), model.columns)


@pytest.mark.parametrize("ending", [".npy", ".csv", ".parquet"])
def test_a_table_streams_to_disk(noisy, ending, blocks_alive):
    n, out = 5 * BLOCK + 7, Path(f"samples{ending}")
    write_table(out, noisy, noisy.sample_blocks(n, 2), n)
    assert len(blocks_alive) == 6
    assert max(blocks_alive) <= 2
    assert list(Path().iterdir()) == [out]
    read = {".npy": np.load, ".csv": pd.read_csv, ".parquet": pd.read_parquet}[ending](out)
    if ending != ".npy":
        assert list(read.columns) == ["x0", "x1"]
    assert np.asarray(read).shape == (n, 2)
    expected = noisy.sample(n, 2).numpy()
    np.testing.assert_allclose(np.asarray(read), expected, rtol=1e-5 if ending == ".csv" else 0)


def test_an_array_has_the_shape_of_the_images(pictures, small_blocks):
    write_table(Path("images.npy"), pictures, pictures.sample_blocks(BLOCK + 1), BLOCK + 1)
    assert np.array_equal(np.load("images.npy"), pictures.sample(BLOCK + 1).numpy())


def test_the_door_streams(open_door, finished_run, blocks_alive):
    n = 3 * BLOCK + 1
    status, output, _ = open_door("sample", finished_run, "--n", n, "--out", "samples.npy", "--seed", 2)
    assert status == 0
    assert output.startswith(f"{n} samples of")
    assert len(blocks_alive) == 4
    assert max(blocks_alive) <= 2
    assert np.array_equal(np.load("samples.npy"), load(finished_run).sample(n, 2).numpy())


def test_pictures_stream_into_a_folder(pictures, blocks_alive):
    n, folder = 2 * BLOCK + 3, Path("pictures")
    write_pictures(folder, pictures.sample_blocks(n), n)
    assert max(blocks_alive) <= 2
    assert sorted(p.name for p in folder.iterdir()) == [f"{i:05d}.png" for i in range(n)]
    last = pictures.sample(n)[-1].clamp(0, 1)
    written = np.asarray(Image.open(folder / f"{n - 1:05d}.png").convert("L")) / 255
    assert np.abs(written - last.squeeze().numpy()).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("out", ["samples.npy", "samples.csv", "samples.parquet", "pictures"])
def test_a_stream_that_breaks_leaves_nothing(pictures, out, small_blocks):
    def breaks():
        yield from pictures.sample_blocks(BLOCK)
        raise OSError(28, "No space left on device")

    def write():
        if "." in out:
            write_table(Path(out), pictures, breaks(), 3 * BLOCK)
        else:
            write_pictures(Path(out), breaks(), 3 * BLOCK)

    with pytest.raises(OSError, match="No space left"):
        write()
    assert list(Path().iterdir()) == []


def test_what_the_disk_has_no_room_for_is_not_begun(open_door, finished_run):
    status, _, errors = open_door("sample", finished_run, "--n", 10**13, "--out", "samples.npy")
    assert status == 2
    assert errors.startswith(f"error: {10**13} samples need 74505.8 GiB and")
    assert len(errors.splitlines()) == 1
    assert list(Path().iterdir()) == []
