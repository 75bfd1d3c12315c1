"""The benchmarks run at all: nothing else calls most of them."""

import importlib
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("part", ["step", "sampling"])
def test_a_part_has_its_rows(part, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent / "benchmarks")
    rows = importlib.import_module(part)._of_pair("2D", 1)
    assert rows
    assert all(row.measured > 0 for row in rows)
