"""Short walks on one grid after the other as the generator, from an image of one pixel to the finest."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import nn

from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.output_noise import Scale
from energy_gan.generators.pixel_law import PixelLaw
from energy_gan.generators.priors import NormalPrior
from energy_gan.numerics.grids import all_within, enlarged, shrunk
from energy_gan.samplers.base import gradient, normal_like
from energy_gan.samplers.chains import Chains
from energy_gan.shapes import Latents, Points


class Level(NamedTuple):
    """One grid: the shape of its images, their energy, the walk on it, σ of their noise in training."""

    shape: tuple[int, ...]
    energy: nn.Module
    chains: Chains
    noise: float = 0.0


class Held(NamedTuple):
    """Pixels that are known, and on a coarser grid the cells of which all pixels are."""

    x: Points
    known: Bool[torch.Tensor, "B #C H W"]

    def on(self, size: Sequence[int]) -> "Held":
        """On a coarser grid."""
        return Held(shrunk(self.x, size), all_within(self.known, size))

    def put(self, x: Points) -> Points:
        """x with what is known in its place."""
        return torch.where(self.known, self.x, x)


class CoarseToFine(Generator):
    """xₛ = Mₛ(up(A(xₛ₋₁))), s = 1 … S, from a 1×1 image x₀: K steps of Langevin dynamics on each grid,

        x ← x − ε ∇Eₛ(x) + √(2ε) ξₖ,   from the coarser grid's image, whose pixels are copied

    A, where there is one, maps images before they are enlarged. The latent is (z₀, ζ₁, …, ζ_S): z₀ makes x₀,
    ζₛ = Σₖ ξₖ / √K is the sum of a walk's noise. The rest of that noise, which is independent of its sum, is
    drawn by `draw`, whose samples are those of the chains themselves; without it, ξₖ = ζ / √K, G(z) is a
    function of z, and differentiable.

    It has no weights but those of the energies and of A, which learn elsewhere.

    Reference: Learning Generative ConvNets via Multi-grid Modeling and Sampling (Gao et al., 2018),
    https://arxiv.org/abs/1709.08868.

    Args:
        pixel: the law of x₀.
        levels: the coarsest first; each has chains of one step size and of a kernel that accepts all.
        between: A.
    """

    def __init__(self, pixel: PixelLaw, levels: Sequence[Level], between: nn.Module | None = None):
        for level in levels:
            if not level.chains.kernel.accepts_all or level.chains.target is not None:
                raise ValueError("walks from grid to grid take steps of one size, all accepted: Langevin's")
        parts = [pixel, *(level.energy for level in levels), *([between] if between else [])]
        sizes = [levels[0].shape[0], *(math.prod(level.shape) for level in levels)]
        super().__init__(nn.ModuleList(parts), NormalPrior(sum(sizes)))
        self.sizes, self.pixel, self.levels, self.between = sizes, pixel, tuple(levels), between
        self.training = levels[-1].energy.training

    def moments(self, latent: Latents) -> tuple[Points, Scale | None]:
        """G(z), without the rest of the noise."""
        return self.pyramid(latent, quiet=True)[-1], None

    def draw(self, latent: Latents, rng: torch.Generator | None = None) -> Draw:
        """With all noise: samples of the walks."""
        x = self.pyramid(latent, rng)[-1]
        return Draw(latent, x, x)

    def pyramid(
        self,
        latent: Latents,
        rng: torch.Generator | None = None,
        quiet: bool = False,
        held: Held | None = None,
    ) -> list[Points]:
        """x₀, …, x_S.

        Args:
            quiet: leave out the noise that the latents do not hold.
            held: pixels that stay as they are; only others move.
        """
        z, *pushes = latent.split(self.sizes, 1)
        x = self.pixel(z)
        images = [x if held is None else held.on((1, 1)).put(x)]
        for level, push in zip(self.levels, pushes, strict=True):
            size = level.shape[1:]
            start = enlarged(before(images[-1], self.between), size)
            here = None if held is None else held.on(size)
            images.append(_walk(level, start, push.view(-1, *level.shape), rng, quiet, here))
        return images

    def calibrate(self, n: int = 16_384, batch_size: int = 1_024, seed: int = 0) -> None:
        """Nothing: what the energies hold is for them to measure."""


def before(x: Points, between: nn.Module | None) -> Points:
    """What is enlarged of images: A of them, but for those of one pixel."""
    return x if between is None or x.shape[2:].numel() == 1 else between(x)


def _walk(
    level: Level, x: Points, push: Points, rng: torch.Generator | None, quiet: bool, held: Held | None
) -> Points:
    """K steps whose noise has the sum √K · push, drawn step by step given what is left of that sum."""
    chains, left = level.chains, push * math.sqrt(level.chains.n_steps)
    x = x if held is None else held.put(x)
    for k in range(chains.n_steps, 0, -1):
        noise = left / k
        if k > 1 and not quiet:
            noise = noise + math.sqrt(1 - 1 / k) * normal_like(x, rng)
        left = left - noise
        x = chains.kernel.drift(x, gradient(level.energy, x), chains.step_size, noise)
        x = x if held is None else held.put(x)
    return x
