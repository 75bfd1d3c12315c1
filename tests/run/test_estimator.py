"""The estimator among scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from energy_gan import EnergyEstimator, InputError

X = np.random.default_rng(0).normal([5, -3], [1, 0.1], (300, 2))
FRAME = pd.DataFrame(X, columns=["length", "width"]).assign(sort=np.resize(["red", "blue"], 300))


@pytest.fixture(scope="module")
def on_a_frame():
    return EnergyEstimator("aligned", max_steps=2).fit(FRAME)


def test_scores_are_log_densities():
    """The integral of p is 1."""
    estimator = EnergyEstimator(max_steps=5, overrides=["method.energy.components=[1, 2]"]).fit(X)
    sides = [np.linspace(m - 12 * s, m + 12 * s, 121) for m, s in zip(X.mean(0), X.std(0), strict=True)]
    grid = np.stack(np.meshgrid(*sides), -1).reshape(-1, 2)
    mass = np.exp(estimator.score_samples(grid)).sum() * np.prod([side[1] - side[0] for side in sides])
    assert mass == pytest.approx(1, abs=0.05)
    assert estimator.score(X) == pytest.approx(estimator.score_samples(X).mean())


def test_it_is_searched_in_a_pipeline():
    steps = {"energyestimator__max_steps": [3]}
    search = GridSearchCV(make_pipeline(StandardScaler(), EnergyEstimator("aligned")), steps, cv=2)
    assert search.fit(X).best_estimator_[-1].max_steps == 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_parameters_are_kept_as_they_were_given():
    given = {"max_steps": 7, "method": "meg", "overrides": ["data.held_out=0.2"], "random_state": 3}
    estimator = clone(EnergyEstimator(**given))
    assert estimator.get_params().items() >= given.items()


def test_a_frame_comes_back_as_a_frame(on_a_frame):
    made = on_a_frame.sample(20)
    assert list(made.columns) == list(FRAME.columns)
    assert (made.dtypes == FRAME.dtypes).all()
    assert set(made["sort"]) <= {"red", "blue"}
    assert on_a_frame.sample(20).equals(made)
    assert not on_a_frame.sample(20, random_state=1).equals(made)


def test_permuted_columns_are_refused_with_their_names(on_a_frame):
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        on_a_frame.score_samples(FRAME[["width", "length", "sort"]])
    with pytest.raises(ValueError, match=r"(?s)missing.*width"):
        on_a_frame.score_samples(FRAME.drop(columns="width"))


def test_polars_frames_go_in_and_out(on_a_frame):
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(FRAME)
    np.testing.assert_allclose(on_a_frame.energy_of(frame), on_a_frame.energy_of(FRAME))
    made = EnergyEstimator("aligned", max_steps=2).fit(frame).sample(5)
    assert isinstance(made, polars.DataFrame)
    assert made.schema == frame.schema


def test_without_a_normalizer_there_is_no_score_and_a_reason(monkeypatch):
    monkeypatch.setattr("energy_gan.estimator.log_normalizer", lambda *_: (None, ["forward says 3"]))
    with pytest.warns(UserWarning, match="log Z has no estimate that can be trusted, .*: forward says 3"):
        estimator = EnergyEstimator("aligned", max_steps=2).fit(X)
    assert np.isnan(estimator.score(X))
    assert np.isfinite(estimator.energy_of(X)).all()


def test_a_method_without_an_energy_is_refused():
    with pytest.raises(InputError, match="method=vae learns no energy"):
        EnergyEstimator(method="vae", max_steps=1).fit(X)


EXCEPTIONS = {
    "check_do_not_raise_errors_in_init_or_set_params": "it gives -1 as each parameter, and tests check types",
    "check_methods_sample_order_invariance": "float32 misses its 1e-7 by a row's place in a batch",
}


@pytest.mark.slow
@parametrize_with_checks(
    [EnergyEstimator(max_steps=1), EnergyEstimator("aligned", max_steps=1)],
    expected_failed_checks=lambda _: EXCEPTIONS,
)
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)
