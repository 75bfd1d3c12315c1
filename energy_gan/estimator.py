"""An energy and its generator in scikit-learn's manner.

    estimator = EnergyEstimator(max_steps=500).fit(x)        an array or a frame
    estimator.score_samples(x)                               log p(x) = −E(x) − log Z, row by row
    estimator.sample(1000)                                   of the kind that x was

The energy is a density up to Z. Where log Z has no estimate that can be trusted, `score_samples` and `score`
are nan, so that no search takes them for numbers, and a warning says why; `energy_of` and `sample` need none.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from energy_gan.data.frames import is_frame
from energy_gan.errors import InputError
from energy_gan.evaluation import evaluating
from energy_gan.metrics.assessment import log_normalizer
from energy_gan.numerics.ppca import evenly
from energy_gan.run.run import fit

LEAST = 3  # rows
WEIGHTED = 8_192  # samples for log Z
SEEN = 2_000  # rows that must not sink


class EnergyEstimator(DensityMixin, BaseEstimator):
    """A density of the rows of a table, and a sampler of it.

    Args:
        method, energy, generator: as in `energy_gan.fit`; each fit trains a copy of your own modules.
        max_steps: of the training; the recipe's if None.
        columns: what the columns hold, as far as it is not to be detected: see `energy_gan.data.schema`.
        missing: what becomes of rows that lack a cell.
        overrides: any other `key=value` of the config.
        random_state: an int, or None for another training each time.
        verbose: show the progress.

    Attributes:
        model_: the `Model`.
        log_normalizer_: log Z; nan where no estimate can be trusted.
        n_features_in_, feature_names_in_: as scikit-learn has them.
    """

    def __init__(
        self,
        method: str | None = None,
        *,
        max_steps: int | None = None,
        energy: nn.Module | None = None,
        generator: nn.Module | None = None,
        columns: Mapping[str, Any] | str | None = None,
        missing: Literal["refuse", "drop", "impute"] = "refuse",
        overrides: Sequence[str] = (),
        random_state: Any = 0,
        verbose: bool = False,
    ):
        self.method = method
        self.max_steps = max_steps
        self.energy = energy
        self.generator = generator
        self.columns = columns
        self.missing = missing
        self.overrides = overrides
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> "EnergyEstimator":  # noqa: N803, scikit-learn's name
        """Train on the rows of X.

        Raises:
            InputError: a setting or a cell cannot be used.
        """
        x = self._validated(X, reset=True)
        self._given = type(X).__module__.partition(".")[0] if is_frame(X) else None
        seed = self.random_state
        if seed is None or not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        self._seed = int(seed)
        self.model_ = fit(
            x,
            method=self.method,
            energy=deepcopy(self.energy),
            generator=deepcopy(self.generator),
            max_steps=self.max_steps,
            columns=self.columns,
            missing=self.missing,
            seed=self._seed,
            overrides=self.overrides,
            verbose=self.verbose,
        )
        if "energy" not in self.model_.offers:
            raise InputError(f"method={self.method} learns no energy, so there is no density: give another")
        self.log_normalizer_ = self._log_normalizer(x)
        return self

    def energy_of(self, X: Any) -> Float[np.ndarray, "N"]:  # noqa: N803
        """E(x), up to a constant: low is likely. It needs no log Z. Of the networks' precision, float32."""
        check_is_fitted(self)
        return self.model_.energy(self._validated(X)).float().numpy()

    def score_samples(self, X: Any) -> Float[np.ndarray, "N"]:  # noqa: N803
        """log p(x) of each row, in nats; nan where log Z has no estimate."""
        return -self.energy_of(X) - np.float32(self.log_normalizer_)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """The mean of log p(x) over the rows."""
        return float(self.score_samples(X).mean(dtype=float))

    def sample(self, n_samples: int = 1, random_state: int | None = None) -> Any:
        """Independent samples of the generator: an array, or a frame of the kind that was fitted.

        Args:
            random_state: another gives others; that of the training if None.
        """
        check_is_fitted(self)
        x = self.model_.sample(n_samples, self._seed if random_state is None else random_state)
        return x.numpy() if self._given is None else self.model_.frame(x, self._given)

    def _validated(self, X: Any, reset: bool = False) -> Any:  # noqa: N803
        """What scikit-learn asks of X: names, numbers of columns, of an array its cells too."""
        if is_frame(X):
            return validate_data(self, X, reset=reset, skip_check_array=True)
        finite = True if self.missing == "refuse" or not reset else "allow-nan"
        least = LEAST if reset else 1
        return validate_data(self, X, reset=reset, ensure_all_finite=finite, ensure_min_samples=least)

    def _log_normalizer(self, x: Any) -> float:
        model, seed = self.model_, self._seed
        rows = model.schema.encode(x)
        rows = torch.from_numpy(rows[~np.isnan(rows).any(1)])
        seen = model.units.networks(evenly(rows, SEEN))
        weighted = model.weighted_samples(WEIGHTED, seed)
        with evaluating(model.learned.energy) as energy:
            found, reasons = log_normalizer(energy, weighted, seen, seed)
        if found is None:
            said = f"log Z has no estimate that can be trusted, scores are nan: {'; '.join(reasons)}"
            warnings.warn(said, UserWarning, stacklevel=3)
        return math.nan if found is None else found

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing != "refuse"
        return tags
