"""What was trained, ready to use: energies, samples and rankings in the data's own units."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor

from energy_gan.data.frames import as_given
from energy_gan.energies.base import stated
from energy_gan.errors import InputError
from energy_gan.evaluation import BATCH, batch_size, evaluating, in_batches
from energy_gan.generators.coarse_to_fine import Held
from energy_gan.randomness import filled, random_generator
from energy_gan.sampling import CHAINS
from energy_gan.saving import save
from energy_gan.sentences import Sentences

NO_CLASSES = "this run has learned no classes: train METHOD=jem or symbol_vector on a labelled set"
__all__ = ["Array", "Model", "Reconstruction", "evaluating"]
Array = Real[Tensor, "B *S"] | Real[np.ndarray, "B *S"] | Any  # of a table also a frame


class Reconstruction(NamedTuple):
    """What a generator makes of the latents that were found for points."""

    points: Float[Tensor, "n *S"]
    latent: Float[Tensor, "n L"]
    start: Float[Tensor, "n *S"] | None  # the latents as points, where they are such: a walk's start


class Model(Sentences):
    """What a method has learned, in evaluation mode. It takes points from any device and answers on the CPU.

    Args:
        method: the trained method. It is not copied: while it trains on, the model follows.
    """

    @property
    def integrable(self) -> bool:
        """True where the energy has a finite normaliser by construction."""
        return stated(self.learned.energy, "integrable")

    def energy(self, x: Array) -> Float[Tensor, "B"]:
        """E(x), up to one unknown constant −log Z. Low is likely. Differentiable if x asks for it.

        Images are in [0, 1], or uint8 from 0 to 255.

        Raises:
            InputError: x has another shape than the points trained on, or there is no energy.
        """
        self._needs("energy")
        x = self._checked(x)
        units = self.units
        with evaluating(self.learned.energy) as energy:
            if x.requires_grad:
                return units.energies(energy, x).cpu()
            with torch.inference_mode():  # of a large array only a batch is ever converted
                return in_batches(
                    lambda part: units.energies(energy, part), x, self.method.shift.device
                ).cpu()

    @torch.no_grad()
    def generator_log_prob(self, x: Array) -> Float[Tensor, "B"]:
        """log q(x) of the generator, a flow: exact, in the units of x.

        Raises:
            InputError: its density is not known, there is no generator, or x has another shape.
        """
        self._needs("generator")
        x, units = self._checked(x), self.units
        with evaluating(self.learned.generator) as generator:
            return -in_batches(
                lambda part: units.energies(lambda u: -generator.log_prob(u), part),
                x,
                self.method.shift.device,
            ).cpu()

    def bits_per_dimension(self, x: Array, seed: int = 0) -> Float[Tensor, "B"]:
        """−log₂ q of each image under the generator, a flow, a pixel and channel: a bound for its shades.

        The noise that fills the shades is drawn once for each image.

        Raises:
            InputError: it was trained on points, or not by a flow of images with shades.
        """
        if self.learned.shades is None:
            raise InputError(
                "bits per dimension are those of images whose shades noise has filled, and this run has "
                f"{'images without' if self.kind == 'images' else 'points'}: train METHOD=flow or fce on "
                "images, or read log-likelihoods"
            )
        return self.bits(-self.generator_log_prob(self.noisy(x, seed)))

    def bits(self, energies: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
        """Bits per dimension of energies whose Z is 1, in the data's own units."""
        return energies / (self.dimension * math.log(2)) + math.log2(self.learned.shades - 1)

    @torch.no_grad()
    def energy_of_networks(self, u: Float[Tensor, "B *S"]) -> Float[Tensor, "B"]:
        """E(u), of points as the networks see them."""
        self._needs("energy")
        device = self.method.shift.device
        with evaluating(self.learned.energy) as energy:
            return in_batches(lambda part: energy(part.float().to(device)), u, device).cpu()

    def save(self, folder: str | Path) -> None:
        """Keep it in a new folder, which `energy_gan.load` reads.

        Of parts of your own it has the weights, and `load` cannot rebuild them.

        Raises:
            InputError: the folder is there already.
        """
        save(self.method, Path(folder))

    def frame(self, x: Float[Tensor, "n D"], library: str = "pandas") -> Any:
        """Samples as a frame, each column of its own type; of "pandas", "polars" or "pyarrow".

        Raises:
            InputError: it was trained on images.
        """
        if self.schema is None:
            raise InputError("this run was trained on images, which are no frame")
        return as_given(self.schema.decode(x.numpy()), library)

    @property
    def ranked_by(self) -> str:
        """What `ranking` is called: "energy" where it is one."""
        return "ranking" if self.learned.ranking is not None else "energy"

    def ranking(self, x: Array, seed: int = 0) -> Float[Tensor, "B"]:
        """High where x is unlikely: the energy; of a model with latents the first of its `rankings`."""
        return next(iter(self.rankings(x, seed).values()))

    @torch.no_grad()
    def rankings(self, x: Array, seed: int = 0) -> dict[str, Float[Tensor, "B"]]:
        """Scores by name, each high where x is unlikely: the energy, or what a `Ranking` has of it.

        Args:
            seed: of chains that infer latents.

        Raises:
            InputError: x has another shape than the points trained on.
        """
        rank = self.learned.ranking
        if rank is None:
            return {"E": self.energy(x)}
        x = self._checked(x)
        size = batch_size(self.method.shift.device, self.dimension)
        with torch.random.fork_rng(), evaluating(self.method):
            torch.manual_seed(seed)
            parts = [rank.scores(self.units.networks(part)) for part in x.split(size)]
        return {name: torch.cat([part[name] for part in parts]).to("cpu") for name in parts[0]}

    def noisy(self, x: Tensor, seed: int = 0) -> Tensor:
        """x with the noise that points have in the energy's training, which E is about; x if none."""
        rng, shades = random_generator(seed), self.learned.shades
        if shades is not None:
            u = filled(2 * x - 1, shades, torch.rand(x.shape, generator=rng))
            return (u + 1 - self.units.half) / 2
        if not self.data_noise:
            return x
        noise = torch.randn(x.shape, generator=rng).to(self.method.shift.device)
        return self.units.own(self.units.networks(x) + self.data_noise * noise)

    def log_prob_unnormalized(self, x: Array) -> Float[Tensor, "B"]:
        """−E(x) = log p(x) + log Z."""
        return -self.energy(x)

    def relative_log_prob(self, x: Array, y: Array) -> Float[Tensor, "B"]:
        """log p(x) / p(y) = E(y) − E(x), for each pair of rows: what an energy is for.

        Raises:
            InputError: there are not as many of both, or one of either.
        """
        of_x, of_y = self.energy(x), self.energy(y)
        if 1 not in (len(of_x), len(of_y)) and len(of_x) != len(of_y):
            raise InputError(
                f"{len(of_x)} rows are compared with {len(of_y)}: give as many of both, or one to compare "
                "all with"
            )
        return of_y - of_x

    def classify(self, x: Array) -> Float[Tensor, "B K"]:
        """p(y | x), the probability of each class. Images as in `energy`.

        Raises:
            InputError: the method learned no classes, or x has another shape than the points trained on.
        """
        if self.learned.classes is None:
            raise InputError(NO_CLASSES)
        x = self._checked(x)
        with evaluating(self.learned.classes) as classes, torch.inference_mode():
            return in_batches(
                lambda part: classes(self.units.networks(part)).softmax(1), x, self.method.shift.device
            ).cpu()

    @property
    def classes(self) -> list[str]:
        """Their names.

        Raises:
            InputError: the method learned none.
        """
        names = self.method.hparams.get("classes")
        if self.learned.classes is None or names is None:
            raise InputError(NO_CLASSES)
        return names

    def sample_class(self, n: int | float, name: str, seed: int = 0) -> Float[Tensor, "n *S"]:
        """n samples of a class, by chains on p(z | y): of a generator whose prior is an energy of classes.

        Raises:
            InputError: there is no such class, or no such prior.
        """
        n, _, seed = self._check_sampling(n, 0, seed)
        if name not in self.classes:
            raise InputError(
                f"class {name!r} is none that the run knows: give one of {', '.join(self.classes)}"
            )
        prior = self.learned.generator.prior
        if not prior.tilted or stated(prior.energy, "classes") is None:
            raise InputError("this run's generator knows no classes: train METHOD=symbol_vector")
        rng = random_generator(seed, 9)
        latent = prior.of_class(self.classes.index(name)).sample(n, rng)
        return self.generate(latent, seed)

    @torch.no_grad()
    def reconstruct(self, x: Array, free: bool = False) -> Reconstruction:
        """What the generator makes of the latents that the inference finds for each point.

        Args:
            free: let the latents be where the prior never is.

        Raises:
            InputError: the method has no inference, none that leaves the prior, or x has another shape.
        """
        inference = self.learned.inference
        if inference is None:
            raise InputError("this run has no inference to reconstruct with: train METHOD=short_run or lebm")
        if free and (inference := inference.free()) is None:
            raise InputError("this run's inference finds no latents that leave the prior: leave out --free")
        parts = []
        with (
            torch.random.fork_rng(),
            evaluating(self.method),
            evaluating(self.learned.generator) as generator,
        ):
            torch.manual_seed(0)  # of chains that infer
            for part in self._checked(x).split(BATCH if self.kind == "points" else CHAINS):
                latent = inference(generator, self.units.networks(part)).latent
                parts.append(Reconstruction(generator(latent), latent, generator.as_points(latent)))
        made, latent, start = ([v for v in values if v is not None] for values in zip(*parts, strict=True))
        return Reconstruction(
            self.units.own(torch.cat(made)),
            torch.cat(latent).cpu(),
            self.units.own(torch.cat(start)) if start else None,
        )

    @torch.no_grad()
    def interpolate_between(self, first: Array, last: Array, steps: int) -> Float[Tensor, "n steps *S"]:
        """Paths of G(z) from what the inference finds for each first point to what it finds for each last.

        Raises:
            InputError: as `reconstruct`, or steps is less than 2.
        """
        if steps < 2:
            raise InputError(f"a path has at least 2 steps, got {steps}")
        ends = (self.reconstruct(x).latent for x in (first, last))
        latent = self.learned.generator.prior.interpolate(*ends, torch.linspace(0, 1, steps))
        with evaluating(self.learned.generator) as generator:
            u = in_batches(generator, latent.flatten(0, 1).to(self.method.shift.device))
        return self.units.own(u).unflatten(0, (len(latent), steps))

    def check_inpainting(self) -> None:
        """InputError unless its generator goes from coarse to fine."""
        if not self.has_generator or not self.learned.generator.levels:
            raise InputError(
                "this run has no generator from coarse to fine to fill in images with: train METHOD=multigrid"
            )

    @torch.no_grad()
    def inpaint(self, x: Array, known: Bool[Tensor, "H W"], seed: int = 0) -> Float[Tensor, "n *S"]:
        """Images of which the known pixels are those of x; the others are drawn beside them, coarse to fine.

        Raises:
            InputError: the generator does not go from coarse to fine, or x has another shape.
        """
        self.check_inpainting()
        rng, parts = random_generator(seed), []
        with evaluating(self.learned.generator) as generator:
            for part in self._checked(x).split(CHAINS):
                u = self.units.networks(part)
                held = Held(u, known.to(u.device).expand(1, 1, -1, -1))
                parts.append(generator.pyramid(self._latents(len(u), rng), rng, held=held)[-1])
        return torch.where(known, x, self.units.own(torch.cat(parts)))
