"""Some columns given others: samples of the others, and how likely they are. An energy of all gives it.

    p(v | g) = exp(−E(v, g)) / ∫ exp(−E(v', g)) dv'

By chains on the energy with g held, started from samples of all columns, see `samplers/conditional.py`.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.data.units import Units
from energy_gan.energies.base import stated
from energy_gan.errors import InputError
from energy_gan.evaluation import evaluating, in_batches
from energy_gan.numerics.weights import ess
from energy_gan.randomness import random_generator
from energy_gan.samplers.conditional import conditional, from_guess, log_normalizer, resampled
from energy_gan.sampling import Sampling

POOL = 4_096  # samples that conditional ones are taken from, at least,
GUESSES = 16_384  # or guesses
LEAST_SHARE = 0.02  # effective, of weighted samples that stand for the energy's law
SETTLE = 20  # steps of MALA, after which the generator's do


class Conditioning(Sampling):
    """Sampling and scoring of some columns given the others."""

    def sample(
        self, n: int | float, seed: int = 0, refine: int = 0, given: Mapping[str, Any] | None = None
    ) -> Float[Tensor, "n *S"]:
        """n independent samples of the generator, see `Sampling.sample`; or, given columns, of the energy.

        Args:
            given: what a cell of each named column holds: all samples have it, see `sample_given`.
        """
        if given is None:
            return super().sample(n, seed, refine)
        if refine:
            raise InputError(
                "refine is of the generator's samples, and given columns take chains anyway: leave it out"
            )
        return self.sample_given(n, given, seed)

    @torch.no_grad()
    def sample_given(
        self, n: int | float, given: Mapping[str, Any], seed: int = 0, n_steps: int = 100
    ) -> Float[Tensor, "n D"]:
        """n samples whose named columns are as given: chains on the energy, see `samplers/conditional.py`.

        Args:
            given: by name, what a cell of that column holds.
            n_steps: of MALA with these held, where the energy has no guess to choose from.

        Raises:
            InputError: there is no energy or no generator to start from, a column is unknown or all are
                given, or a value is none that the column can have.
        """
        n, _, seed = self._check_sampling(n, 0, seed)
        self._needs("energy")
        held, rng, device = self._places(given), random_generator(seed, 6), self.method.shift.device
        row, places, found = self._row(given), held.to(device), None
        guess = stated(self.learned.energy, "guess")

        def of_noise(size: int) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N"]]:
            seen = self._maps.random(row.expand(size, -1), rng)
            return seen.u.float()[:, held].to(device), -seen.log_volumes[:, held].sum(1).to(device)

        with evaluating(self.learned.energy) as energy:
            if guess is not None:
                u, log_w = of_noise(max(GUESSES, 2 * n))
                found = from_guess(energy, guess, places, u, n, SETTLE, log_w, rng)
            if found is None:
                u, log_w = of_noise(size := max(POOL, 2 * n))
                found = conditional(energy, self._of_energy(size, seed), places, u, n_steps, log_w, rng)
        chosen = torch.randperm(len(found.x), generator=rng)[:n]
        x = self._maps.own(found.x[chosen.to(device)].cpu())
        x[:, held] = row[:, held].expand(n, -1)  # not as rounding has them
        return x.to(self.units.dtype)

    @torch.no_grad()
    def log_prob_given(self, x: Any, given: Collection[str], seed: int = 0) -> Float[Tensor, "B"]:
        """log p of the other columns given the named ones, for each row: nats, with the normaliser.

        It is exact for one other column, and by annealed importance sampling for more.

        Raises:
            InputError: as in `sample_given`.
        """
        self._needs("energy")
        held, x, maps = self._places(given), self._checked(x), self._maps
        rng, joint, of_given = random_generator(seed, 6), [], []
        device, discrete = self.method.shift.device, any(maps.schema.columns[i].discrete for i in held)
        with evaluating(self.learned.energy) as energy:
            for seen in maps.views(x):
                u = seen.u.float().to(device)
                joint.append(-in_batches(energy, u).cpu() - seen.log_volume)
                if discrete or not of_given:  # else it does not change with the noise of the others
                    log_z = log_normalizer(energy, u, held.to(device), rng).cpu()
                    of_given.append(log_z - seen.log_volumes[:, held].sum(1))
        joint, of_given = torch.stack(joint), torch.stack(of_given)
        return joint.logsumexp(0) - of_given.logsumexp(0) - math.log(len(joint) / len(of_given))

    @property
    def _maps(self) -> Units:
        """Those of the columns."""
        if self.schema is None:
            raise InputError("columns are given of a table, and this run was trained on images")
        return Units(self.schema)

    def _places(self, given: Collection[str]) -> Int[Tensor, "K"]:
        names = self._maps.schema.names
        if unknown := [name for name in given if name not in names]:
            raise InputError(f"given: there is no column {unknown[0]!r}, but {', '.join(names)}")
        if not 0 < len(given) < len(names):
            raise InputError(
                f"given: {len(given)} of {len(names)} columns are given, and there must be one that is and "
                "one that is not"
            )
        return torch.tensor([names.index(name) for name in given])

    def _row(self, given: Mapping[str, Any]) -> Float[Tensor, "1 D"]:
        """A row with these cells, the others in their middle."""
        maps = self._maps
        x = maps.own(torch.zeros(1, len(maps.schema.columns)))
        for i, column in enumerate(maps.schema.columns):
            if column.name in given:
                x[0, i] = column.number(given[column.name], "given")
        return x

    def _of_energy(self, n: int, seed: int) -> Float[Tensor, "n D"]:
        """n samples that stand for the energy's law, as the networks see them."""
        rng, energy = random_generator(seed, 7), self.learned.energy
        weighted = self.weighted_samples(4 * n, seed)
        if weighted is not None:
            u, log_w = weighted
            log_w = log_w - in_batches(energy, u.to(self.method.shift.device)).cpu()
            if ess(log_w.double()) > LEAST_SHARE * len(log_w):
                kept = resampled(log_w, rng)[torch.randperm(len(log_w), generator=rng)[:n]]
                return u[kept].to(self.method.shift.device)
        with evaluating(self.learned.generator) as generator:
            u = in_batches(lambda z: generator.draw(z, rng).samples, self._latents(n, rng))
        return self._refined(u, SETTLE, None, rng)[0]
