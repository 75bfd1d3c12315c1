"""The law that a data set is drawn from, where it is known."""

from energy_gan.data.density import Density
from energy_gan.errors import InputError
from energy_gan.run.build import build_density
from energy_gan.run.compose import compose


def law(*names: str) -> Density:
    """The density of the data set that overrides describe, or of one class of `energy_gan.data`.

    Raises:
        InputError: there is none of that name, or its density is not known.
    """
    if "=" in names[0]:
        node = compose(names)["data"].get("density")
    else:
        node = {"_target_": f"energy_gan.data.{names[0]}"}
    if node is None:
        raise InputError(f"{' '.join(names)} has no known density to draw from: give another data=NAME")
    return build_density(node)
