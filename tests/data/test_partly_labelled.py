"""Which labels are known: laws of the draw, of the batches beside it, and where the labels come from."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from energy_gan.data.base import Batches
from energy_gan.data.digits import Digits
from energy_gan.data.folder import Folder
from energy_gan.data.partly_labelled import Known
from energy_gan.data.table import TablePoints
from energy_gan.data.text import Text
from energy_gan.errors import InputError
from energy_gan.run.compose import compose

NAMES = ["a", "b", "c"]
LABELS = torch.tensor([0] * 500 + [1] * 300 + [2] * 100 + [-1] * 100)


def counts(known):
    return [int((known == k).sum()) for k in range(3)]


def test_all_are_known_unless_some_are_asked_for():
    assert Known().of(LABELS, NAMES, 0) is LABELS


@pytest.mark.parametrize(("labels", "expected"), [(10, [10] * 3), (100, [100] * 3), (0.1, [50, 30, 10])])
def test_a_balanced_draw_has_so_many_of_each_and_they_are_true(labels, expected):
    known = Known(labels).of(LABELS, NAMES, 0)
    assert counts(known) == expected
    assert (known[known >= 0] == LABELS[known >= 0]).all()


def test_the_smallest_share_is_one_label():
    assert counts(Known(0.001).of(LABELS, NAMES, 0)) == [1, 1, 1]


def test_a_draw_is_of_its_seed_and_a_larger_one_has_the_smaller_in_it():
    known = Known(10).of(LABELS, NAMES, 3)
    assert torch.equal(known, Known(10).of(LABELS, NAMES, 3))
    assert not torch.equal(known, Known(10).of(LABELS, NAMES, 4))
    assert (Known(50).of(LABELS, NAMES, 3)[known >= 0] >= 0).all()


def test_by_frequency_classes_have_their_shares():
    known = [Known(20, "frequency").of(LABELS, NAMES, seed) for seed in range(100)]
    assert all(sum(counts(k)) == 60 for k in known)
    mean = np.mean([counts(k) for k in known], 0)
    np.testing.assert_allclose(mean, 60 * np.array([5, 3, 1]) / 9, atol=4 * np.sqrt(60 / 4 / 100))


def test_each_label_is_as_likely_as_any_other_of_its_class():
    drawn = torch.stack([Known(10).of(LABELS, NAMES, seed) >= 0 for seed in range(300)]).float().mean(0)
    for k, n in enumerate((500, 300, 100)):
        share = drawn[k == LABELS]
        assert (share - 10 / n).abs().max() < 5 * (10 / n / 300) ** 0.5
    assert (drawn[LABELS < 0] == 0).all()


@pytest.mark.parametrize(
    ("known", "labels", "message"),
    [
        (Known(101), LABELS, r"data.labels=101 are asked of each class and 'c' has 100"),
        (Known(301, "frequency"), LABELS, "are 903 in all and there are 900"),
        (Known(5), LABELS[:500], "class 'b' has no label among the 500 points"),
        (
            Known(1, "frequency"),
            torch.tensor([0] * 1000 + [1, 2]),
            "drawn by frequency with seed 0 class 'b'",
        ),
    ],
)
def test_what_cannot_be_drawn_is_one_line(known, labels, message):
    with pytest.raises(InputError, match=message):
        known.of(labels, NAMES, 0)


@pytest.mark.parametrize("labels", [0, -3, 0.0, 1.5])
def test_impossible_numbers_are_refused(labels):
    with pytest.raises(
        ValueError, match="labels must be a whole number of each class, at least 1, or a share"
    ):
        Known(labels)


def test_labelled_points_come_beside_each_batch_which_is_as_without():
    points, known = torch.arange(100.0)[:, None], torch.full((100,), -1)
    known[::10] = 1
    plain, few = (Batches(points, 8, 0, lambda: 5, labels) for labels in (None, known))
    for _, a, b in zip(range(20), plain, few, strict=False):
        assert torch.equal(a.x, b.x)
        assert a.labelled is None
        assert len(b.labelled.x) == 8
        assert (b.labelled.x[:, 0] % 10 == 0).all()
        assert len(b.labelled.x.unique()) == 8
        assert (b.labelled.labels == 1).all()
    (batch,) = (b for _, b in zip(range(1), Batches(points, 20, 0, lambda: 0, known), strict=False))
    assert len(batch.labelled.x) == 10, "all there are"
    (full,) = (b for _, b in zip(range(1), Batches(points, 8, 0, lambda: 0, known.abs()), strict=False))
    assert full.labelled is None


def test_images_keep_all_labels_and_training_sees_few():
    data = Digits(labels=5, batch_size=16, seed=1)
    data.setup()
    assert (data.labels >= 0).all()
    assert torch.bincount(data.known_labels[data.known_labels >= 0]).tolist() == [5] * 10
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.labelled.x.shape == (16, 1, 8, 8)
    assert batch.labelled.x.min() >= -1
    torch.testing.assert_close(batch.labelled.x, data.standardise(data.points[batch.labelled.index]))


def test_class_folders_are_labels(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(30):
            Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(tmp_path / name / f"{i}.png")
    data = Folder(str(tmp_path), [1, 8, 8], cache=str(tmp_path / ".cache"), labels=4, workers=0)
    data.setup()
    assert [int((data.known_labels == k).sum()) for k in (-1, 0, 1)][1:] == [4, 4]
    config = compose(["data=folder", f"data.root='{tmp_path}'", "method=jem"])
    assert config["method"]["energy"]["energy"]["classes"]["n_classes"] == 2


@pytest.fixture
def cells(tmp_path):
    """A table of two columns and a label that is empty in every fifth row."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"size": rng.normal(size=200), "kind": ["x", "y"] * 100, "width": rng.normal(size=200)}
    )
    frame.loc[::5, "kind"] = None
    frame.to_csv(tmp_path / "cells.csv", index=False)
    return tmp_path / "cells.csv", frame


@pytest.mark.parametrize("column", ["kind", 2])
def test_a_column_of_labels_is_none_of_the_points(cells, column):
    path, frame = cells
    data = TablePoints(str(path), [2], label_column=column, labels=10)
    data.setup()
    assert data.columns == ["size", "width"]
    assert data.classes == ["x", "y"]
    assert "labels" in data.has
    assert data.described["classes"] == ["x", "y"]
    both = torch.cat([data.points, data.held_out]), torch.cat([data.labels, data.held_out_labels])
    numbers = {None: -1, "x": 0, "y": 1}
    by_size = {
        size: numbers[kind or None]
        for size, kind in zip(frame["size"], frame["kind"].fillna(""), strict=True)
    }
    assert [by_size[size] for size in both[0][:, 0].tolist()] == both[1].tolist()
    assert torch.bincount(data.known_labels + 1)[1:].tolist() == [10, 10]
    config = compose(["data=points", f"data.path='{path}'", f"data.label_column={column}", "method=jem"])
    assert config["data"]["shape"] == [2]
    assert config["method"]["energy"]["energy"]["classes"]["n_classes"] == 2


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 2))
    frame = pd.DataFrame(x, columns=["a", "b"]).assign(y=[9, 10, 100] * 100)
    frame.to_csv(tmp_path / "numbers.csv", index=False)
    data = TablePoints(str(tmp_path / "numbers.csv"), [2], label_column="y")
    assert data.classes == ["9", "10", "100"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("colour", "data.label_column=colour is no column of .*cells.csv, which has size, kind, width"),
        (4, "data.label_column=4 is no column of"),
        ("size", "holds a class|different values"),
    ],
)
def test_a_column_that_cannot_be_labels_is_one_line(cells, column, message, monkeypatch):
    monkeypatch.setattr("energy_gan.data.partly_labelled.MOST", 100)
    with pytest.raises(InputError, match=message):
        TablePoints(str(cells[0]), [2], label_column=column)


def test_a_column_of_one_value_is_no_label(tmp_path):
    pd.DataFrame({"a": np.arange(50.0), "b": np.arange(50.0), "y": "z"}).to_csv(
        tmp_path / "one.csv", index=False
    )
    with pytest.raises(InputError, match="the label column 'y' holds 1 class, at least 2 are needed"):
        TablePoints(str(tmp_path / "one.csv"), [2], label_column="y")


def test_labels_of_a_text(tmp_path):
    lines = [f"{'good' if i % 2 else 'bad'}\tword{i % 7} word{i % 5}" for i in range(60)]
    (tmp_path / "said.tsv").write_text("\n".join([*lines, "\tword1 word2"]) + "\n")
    data = Text(str(tmp_path / "said.tsv"), [4], label_column=1, labels=3)
    data.setup()
    assert torch.bincount(data.known_labels + 1)[1:].tolist() == [3, 3]
    batch = next(iter(data.train_dataloader()))
    assert batch.labelled.labels.unique().tolist() == [0, 1]
