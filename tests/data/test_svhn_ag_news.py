"""SVHN and AG News from files of their true layout, and what a damaged one costs."""

import csv

import numpy as np
import pytest
from scipy.io import savemat

from energy_gan.data.ag_news import AGNews
from energy_gan.data.svhn import SVHN
from energy_gan.errors import InputError
from energy_gan.run.compose import compose
from energy_gan.run.run import Run


@pytest.fixture
def svhn(tmp_path):
    rng = np.random.default_rng(0)
    for name, n in (("train", 40), ("test", 20)):
        y = np.arange(n, dtype=np.uint8)[:, None] % 10 + 1  # a 0 is written as 10
        savemat(tmp_path / f"{name}_32x32.mat", {"X": rng.integers(0, 255, (32, 32, 3, n), np.uint8), "y": y})
    return tmp_path


def test_svhn_is_read_from_its_own_files(svhn):
    data = SVHN(str(svhn), cache=str(svhn / "cache"), download=False, labels=2)
    data.setup()
    assert data.points.shape == (40, 3, 32, 32)
    assert data.labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert (data.known_labels >= 0).sum() == 20
    (svhn / "test_32x32.mat").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"test_32x32.mat is damaged .*get it anew"):
        SVHN(str(svhn), cache=str(svhn / "other"), download=False).setup()
    (svhn / "test_32x32.mat").unlink()
    with pytest.raises(InputError, match=r"SVHN is not there: looked for test_32x32.mat"):
        SVHN(str(svhn), cache=str(svhn / "other"), download=False).setup()


def test_ag_news_is_read_from_its_own_files(tmp_path):
    for name, n in (("train", 40), ("test", 8)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            rows = csv.writer(file, quoting=csv.QUOTE_ALL)
            rows.writerows([i % 4 + 1, f"Title {i}", f'He said "word{i % 3}", twice'] for i in range(n))
    data = AGNews(str(tmp_path), [8], words=30, labels=3)
    data.setup()
    assert data.classes == ["Business", "Sci/Tech", "Sports", "World"]
    assert data.labels[:4].tolist() == [3, 2, 0, 1]
    assert len(data.held_out) == 8
    assert (data.known_labels >= 0).sum() == 12
    (tmp_path / "test.csv").write_text('"5","a","b"\n')
    with pytest.raises(InputError, match=r"test.csv: line 1 is not .class"):
        AGNews(str(tmp_path), [8]).setup()
    (tmp_path / "test.csv").unlink()
    with pytest.raises(InputError, match=r"AG News is not there: looked for test\.csv"):
        AGNews(str(tmp_path), [8]).setup()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["svhn", "ag_news"])
def test_the_published_recipes_train_on_files_of_the_true_layout(name, svhn, tmp_path):
    with (tmp_path / "train.csv").open("w") as train, (tmp_path / "test.csv").open("w") as test:
        for file in (train, test):
            file.writelines(f'"{i % 4 + 1}","Title {i}","word{i % 7} word{i % 5}"\n' for i in range(80))
    given = [f"data={name}", f"data.root='{tmp_path}'", "data.batch_size=16", "data.labels=2"]
    given += ["method=symbol_vector", "trainer.max_steps=2", f"run_dir='{tmp_path / 'run'}'"]
    config = compose([*given, *(["data.cache=null"] if name == "svhn" else [])])
    run = Run(config | {"callbacks": {}, "logger": {}})
    run.fit()
    assert run.method.step == 2
    assert all(weight.isfinite().all() for weight in run.method.parameters())
