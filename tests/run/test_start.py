"""The start of a training: imports without a search for garbage, in a process that begins with them."""

import gc
import sys

import pytest

from energy_gan.run.quick_start import quick_start


@pytest.fixture
def fresh(monkeypatch):
    """As if torch had not been imported yet."""
    gc.unfreeze()  # what was frozen before the first test
    monkeypatch.delitem(sys.modules, "torch")
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_while_the_modules_come(fresh):
    before = gc.get_freeze_count()
    with quick_start():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > before + 10_000  # the modules' objects, which are not searched again


def test_a_refused_command_leaves_the_collector_on(fresh):
    with pytest.raises(ValueError, match="refused"), quick_start():
        raise ValueError("refused")
    assert gc.isenabled()


def test_a_process_that_has_torch_is_left_alone():
    before = gc.get_freeze_count()
    with quick_start():
        assert gc.isenabled()
    assert gc.get_freeze_count() == before
