"""The Python door: what it takes, what it refuses in one line, and what is kept."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import energy_gan
from energy_gan import InputError

X = np.random.default_rng(0).normal([5, -3], [1, 0.1], (200, 2))
QUIET = {"max_steps": 2, "verbose": False}


@pytest.fixture(scope="module")
def model():
    return energy_gan.fit(X, **QUIET)


REFUSED = {
    "two arrays of different length": (
        lambda m: m.relative_log_prob(X[:2], X[:3]),
        "2 rows are compared with 3",
    ),
    "half a sample": (lambda m: m.sample(1.5), "n is a whole number, got 1.5"),
    "no samples": (lambda m: m.sample(0), "at least 1 sample"),
    "steps before the first": (lambda m: m.sample(1, refine=-1), "refine is a number of steps"),
    "complex points": (lambda m: m.energy(X + 0j), "the points are complex numbers"),
    "complex tensors": (lambda m: m.energy(torch.tensor(X) + 0j), "the points are complex numbers"),
    "masked points": (lambda m: m.energy(np.ma.masked_greater(X, 6)), r"masked cells, the first at \d+, 1"),
    "rows of different lengths": (lambda m: m.energy([[1, 2], [3]]), "rows that all have as many numbers"),
    "another width": (lambda m: m.energy(X[:, :1]), r"shape \(1,\) were given, the model knows shape \(2,\)"),
    "text": (lambda m: m.energy(X.astype(str)), "column 'x0' holds '"),
    "one row alone": (lambda m: m.energy(X[0]), r"points of shape \(\) were given"),
    "a frame with another column": (
        lambda m: m.energy(pd.DataFrame(X, columns=["x0", "y"])),
        "no column 'x1'",
    ),
    "complex data": (lambda m: energy_gan.fit(X + 0j), "complex numbers"),
    "a number": (lambda m: energy_gan.fit(3), r"shape \(\)"),
    "a generator without a size": (lambda m: energy_gan.fit(X, generator=nn.ReLU()), "how many latents"),
    "a generator to elsewhere": (
        lambda m: energy_gan.fit(X, generator=nn.Linear(3, 5)),
        "generator of your own",
    ),
    "an energy of two numbers": (lambda m: energy_gan.fit(X, energy=nn.Linear(2, 2)), "energy of your own"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_one_sentence(case, model):
    mistake, said = REFUSED[case]
    with pytest.raises(InputError, match=said) as error:
        mistake(model)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "rows", [X, X.tolist(), torch.tensor(X), torch.tensor(X).float(), X[::-1][::-1], np.ma.masked_array(X)]
)
def test_points_are_taken_as_they_come(rows, model):
    torch.testing.assert_close(model.energy(rows), model.energy(X), rtol=1e-3, atol=1e-3)


def test_few_bits_are_few_bits(model):
    rounded = torch.tensor(X).bfloat16()
    torch.testing.assert_close(model.energy(rounded), model.energy(rounded.double()))


def test_a_count_may_be_a_float(model):
    assert torch.equal(model.sample(1e1), model.sample(10))


def test_what_is_saved_is_loaded(model, tmp_path):
    model.save("kept")
    kept = energy_gan.load("kept")
    assert torch.equal(kept.energy(X), model.energy(X))
    assert torch.equal(kept.sample(9, seed=3), model.sample(9, seed=3))
    with pytest.raises(InputError, match="kept exists already"):
        model.save("kept")


def test_a_plain_module_generates_and_nothing_is_said(capfd):
    network = nn.Sequential(nn.Linear(7, 16), nn.Tanh(), nn.Linear(16, 2))
    model = energy_gan.fit(X, generator=network, **QUIET)
    assert model.learned.generator.prior.latent_dim == 7
    assert model.sample(3).shape == (3, 2)
    assert capfd.readouterr() == ("", "")
