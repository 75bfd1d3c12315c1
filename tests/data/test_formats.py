"""Tables as other programs write them: by tabs, packed, of a spreadsheet; each damage is one line."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from energy_gan.data.table_files import read_table, table_shape
from energy_gan.errors import InputError

FRAME = pd.DataFrame({"length": [1.5, 2.5, 3.5], "sort": ["red", "blue", "red"], "n": [3, 1, 2]})
SEPARATORS = {"x.csv": ",", "x.tsv": "\t", "x.csv.gz": ",", "x.tsv.gz": "\t"}


@pytest.mark.parametrize("name", [*SEPARATORS, "x.xlsx"])
def test_every_format_gives_the_same_table(name):
    if name == "x.xlsx":
        pytest.importorskip("openpyxl")
        FRAME.to_excel(name, index=False)
    else:
        FRAME.to_csv(name, index=False, sep=SEPARATORS[name])
    pd.testing.assert_frame_equal(read_table(name).to_pandas(), FRAME, check_dtype=False)
    assert table_shape(name) == [3]


def test_a_sheet_of_numbers_alone_has_no_header():
    pytest.importorskip("openpyxl")
    pd.DataFrame(np.eye(2)).to_excel("x.xlsx", index=False, header=False)
    assert read_table("x.xlsx").column_names == ["x0", "x1"]
    assert read_table("x.xlsx").num_rows == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.tsv", b"a,b\n1,2\n", "its first line, 'a,b', has no tab: separate the columns by tabs"),
        ("x.csv.gz", b"a,b\n1,2\n", "x.csv.gz cannot be read as .csv.gz"),
        ("x.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "x.csv.gz cannot be read as .csv.gz"),
        ("x.xlsx", b"PK no sheet", "x.xlsx cannot be read as .xlsx"),
        ("x.gz", b"", "x.gz is of an unknown kind, .gz"),
    ],
)
def test_damage_is_named_in_one_line(name, content, said):
    if name == "x.xlsx":
        pytest.importorskip("openpyxl")
    Path(name).write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        read_table(name)
    assert "\n" not in str(error.value)


def test_a_spreadsheet_names_the_extra_that_reads_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    Path("x.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"pip install 'energy_gan\[excel\]', or save it as .csv"):
        read_table("x.xlsx")
