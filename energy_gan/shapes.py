"""Names for the tensors that pass between the parts. Read by people, checked under pytest.

`B` is the batch, `*S` the shape of one point or image, `L` the latent dimension, `N` any count.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

Points = Float[Tensor, "B *S"]
Energies = Float[Tensor, "B"]
Latents = Float[Tensor, "B L"]
Scalar = Float[Tensor, ""]
Labels = Int[Tensor, "B"]  # −1 where there is none


class Batch(NamedTuple):
    """Some of the data; labels are −1 where there is none, None where no point can have one.

    `index` says which training points they are. Where few labels are known, `labelled` are some of the points
    that have one.
    """

    x: Points
    labels: Labels | None = None
    index: Int[Tensor, "B"] | None = None
    labelled: "Batch | None" = None


class Negatives(NamedTuple):
    """Samples that stand for the energy's own law in the negative phase.

    With `log_weights`, log Z ≈ logsumexp(log_weights − E(samples)); without, the samples count
    equally and log Z stays unknown. `energies` are E(samples) where they have been computed;
    `log_density` is that of the law that the samples come from, where it is known everywhere, and
    `log_density_at_data` what it is at the data. Of chains, `before` are the samples one step earlier,
    `step_size` is ε of the last step and `gradient` is ∇E(samples).
    """

    samples: Points
    log_weights: Energies | None = None
    energies: Energies | None = None
    log_density: Callable[[Points], Energies] | None = None
    log_density_at_data: Energies | None = None
    before: Points | None = None
    step_size: Scalar | None = None
    gradient: Points | None = None

    def seen(self, x: Points, energies: Float[Tensor, "N"]) -> "Negatives":
        """The same with E(samples), and with log q at the data x where it is known."""
        with torch.no_grad():
            at_data = self.log_density(x) if self.log_density else None
        return self._replace(energies=energies, log_density_at_data=at_data)

    @property
    def mean_energy(self) -> Scalar:
        """The mean of E under the law that the negatives stand for: Σ pᵢ E(xᵢ), p = softmax(w − E)."""
        if self.log_weights is None:
            return self.energies.mean()
        return (self.log_weights - self.energies).softmax(0) @ self.energies


__all__ = ["Batch", "Energies", "Labels", "Latents", "Negatives", "Points", "Scalar"]
