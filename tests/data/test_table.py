"""A user's own table: three formats, one content; every damage is one line that names the place."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from energy_gan.data.schema import Schema
from energy_gan.data.table import TablePoints
from energy_gan.data.table_files import read_table, table_shape
from energy_gan.errors import InputError

X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


def write(name, content):
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(name, content, allow_pickle=content.dtype == object)
    elif isinstance(content, pd.DataFrame):
        content.to_parquet(name, index=False) if name.endswith("parquet") else content.to_csv(
            name, index=False
        )
    else:
        Path(name).write_text(content)
    return name


@pytest.mark.parametrize("name", ["x.npy", "x.csv", "x.parquet"])
def test_every_format_gives_the_same_rows(name):
    write(name, X if name == "x.npy" else FRAME)
    table = read_table(name)
    np.testing.assert_allclose(table.to_pandas(), X, rtol=1e-6)
    assert table_shape(name) == [3]
    assert table.column_names == (["x0", "x1", "x2"] if name == "x.npy" else ["a", "b", "c"])


def test_a_csv_of_numbers_alone_has_no_header():
    write("x.csv", "1,2\n3,4\n")
    assert read_table("x.csv").to_pydict() == {"x0": [1, 3], "x1": [2, 4]}


def test_whole_numbers_and_truth_values_are_numbers():
    write("x.csv", "a,b\n1,true\n2,false\n")
    table = read_table("x.csv")
    assert Schema.of(table).encode(table).tolist() == [[1, 1], [2, 0]]


def test_the_split_keeps_every_row_once_and_is_drawn_from_the_seed():
    write("x.npy", X)
    data = TablePoints("x.npy", [3], held_out=0.2, batch_size=8, seed=1)
    data.setup()
    assert len(data.held_out) == 10
    rows = torch.cat([data.points, data.held_out])
    assert sorted(rows.tolist()) == sorted(torch.from_numpy(X).double().tolist())
    again = TablePoints("x.npy", [3], held_out=0.2, batch_size=8, seed=1)
    again.setup()
    assert torch.equal(again.held_out, data.held_out)
    u = data.standardise(data.points)
    torch.testing.assert_close(u.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(u.std(0), torch.ones(3))


def test_batches_are_a_function_of_the_step():
    write("x.npy", X)
    data = TablePoints("x.npy", [3], batch_size=8, seed=1)
    data.setup()
    loader = data.train_dataloader()
    first = [batch.x for batch, _ in zip(loader, range(13), strict=False)]
    loader.start = lambda: 7
    assert torch.equal(next(iter(loader))[0], first[7])
    one_epoch = torch.cat(first[:5])
    assert len({tuple(row) for row in one_epoch.tolist()}) == 40, "no point twice in an epoch"
    assert not torch.equal(one_epoch, torch.cat(first[5:10])), "another order in the next"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "absent.csv does not exist"),
        ("x.xls", "1,2", "x.xls is of an unknown kind, .xls: give a .npy, .csv, .* or .xlsx file"),
        ("x.csv", "", "x.csv is an empty file"),
        ("x.csv", "a,b,c\n", "x.csv has no rows"),
        ("x.npy", np.empty((0, 3)), "x.npy has no rows"),
        ("x.csv", "a,b,c\n1,2,3\n1,oops,3\n", "row 2, column 'b' holds 'oops', expected a number"),
        ("x.csv", "a,b,c\n1,2,3\n4,,6\n", "1 of 2 rows hold a value that is missing.*row 2, column 'b'"),
        ("x.npy", np.array([[1, 2, 3], [4, 5, np.inf]]), "row 2, column 'x2' holds inf, expected a finite"),
        ("x.npy", np.zeros(3), r"array of shape \(3,\): reshape it"),
        ("x.npy", np.zeros((2, 2, 2)), "reshape it"),
        ("x.npy", np.array([[1, "a", None]], dtype=object), "x.npy cannot be read"),
        ("x.npy", X[:, :2], r"x.npy has 2 columns \(x0, x1\), expected 3: give a table with 3"),
        ("x.csv", "\n\n", "x.csv has no rows"),
        ("x.csv", "a;b;c\n1;2;3\n", "'a;b;c', has no comma: separate the columns by commas"),
        ("x.csv", ",a,b\n0,1,2\n", "column 1 has no name, it may number the rows"),
        ("x.npy", np.array([["u", "v", "w"]]), "row 1, column 'x0' holds 'u', expected a number"),
        ("x.csv", "a,b,c\n1,2,3\n4,5\n", "x.csv cannot be read as .csv"),
        ("x.parquet", b"PAR1 this is none", "x.parquet cannot be read as .parquet"),
        ("x.npy", b"\x93NUMPY\x01", "x.npy cannot be read as .npy"),
        (
            "x.csv",
            b"\xff\xfe\x00\x81",
            "^x.csv cannot be read as .csv ..utf-8' codec can't [^:]+: [^:]+: write",
        ),
        ("x.npy", np.c_[X[:, :2], np.full(50, 4)], "column 'x2' is 4 in all 45 rows .*drop the column"),
        ("x.npy", X[:1], "x.npy has 1 row: give 3 or more"),
    ],
)
def test_damage_is_named_in_one_line(name, content, message):
    if content is not None:
        write(name, content)
    with pytest.raises(InputError, match=message) as error:
        TablePoints(name, [3], batch_size=8).setup()
    assert "\n" not in str(error.value)


def test_a_cut_file_is_named(tmp_path):
    for name in ("x.npy", "x.parquet"):
        write(name, X if name == "x.npy" else FRAME)
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            read_table(name)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_table(str(tmp_path))


def test_a_density_of_another_dimension_is_refused():
    from energy_gan.data.mixtures import ThinRidges
    from energy_gan.run.build import build
    from energy_gan.run.compose import compose

    write("x.npy", X)
    with pytest.raises(ValueError, match=r"of points of shape \[3\], as the table's rows are, got .*\[2\]"):
        TablePoints("x.npy", [3], density=ThinRidges())
    law = "+data.density._target_=energy_gan.data.mixtures.ThinRidges"
    with pytest.raises(InputError, match=r"^data: density must be of points of shape \[3\]"):
        build(compose(["data=points", "data.path=x.npy", law])["data"], "data")


def test_the_law_of_a_table_changes_nothing_but_what_is_known():
    from energy_gan.data.mixtures import ThinRidges

    write("x.npy", X[:, :2].copy())
    told, untold = (TablePoints("x.npy", [2], density=law) for law in (ThinRidges(), None))
    for data in (told, untold):
        data.setup()
    assert isinstance(told.density, ThinRidges)
    assert untold.density is None
    assert torch.equal(told.points, untold.points)
    assert torch.equal(told.held_out, untold.held_out)
