"""Names for the tensors that pass between the parts. Read by people, checked under pytest.

`B` is the batch, `*S` the shape of one point or image, `L` the latent dimension, `N` any count.
"""

from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "B *S"]
Energies = Float[Tensor, "B"]
Latents = Float[Tensor, "B L"]
Scalar = Float[Tensor, ""]

__all__ = ["Energies", "Latents", "Points", "Scalar"]
