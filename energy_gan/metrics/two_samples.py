"""Whether images of two laws can be told apart: a classifier's AUC, all with the same noise.

Without noise a pixel that is black in all data, and nearly so in samples, tells everything and means nothing.
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from energy_gan.metrics.detection import two_sample_test

MOST = 6_000  # images of each law


def image_aucs(
    laws: Mapping[str, Float[Tensor, "N *S"]], pairs: Sequence[tuple[str, str]], seed: int = 0
) -> dict[str, float]:
    """`auc_<one>_<other>` for each pair, 0.5 where they cannot be told apart, and `auc_standard_error`."""
    numbers, errors = {}, []
    for one, other in pairs:
        test = two_sample_test(laws[one].flatten(1).cpu(), laws[other].flatten(1).cpu(), seed, MOST)
        numbers[f"auc_{one}_{other}"] = test.auc
        errors.append(test.standard_error)
    return numbers | {"auc_standard_error": max(errors)}
