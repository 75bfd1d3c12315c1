"""An energy model and a sampler of the same distribution, trained together and measured.

import energy_gan
model = energy_gan.fit(x)                  # an array of points
model = energy_gan.load("runs/…")          # or a run's folder
model.energy(x), model.sample(1000)
energy_gan.EnergyEstimator().fit(x)        # the same in scikit-learn's manner
"""

from typing import TYPE_CHECKING

from energy_gan.errors import InputError

if TYPE_CHECKING:
    from energy_gan.estimator import EnergyEstimator
    from energy_gan.model import Model
    from energy_gan.run.checkpoints import load
    from energy_gan.run.run import fit

__all__ = ["EnergyEstimator", "InputError", "Model", "fit", "load"]

_HOMES = {
    "EnergyEstimator": "energy_gan.estimator",
    "Model": "energy_gan.model",
    "fit": "energy_gan.run.run",
    "load": "energy_gan.run.checkpoints",
}


def __getattr__(name: str):
    """Import torch and Lightning only when they are needed: to load a run takes no Lightning."""
    if name not in _HOMES:
        raise AttributeError(f"module 'energy_gan' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
