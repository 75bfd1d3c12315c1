"""The bar counts the steps of the whole run, draws slow steps, and says that the end is being measured."""

import io
import sys
from unittest.mock import MagicMock

import pytest
from lightning import Trainer

from energy_gan.callbacks import progress
from energy_gan.callbacks.progress import ProgressBar
from energy_gan.methods.base import Method


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drawn(monkeypatch, first, last, refresh_rate=50, seconds_a_step=0.0):
    """The bar after each step from first to last, as (n, initial, total), and all that was drawn."""
    now, screen, states = [0.0], Terminal(), []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stdout", screen)
    bar, trainer = ProgressBar(refresh_rate), MagicMock(spec=Trainer, max_steps=last)
    method = MagicMock(spec=Method, step=first, reported={"train/energy_gap": 0.5})
    bar._trainer = trainer
    bar.on_train_start(trainer, method)
    bar.on_train_epoch_start(trainer, method)
    for method.step in range(first + 1, last + 1):
        now[0] += seconds_a_step
        bar.on_train_batch_end(trainer, method, None, None, 0)
        states.append(
            (bar.train_progress_bar.n, bar.train_progress_bar.initial, bar.train_progress_bar.total)
        )
    bar.on_train_end(trainer, method)
    said = bar.measuring
    bar.on_fit_end(trainer, method)
    return states, screen.getvalue(), said


@pytest.mark.parametrize(("first", "last"), [(0, 100), (60, 600), (50, 60)])
def test_a_resumed_run_counts_from_where_it_was(monkeypatch, first, last):
    states, screen, _ = drawn(monkeypatch, first, last)
    assert states[-1] == (last, first, last)
    assert all(n <= step for (n, _, _), step in zip(states, range(first + 1, last + 1), strict=True))
    assert f"{last}/{last}" in screen
    assert "energy_gap=0.5" in screen


def test_slow_steps_are_drawn_as_they_come(monkeypatch):
    states, _, _ = drawn(monkeypatch, 0, 10, seconds_a_step=2.0)
    assert [n for n, _, _ in states] == list(range(1, 11))
    states, _, _ = drawn(monkeypatch, 0, 10, seconds_a_step=0.01)
    assert [n for n, _, _ in states] == [0] * 9 + [10]


def test_the_end_is_being_measured(monkeypatch):
    _, screen, measuring = drawn(monkeypatch, 0, 3)
    assert "Measuring [00:00]" in screen
    assert measuring.ended.is_set()
    _, screen, measuring = drawn(monkeypatch, 0, 3, refresh_rate=0)
    assert (screen, measuring) == ("", None)
