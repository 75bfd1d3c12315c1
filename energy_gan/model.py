"""What was trained, ready to use: energies, samples and rankings in the data's own units.

The networks see u = (x − shift) / scale. A density changes with its variable,
p_x(x) = p_u(u) / Π scale, so the energy that belongs to x is E_x(x) = E_u(u) + Σ log scale.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Real
from torch import Tensor, nn

from energy_gan.energies.base import stated
from energy_gan.errors import InputError
from energy_gan.inference.latent_space import LatentChains, Trace
from energy_gan.methods.base import OFFERS, Learned, Method
from energy_gan.negatives.importance import weighted_samples
from energy_gan.nn import eagerly
from energy_gan.randomness import random_generator
from energy_gan.samplers.base import Kernel, init, normal_like
from energy_gan.samplers.chains import Chains, tune
from energy_gan.samplers.mala import MALA

Array = Real[Tensor, "B *S"] | Real[np.ndarray, "B *S"]
BATCH = 1_024  # points at a time,
LARGE = 1_024  # of this many numbers at most, in proportion fewer of larger ones
BLOCK = 65_536  # samples that one random stream makes,
BLOCK_NUMBERS = 2**26  # fewer of more numbers, so that a block takes at most 256 MB
CHAINS = 512  # of images at a time, whose gradients take memory
T = TypeVar("T", bound=nn.Module)


@contextmanager
def evaluating(module: T) -> Iterator[T]:
    """The module in evaluation mode, not compiled, and afterwards as it was."""
    training = module.training
    module.eval()
    try:
        with eagerly(module):
            yield module
    finally:
        module.train(training)


class Reconstruction(NamedTuple):
    """What a generator makes of the latents that were found for points."""

    points: Float[Tensor, "n *S"]
    latent: Float[Tensor, "n L"]
    start: Float[Tensor, "n *S"] | None  # the latents as points, where they are such: a walk's start


class Model:
    """What a method has learned, in evaluation mode. It takes points from any device and answers on the CPU.

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
        """Which fields of `Learned` there are: energy, ranking, generator, inference, classes."""
        return frozenset(name for name in OFFERS if getattr(self.learned, name) is not None)

    @property
    def has_generator(self) -> bool:
        return "generator" in self.offers

    @property
    def kind(self) -> str:
        """What a point is: "points" for a row of numbers, "images"."""
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
    def integrable(self) -> bool:
        """True where the energy has a finite normaliser by construction."""
        return stated(self.learned.energy, "integrable")

    @property
    def data_noise(self) -> float:
        """σ of the noise that the energy's points have in training, in the networks' units; mostly 0."""
        return self.learned.noise

    def energy(self, x: Array) -> Float[Tensor, "B"]:
        """E(x), up to one unknown constant −log Z. Low is likely. Differentiable if x asks for it.

        Images are in [0, 1], or uint8 from 0 to 255.

        Raises:
            InputError: x has another shape than the points trained on, or there is no energy.
        """
        self._needs("energy")
        x = self._checked(x)
        log_scale = self.method.scale.log().sum()
        with evaluating(self.learned.energy) as energy:
            if x.requires_grad:
                return (energy(self._standardised(x)) + log_scale).cpu()
            with torch.inference_mode():  # of a large array only a batch is ever converted
                return _in_batches(
                    lambda part: energy(self._standardised(part)) + log_scale, x, self.method.shift.device
                ).cpu()

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
        size = _batch_size(self.method.shift.device, self.dimension)
        with torch.random.fork_rng(), evaluating(self.method):
            torch.manual_seed(seed)
            parts = [rank.scores(self._standardised(part)) for part in x.split(size)]
        return {name: torch.cat([part[name] for part in parts]).to("cpu") for name in parts[0]}

    def _needs(self, what: str) -> None:
        if what not in self.offers:
            raise InputError(
                f"this run offers {' and '.join(sorted(self.offers))}, here it needs {what}: give another run"
            )

    def noisy(self, x: Tensor, seed: int = 0) -> Tensor:
        """x with the noise that points have in the energy's training, which E is about; x if none."""
        if not self.data_noise:
            return x
        noise = torch.randn(x.shape, generator=random_generator(seed))
        return x + self.data_noise * self.method.scale.cpu() * noise

    def log_prob_unnormalized(self, x: Array) -> Float[Tensor, "B"]:
        """−E(x) = log p(x) + log Z."""
        return -self.energy(x)

    def relative_log_prob(self, x: Array, y: Array) -> Float[Tensor, "B"]:
        """log p(x) / p(y) = E(y) − E(x), for each pair of rows: what an energy is for."""
        return self.energy(y) - self.energy(x)

    def classify(self, x: Array) -> Float[Tensor, "B K"]:
        """p(y | x), the probability of each class. Images as in `energy`.

        Raises:
            InputError: the method learned no classes, or x has another shape than the points trained on.
        """
        if self.learned.classes is None:
            raise InputError("this run has learned no classes: train METHOD=jem on a labelled set")
        x = self._checked(x)
        with evaluating(self.learned.classes) as classes, torch.inference_mode():
            return _in_batches(
                lambda part: classes(self._standardised(part)).softmax(1), x, self.method.shift.device
            ).cpu()

    def sample(self, n: int, seed: int = 0, refine: int = 0) -> Float[Tensor, "n *S"]:
        """n independent samples of the generator; the same seed gives the same samples.

        Args:
            refine: steps of MALA on the energy that each sample then takes, their size such that
                about 70 % are accepted. A few of them move samples to where the energy wants them. Where
                the energy is that of data with noise, samples get this noise before and lose it after, by
                the energy's own gradient (Tweedie's formula).

        Raises:
            InputError: the method trained no generator, n is less than 1 or refine less than 0.
        """
        self._check_sampling(n, refine)
        try:
            x = torch.empty(n, *self.method.shape)
        except RuntimeError as error:  # torch has no class of its own for it on a CPU
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
            parts = latent.to(self.method.shift.device).split(_batch_size(latent.device, self.dimension))
            u = torch.cat([generator.draw(part, rng).samples for part in parts])
        return (u * self.method.scale + self.method.shift).cpu()

    def sample_blocks(self, n: int, seed: int = 0, refine: int = 0) -> Iterator[Float[Tensor, "B *S"]]:
        """The samples of `sample` block by block, for more of them than memory holds.

        Each block has a random stream of its own, so its size, `block`, is the model's and no setting.
        """
        self._check_sampling(n, refine)
        sizes = (min(self.block, n - first) for first in range(0, n, self.block))
        return self._fill((torch.empty(size, *self.method.shape) for size in sizes), seed, refine)

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
                "this run trained an energy alone and has no latent space for a sampler to walk in: "
                "train a method with a generator, METHOD=meg"
            )
        self._needs("energy")
        rng, at_once = random_generator(seed), BATCH if self.kind == "points" else CHAINS
        with evaluating(self.learned.generator) as generator, evaluating(self.learned.energy) as energy:
            chains = LatentChains(kernel or MALA(), energy, generator, temperature, with_prior)
            draw = partial(self._latents, rng=rng)
            latent, trace = chains.sample(n, draw, n_steps, step_size, rng, at_once)
            u = torch.cat([_in_batches(generator, part) for part in latent.split(at_once)])
        x = self._in_own_units(u)
        return x, trace._replace(energy=trace.energy + self.method.scale.log().sum().cpu())

    @torch.no_grad()
    def interpolate(self, n: int, steps: int, seed: int = 0) -> Float[Tensor, "n steps *S"]:
        """n paths of G(z) from one sample to another, without output noise: Figure 3 of the paper.

        z goes in a straight line, under a normal prior along the arc that keeps its length typical.

        Raises:
            InputError: the method trained no generator, n is less than 1 or steps less than 2.
        """
        if not self.has_generator:
            raise InputError("this run trained an energy alone and has no generator to interpolate with")
        if n < 1 or steps < 2:
            raise InputError(f"at least 1 path of at least 2 steps must be asked for, got {n} of {steps}")
        prior = self.learned.generator.prior
        first, last = prior.sample(2 * n, random_generator(seed)).unflatten(0, (n, 2)).unbind(1)
        return self._paths(first, last, steps)

    @torch.no_grad()
    def interpolate_between(self, x: Array, steps: int) -> Float[Tensor, "n steps *S"]:
        """Paths of G(z) from the latent that is inferred of each point to that of the next.

        Raises:
            InputError: the method has no inference, there is one point alone, or x has another shape.
        """
        if len(x) < 2 or steps < 2:
            raise InputError(f"a path of at least 2 steps leads from point to point, got {len(x)} of {steps}")
        latent = self.reconstruct(x).latent
        return self._paths(latent[:-1], latent[1:], steps)

    def _paths(
        self, first: Float[Tensor, "n L"], last: Float[Tensor, "n L"], steps: int
    ) -> Float[Tensor, "n steps *S"]:
        latent = self.learned.generator.prior.interpolate(first, last, torch.linspace(0, 1, steps))
        with evaluating(self.learned.generator) as generator:
            u = _in_batches(generator, latent.flatten(0, 1).to(self.method.shift.device))
        return self._in_own_units(u).unflatten(0, (len(first), steps))

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
                latent = inference(generator, self._standardised(part)).latent
                parts.append(Reconstruction(generator(latent), latent, generator.as_points(latent)))
        made, latent, start = ([v for v in values if v is not None] for values in zip(*parts, strict=True))
        return Reconstruction(
            self._in_own_units(torch.cat(made)),
            torch.cat(latent).cpu(),
            self._in_own_units(torch.cat(start)) if start else None,
        )

    def _in_own_units(self, u: Float[Tensor, "B *S"]) -> Float[Tensor, "B *S"]:
        return (u * self.method.scale + self.method.shift).cpu()

    @torch.no_grad()
    def weighted_samples(
        self, n: int, seed: int = 0, n_batch: int = 448
    ) -> tuple[Float[Tensor, "N *S"], Float[Tensor, "N"]] | None:
        """Samples x with log weights w: log Z ≈ logsumexp(w − E(x)), and P_energy ≈ the x in proportion to
        exp(w − E(x)). None where the generator's density is not known.
        """
        generator = self.learned.generator
        if generator is None or self.learned.energy is None:
            return None
        with torch.random.fork_rng(), evaluating(generator), evaluating(self.learned.energy) as energy:
            torch.manual_seed(seed)
            found = weighted_samples(energy, generator, n, n_batch, self.method.shift.device)
        if found is None:
            return None
        log_scale = self.method.scale.log().sum()
        x = self._in_own_units(found.samples)
        return x, (found.log_weights + log_scale).cpu()

    def _checked(self, x: Array) -> Real[Tensor, "B *S"]:
        """The points as a tensor, if they have the shape of those trained on."""
        x = torch.as_tensor(x)
        if x.shape[1:] != self.method.shape:
            raise InputError(
                f"points of shape {tuple(x.shape[1:])} were given, the model knows shape "
                f"{self.method.shape}: give an array of shape (n, {', '.join(map(str, self.method.shape))})"
            )
        return x

    def _check_sampling(self, n: int, refine: int) -> None:
        if not self.has_generator:
            raise InputError(
                "this run trained an energy alone and has no generator to sample: "
                "score points with `make energy`, or train METHOD=aligned"
            )
        if n < 1:
            raise InputError(f"at least 1 sample must be asked for, got {n}")
        if refine < 0:
            raise InputError(f"refine is a number of steps, at least 0, got {refine}")
        if refine:
            self._needs("energy")

    def _fill(self, blocks: Iterable[Tensor], seed: int, refine: int) -> Iterator[Tensor]:
        """Put samples into each block, on the CPU, in the data's own units."""
        step_size = None  # of the refinement, found on the first block
        for number, block in enumerate(blocks):
            rng = random_generator(seed, *([number] if number else []))
            with torch.no_grad(), evaluating(self.learned.generator) as generator:
                latent = self._latents(len(block), rng)
                size = _batch_size(latent.device, max(self.dimension, latent.shape[1]))
                drawn = (generator.draw(z, rng).samples for z in latent.split(size))
                if refine:
                    u, step_size = self._refined(torch.cat(list(drawn)), refine, step_size, rng)
                    drawn = u.split(size)
                for part, u in zip(block.split(size), drawn, strict=True):  # while it is in the cache
                    if u.device == part.device:
                        torch.addcmul(self.method.shift, u, self.method.scale, out=part)
                    else:
                        part.copy_(torch.addcmul(self.method.shift, u, self.method.scale))
            yield block

    def _refined(
        self, u: Tensor, n_steps: int, step_size: float | None, rng: torch.Generator
    ) -> tuple[Tensor, float]:
        """Samples after steps of MALA, and their size, which is found if it is not given."""
        if self.data_noise:
            u = u + self.data_noise * normal_like(u, rng)
        with evaluating(self.learned.energy) as energy:
            if step_size is None:
                step_size = tune(MALA(), energy, u[:1000], rng)
            chains = Chains(MALA(), n_steps, step_size)
            u = _in_batches(lambda u: chains.run(energy, u, rng).state.x, u)
            if self.data_noise:  # E[x | x + σ ε] = x + σ ε − σ² ∇E
                u = _in_batches(lambda u: u - self.data_noise**2 * init(energy, u).gradient, u)
        return u, step_size

    def _latents(self, n: int, rng: torch.Generator) -> Float[Tensor, "n L"]:
        try:
            return self.learned.generator.prior.sample(n, rng).to(self.method.shift.device)
        except RuntimeError as error:
            raise _too_many(n) from error

    def _standardised(self, x: Real[Tensor, "B *S"]) -> Float[Tensor, "B *S"]:
        """What the networks see of points in the data's own units."""
        x = x.to(self.method.shift.device)
        is_bytes = x.dtype == torch.uint8 and self.kind == "images"
        x = x.float().div_(255) if is_bytes else x.float()
        # in place: one more large array takes as long as a layer
        return (x - self.method.shift).div_(self.method.scale)


def _too_many(n: int) -> InputError:
    return InputError(f"{n} samples do not fit in memory: draw fewer at a time, each with a seed")


def _in_batches(
    function: Callable[[Tensor], Tensor], x: Tensor, device: torch.device | None = None
) -> Tensor:
    """In batches that suit the device where it is computed, that of x if None."""
    size = _batch_size(device or x.device, x[:1].numel())
    return torch.cat([function(part) for part in x.split(size)]) if len(x) > size else function(x)


def _batch_size(device: torch.device, numbers: int) -> int:
    """Points of so many numbers that a processor's cache takes, four times as many on a GPU.

    A multiple of 16, by which torch's normal numbers come.
    """
    size = BATCH if device.type == "cpu" else 4 * BATCH
    return max(16, min(size, size * LARGE // max(1, numbers)) // 16 * 16)
