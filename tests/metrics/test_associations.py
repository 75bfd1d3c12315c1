"""Columns one by one and two by two, against laws whose frequencies and information are known."""

import math

import numpy as np
import pytest

from energy_gan.metrics.associations import Associations, information

N = 20_000


def test_information_is_that_of_the_law():
    """I = log 2 − h(0.1) of a coin and its copy with a tenth turned over; a normal pair −½ log(1 − ρ²)."""
    rng = np.random.default_rng(0)
    coin = rng.integers(0, 2, N)
    copy = coin ^ (rng.random(N) < 0.1)
    h = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))
    assert information(coin, copy) == pytest.approx(math.log(2) - h, abs=0.01)
    assert information(coin, rng.integers(0, 50, N)) == pytest.approx(0, abs=7e-4), "the chance is taken off"
    x = rng.normal(size=(N, 2))
    x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    (of_pair,), _ = Associations([np.array([]), np.array([])], x).pairs(x)
    assert of_pair == pytest.approx(-math.log(1 - 0.36) / 2, rel=0.15), "eighths lose a little"


def test_frequencies_have_the_error_that_they_have():
    """Of 200 samples of one law, deviations in standard errors are normal numbers."""
    rng, levels = np.random.default_rng(1), np.array([0.0, 1.0, 5.0])
    draw = lambda: rng.choice(levels, (1_000, 1), p=[0.6, 0.3, 0.1])  # noqa: E731
    off = []
    for _ in range(200):
        data, generator, error = Associations([levels], draw()).frequencies(draw())
        off.append((generator - data) / error)
    assert data.sum() == pytest.approx(1)
    assert np.std(off, axis=0) == pytest.approx(1, abs=0.15)
    assert np.mean(off, axis=0) == pytest.approx(0, abs=0.25)
