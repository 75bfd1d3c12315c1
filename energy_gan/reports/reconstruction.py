"""How near a generator comes to held-out images, by the latents that its inference finds."""

from collections.abc import Mapping

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.images import viewable
from energy_gan.metrics.images import as_images
from energy_gan.model import Model, Reconstruction
from energy_gan.numerics.ppca import evenly
from energy_gan.reports import drawing
from energy_gan.reports.numbers import RECONSTRUCTION
from energy_gan.reports.section import Section

N_IMAGES, SHOWN = 64, 16


class ImageReconstruction(Section):
    """The mean squared error of pixels in [0, 1], with latents as the prior has them and with free ones.

    Free latents come nearer the more the generator is like the identity, and say nothing of what it has
    learned. The mean of the training images is what one image for all would reach.
    """

    needs = "images generator inference"
    numbers = RECONSTRUCTION

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        if not full:
            return {}
        x, made = self._held_out(), self._made(model)
        numbers = {f"reconstruction_{name}": error(found.points, x) for name, found in made.items()}
        mean = as_images(evenly(self.data.points)).mean(0)
        return numbers | {"reconstruction_mean_image": error(mean, x)}

    def _held_out(self) -> Float[Tensor, "N C H W"]:
        return self.data.pixels(self.data.held_out[:N_IMAGES])

    def _made(self, model: Model, n: int = N_IMAGES) -> dict[str, Reconstruction]:
        ways = ("mse", "free") if model.learned.inference.free() is not None else ("mse",)
        return {way: model.reconstruct(self._held_out()[:n], free=way == "free") for way in ways}

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        rows = {"held-out images": self._held_out()[:SHOWN]}
        for way, found in self._made(model, SHOWN).items():
            latents = "free latents" if way == "free" else "latents as the prior has them"
            rows[f"reconstructed, {latents}"] = found.points
            if found.start is not None:
                rows[f"where these walks start, {latents}"] = found.start
        return {"reconstruction": drawing.images({k: viewable(v).numpy() for k, v in rows.items()})}


def error(images: Float[Tensor, "*N C H W"], x: Float[Tensor, "N C H W"]) -> float:
    """The mean squared error of pixels."""
    return float((images - x).square().mean())
