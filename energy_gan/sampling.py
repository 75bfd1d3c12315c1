"""What a method's generator and energy draw, in the data's own units."""

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from operator import index
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Real
from torch import Tensor

from energy_gan.data.columns import Column
from energy_gan.data.frames import as_numbers, as_points, is_frame
from energy_gan.data.schema import Schema
from energy_gan.data.units import Units
from energy_gan.energies.base import stated
from energy_gan.errors import InputError
from energy_gan.evaluation import BATCH, OfTable, Standardised, batch_size, evaluating, in_batches
from energy_gan.inference.latent_space import LatentChains, Trace
from energy_gan.methods.base import OFFERS, Learned, Method
from energy_gan.negatives.importance import weighted_samples
from energy_gan.randomness import random_generator
from energy_gan.samplers.base import Kernel, init, normal_like
from energy_gan.samplers.chains import Chains, tune
from energy_gan.samplers.ladder import denoised
from energy_gan.samplers.mala import MALA
from energy_gan.samplers.transport import Space
from energy_gan.system.commands import command

BLOCK = 65_536  # samples that one random stream makes,
BLOCK_NUMBERS = 2**26  # fewer of more numbers, so that a block takes at most 512 MB
CHAINS = 512  # of images at a time, whose gradients take memory


class Sampling:
    """What draws. `Model` has the rest.

    Args:
        method: the trained method. It is not copied: while it trains on, the model follows.
    """

    def __init__(self, method: Method):
        self.method = method

    @property
    def learned(self) -> Learned:
        """What the method has learned, in the networks' units."""
        return self.method.learned

    @property
    def offers(self) -> frozenset[str]:
        """Which fields of `Learned` there are: energy, ranking, generator, inference, classes, networks."""
        return frozenset(name for name in OFFERS if getattr(self.learned, name) is not None)

    @property
    def has_generator(self) -> bool:
        return "generator" in self.offers

    @property
    def kind(self) -> str:
        """What a point is: "points" for a row of numbers, "images", "text"."""
        return self.method.hparams.get("kind", "points").removeprefix("small_")

    @property
    def dimension(self) -> int:
        """Numbers in a point."""
        return math.prod(self.method.shape)

    @property
    def columns(self) -> list[str]:
        """A name for each number of a point: those of the user's table, or x0, x1, …"""
        return self.method.hparams.get("columns") or [f"x{i}" for i in range(self.dimension)]

    @property
    def is_table(self) -> bool:
        """Whether it was trained on a user's own table."""
        return self.method.hparams.get("schema") is not None

    @property
    def schema(self) -> Schema | None:
        """The columns, real numbers where the data are no table; None of images."""
        if self.is_table:
            return Schema.from_config(self.method.hparams["schema"])
        if len(self.method.shape) != 1:
            return None
        moments = zip(self.columns, self.method.shift.tolist(), self.method.scale.tolist(), strict=True)
        columns = (Column(name, "continuous", shift=shift, scale=scale) for name, shift, scale in moments)
        return Schema(tuple(columns))

    @property
    def units(self) -> Standardised | OfTable:
        """Between the data's own units and the networks'."""
        if not self.is_table:
            return Standardised(self.method, self.kind == "images")
        return OfTable(Units(self.schema), self.method.shift.device)

    @property
    def data_noise(self) -> float:
        """σ of the noise that the energy's points have in training, in the networks' units; mostly 0."""
        return self.learned.noise

    def _needs(self, what: str) -> None:
        if what not in self.offers:
            raise InputError(f"this run offers {self._offered}, here it needs {what}: give another run")

    @property
    def _offered(self) -> str:
        return " and ".join(sorted(self.offers))

    def sample(self, n: int | float, seed: int = 0, refine: int = 0) -> Float[Tensor, "n *S"]:
        """n independent samples of the generator; the same seed gives the same samples.

        Args:
            refine: steps of MALA on the energy that each sample then takes, their size such that
                about 70 % are accepted. A few of them move samples to where the energy wants them. Where
                the energy is that of data with noise, noised samples walk, and what they are without
                the noise by the energy's own gradient (Tweedie's formula) moves the samples themselves.

        Raises:
            InputError: the method trained no generator, n is less than 1 or refine less than 0.
        """
        n, refine, seed = self._check_sampling(n, refine, seed)
        try:
            x = torch.empty(n, *self.method.shape, dtype=self.units.dtype)
        except (RuntimeError, TypeError) as error:  # torch has no class of its own for it on a CPU
            raise _too_many(n) from error
        for _ in self._fill(x.split(self.block), seed, refine):
            pass
        return x

    @torch.no_grad()
    def generate(self, latent: Float[Tensor, "n L"], seed: int = 0) -> Float[Tensor, "n *S"]:
        """A sample of the generator for each of these latents; the seed is of its noise, if it has any."""
        self._needs("generator")
        rng = random_generator(seed)
        with evaluating(self.learned.generator) as generator:
            parts = latent.to(self.method.shift.device).split(batch_size(latent.device, self.dimension))
            u = torch.cat([generator.draw(part, rng).samples for part in parts])
        return self.units.own(u)

    def sample_blocks(
        self, n: int | float, seed: int = 0, refine: int = 0
    ) -> Iterator[Float[Tensor, "B *S"]]:
        """The samples of `sample` block by block, for more of them than memory holds.

        Each block has a random stream of its own, so its size, `block`, is the model's and no setting.
        """
        n, refine, seed = self._check_sampling(n, refine, seed)
        sizes = (min(self.block, n - first) for first in range(0, n, self.block))
        return self._fill(
            (torch.empty(size, *self.method.shape, dtype=self.units.dtype) for size in sizes), seed, refine
        )

    @property
    def block(self) -> int:
        """Samples in a block: 65,536, or as many as take 256 MB."""
        return max(1, min(BLOCK, BLOCK_NUMBERS // self.dimension))

    @torch.no_grad()
    def sample_latent(
        self,
        n: int,
        seed: int = 0,
        kernel: Kernel | None = None,
        n_steps: int = 100,
        step_size: float | None = None,
        temperature: float = 1.0,
        with_prior: bool = True,
    ) -> tuple[Float[Tensor, "n *S"], Trace]:
        """n samples G(z), without output noise, whose z were drawn as by `sample` and then moved by chains.

        The chains leave p(z) exp(−E(G(z)) / temperature) as it is, see `energy_gan.inference.latent_space`.
        The trace holds the mean energy, in the units of `energy`, and the acceptance rate along them.

        Args:
            kernel: MALA if None.
            step_size: found on 256 of the chains if None, for the acceptance that suits the kernel.
            with_prior: keep the term −log p(z); the published code has none.

        Raises:
            InputError: the method trained no generator or one whose latents hold bits, a number is out of
                its range, or the chains run away.
        """
        if not self.has_generator:
            raise InputError(
                f"this run offers {self._offered}, no generator of points in whose latent space a sampler "
                "could walk: train a method with one, METHOD=meg"
            )
        self._needs("energy")
        rng, at_once = random_generator(seed), BATCH if self.kind == "points" else CHAINS
        with evaluating(self.learned.generator) as generator, evaluating(self.learned.energy) as energy:
            chains = LatentChains(kernel or MALA(), energy, generator, temperature, with_prior)
            draw = partial(self._latents, rng=rng)
            latent, trace = chains.sample(n, draw, n_steps, step_size, rng, at_once)
            u = torch.cat([in_batches(generator, part) for part in latent.split(at_once)])
        x = self.units.own(u)
        return x, trace._replace(energy=trace.energy + self.units.constant)

    @torch.no_grad()
    def interpolate(self, n: int, steps: int, seed: int = 0) -> Float[Tensor, "n steps *S"]:
        """n paths of G(z) from one sample to another, without output noise: Figure 3 of the paper.

        z goes in a straight line, under a normal prior along the arc that keeps its length typical.

        Raises:
            InputError: the method trained no generator, n is less than 1 or steps less than 2.
        """
        if not self.has_generator:
            raise InputError(f"this run offers {self._offered}, no generator of points to interpolate with")
        if n < 1 or steps < 2:
            raise InputError(f"at least 1 path of at least 2 steps must be asked for, got {n} of {steps}")
        prior = self.learned.generator.prior
        first, last = prior.sample(2 * n, random_generator(seed)).unflatten(0, (n, 2)).unbind(1)
        latent = prior.interpolate(first, last, torch.linspace(0, 1, steps))
        with evaluating(self.learned.generator) as generator:
            u = in_batches(generator, latent.flatten(0, 1).to(self.method.shift.device))
        return self.units.own(u).unflatten(0, (n, steps))

    @torch.no_grad()
    def weighted_samples(
        self, n: int, seed: int = 0, n_batch: int = 448
    ) -> tuple[Float[Tensor, "N *S"], Float[Tensor, "N"]] | None:
        """Samples u with log weights w, as the networks see them: log Z ≈ logsumexp(w − E(u)), and P_energy ≈
        the u in proportion to exp(w − E(u)): of the energy's base, or of a generator whose density is known;
        None elsewhere.
        """
        generator = self.learned.generator
        if (base := stated(self.learned.energy, "base")) is not None:
            with evaluating(base):
                u = base.sample(n, random_generator(seed))
                return u.cpu(), (in_batches(base, u) - math.log(n)).cpu()
        if generator is None or self.learned.energy is None:
            return None
        with torch.random.fork_rng(), evaluating(generator), evaluating(self.learned.energy) as energy:
            torch.manual_seed(seed)
            found = weighted_samples(energy, generator, n, n_batch, self.method.shift.device)
        return None if found is None else (found.samples.cpu(), found.log_weights.cpu())

    def _checked(self, x: Any) -> Real[Tensor, "B *S"]:
        """The points as a tensor, if they have the shape of those trained on; a table's in its numbers."""
        if is_frame(x) or isinstance(x, Mapping):
            return self._encoded(x)
        x = as_points(x)
        if tuple(x.shape[1:]) != self.method.shape:
            raise InputError(
                f"points of shape {tuple(x.shape[1:])} were given, the model knows shape "
                f"{self.method.shape}: give an array of shape (n, {', '.join(map(str, self.method.shape))})"
            )
        if self.is_table and not (isinstance(x, Tensor) and x.requires_grad):
            return self._encoded(x)
        return as_numbers(x)

    def _encoded(self, table: Any) -> Float[Tensor, "B D"]:
        if self.schema is None:
            raise InputError("a table was given, and this run was trained on images: give these")
        rows = self.schema.encode(table)
        if (lacks := np.isnan(rows)).any():
            row, column = np.argwhere(lacks)[0]
            raise InputError(
                f"the cell of row {row + 1}, column {self.columns[column]!r} is missing: fill it in, or drop "
                "the row"
            )
        return torch.from_numpy(rows)

    def _check_sampling(self, n: int | float, refine: int, seed: int) -> tuple[int, int, int]:
        """They, as whole numbers."""
        n, refine, seed = whole("n", n), whole("refine", refine), whole("seed", seed)
        if not self.has_generator:
            raise InputError(
                f"this run offers {self._offered}, no generator of points to sample: "
                f"score points with `{command('energy')}`, or train METHOD=aligned"
            )
        if n < 1:
            raise InputError(f"at least 1 sample must be asked for, got {n}")
        if refine < 0:
            raise InputError(f"refine is a number of steps, at least 0, got {refine}")
        if refine:
            self._needs("energy")
        return n, refine, seed

    def _fill(self, blocks: Iterable[Tensor], seed: int, refine: int) -> Iterator[Tensor]:
        """Put samples into each block, on the CPU, in the data's own units."""
        step_size, units = None, self.units  # the first of the refinement, found on the first block
        for number, block in enumerate(blocks):
            rng = random_generator(seed, *([number] if number else []))
            with torch.no_grad(), evaluating(self.learned.generator) as generator:
                latent = self._latents(len(block), rng)
                size = batch_size(latent.device, max(self.dimension, latent.shape[1]))
                drawn = (generator.draw(z, rng).samples for z in latent.split(size))
                if refine:
                    u, step_size = self._refined(torch.cat(list(drawn)), refine, step_size, rng)
                    drawn = u.split(size)
                for part, u in zip(block.split(size), drawn, strict=True):  # while it is in the cache
                    units.own(u, out=part)
            yield block

    def _refined(
        self, u: Tensor, n_steps: int, step_size: float | None, rng: torch.Generator
    ) -> tuple[Tensor, float]:
        """Samples x after steps of MALA, and their size, which is found if it is not given.

        Of data with noise, y = x + σ ε walks to y', and D(y) = E[x | y] = y − σ² ∇E moves x by D(y') − D(y):
        what the noise hides of x, x − D(y), stays with it. D(y') alone lacks that, and is blurred.
        """
        with evaluating(self.learned.energy) as energy:
            ladder = stated(energy, "levels")
            law = energy if ladder is None else ladder.least  # its density tilts less, and would roughen them
            space = walked.space(law) if (walked := self.learned.walked) is not None else Space(law)
            y = u + self.data_noise * normal_like(u, rng) if self.data_noise else u
            if step_size is None:
                step_size = tune(MALA(), space.energy, space.pull(y[:1000]), rng)
            chains = Chains(MALA(), n_steps, step_size)
            moved = in_batches(lambda y: space.push(chains.run(space.energy, space.pull(y), rng).state.x), y)
            if not self.data_noise:
                return moved, step_size

            def clean(y: Tensor) -> Tensor:
                if ladder is not None:
                    return denoised(ladder.at, y, ladder.noise)
                return y - self.data_noise**2 * init(energy, y).gradient

            return u + in_batches(clean, moved) - in_batches(clean, y), step_size

    def _latents(self, n: int, rng: torch.Generator) -> Float[Tensor, "n L"]:
        try:
            return self.learned.generator.prior.sample(n, rng).to(self.method.shift.device)
        except RuntimeError as error:
            raise _too_many(n) from error


def _too_many(n: int) -> InputError:
    return InputError(f"{n} samples do not fit in memory: draw fewer at a time, each with a seed")


def whole(name: str, value: Any) -> int:
    """A count, also written as 1e5.

    Raises:
        InputError: it is no whole number.
    """
    try:
        return index(int(value) if isinstance(value, float | np.floating) and value.is_integer() else value)
    except TypeError as error:
        raise InputError(f"{name} is a whole number, got {value!r}") from error
