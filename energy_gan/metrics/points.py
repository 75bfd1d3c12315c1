"""The table of numbers for points: how far P_data, P_energy and P_generator agree.

Every row, a trained model or a yardstick, is a pair of an energy and a sampler and goes through
the same function, so that rows can be compared. What needs an integral is for the plane only.
"""

from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from energy_gan.metrics.alignment import SampleDivergence, kl_divergence, total_variation
from energy_gan.metrics.distances import SlicedWasserstein
from energy_gan.metrics.modes import HighDensityShare, ModeShares
from energy_gan.metrics.yardsticks import GaussianEstimate, KernelEstimate, MixtureEstimate
from energy_gan.numerics.quadrature import Grid, evaluate
from energy_gan.randomness import random_generator

Energy = Callable[[Tensor], Tensor]  # (B, D) points to B energies
Sampler = Callable[[int], Tensor]  # n to n points, (n, D)
Numbers = dict[str, float]


class PointEvaluation:
    """Numbers that compare an energy and a generator with data, and with each other.

    Given an energy:
        log_normalizer            log Z                                        plane
        border_mass               mass of P_energy outside the data's box      plane
        kl_data_energy            KL(P_data ‖ P_energy)                        plane, density
        tv_data_energy            TV(P_data, P_energy)                         plane, density
        held_out_log_likelihood   mean log p_energy of the held-out points     plane, or log Z is given
    Given a sampler:
        kl_generator_energy       KL(P_generator ‖ P_energy)                   plane, energy
        tv_generator_energy       TV(P_generator, P_energy)                    plane, energy
        tv_data_generator         TV(P_data, P_generator)                      plane, density
        hdr99                     share in the 99 % highest-density region     density
        smallest_mode             least share of a mode over its true share    density
        modes_covered             modes with at least half their share         density
        sliced_w2                 to fresh draws of the density; without one, to the held-out points
        energy_gap                mean energy of samples − of held-out points  energy
    Given the sampler's density:
        kl_data_generator         KL(P_data ‖ P_generator)                     plane, density
        kl_generator_energy       as the mean of log q − log p of the samples  log Z, energy
    Given refined samples too (of the generator, after steps of MALA on the energy), the numbers of a
    sampler again, as refined_….

    A number whose energies are not finite is itself inf or nan; that is no error.

    Args:
        points, held_out: what was trained on, and what was not.
        density: the points' law (`energy_gan.data.density.Density`), where it is known.
        n_samples: drawn for a row.
        seed: of the fresh draws and of the yardsticks' samples.
        n_evaluated: the samples at which a density or an energy is evaluated, the first so many, for
            hdr99 and energy_gap: means that they tell to about a percent.
        log_volume: log |dx/du| of the held-out points, where the points u are others than those x whose
            likelihood is to be told.
    """

    def __init__(
        self,
        points: Float[Tensor, "N D"],
        held_out: Float[Tensor, "M D"],
        density=None,
        n_samples: int = 200_000,
        seed: int = 0,
        n_evaluated: int = 20_000,
        log_volume: float = 0.0,
    ):
        self.points, self.held_out, self.density, self.log_volume = points, held_out, density, log_volume
        self.n_samples, self.seed, self.n_evaluated = n_samples, seed, n_evaluated
        self.in_plane = points.shape[1] == 2

    def __call__(
        self,
        energy: Energy | None,
        sample: Sampler | None,
        n_samples: int | None = None,
        log_normalizer: float | None = None,
        refined: Sampler | None = None,
        log_density: Energy | None = None,
    ) -> Numbers:
        """The row of a model, which may lack a generator or an energy.

        Args:
            refined: the sampler whose samples are refined on the energy.
            n_samples: instead of the evaluation's own, for a quick look.
            log_normalizer: log Z where it is known; in the plane it is measured all the same.
            log_density: of the sampler, where it is known.
        """
        numbers, log_masses = {}, None
        if energy is not None:
            held_out_energy = _mean(energy, self.held_out)
            if self.in_plane:
                log_weights = self.grid.log_weights(lambda x: -energy(x))
                log_normalizer = float(log_weights.logsumexp(dim=0))
                log_masses = log_weights - log_normalizer
                numbers |= {"log_normalizer": log_normalizer} | self._of_energy(log_masses)
            if log_normalizer is not None:
                numbers["held_out_log_likelihood"] = -held_out_energy - log_normalizer - self.log_volume
        if log_density is not None and self.in_plane and self.density is not None:
            of_samples = self.grid.log_masses(log_density)
            numbers["kl_data_generator"] = float(kl_divergence(self._data_log_masses, of_samples))
        for prefix, sampler in (("", sample), ("refined_", refined)):
            if sampler is None:
                continue
            with torch.no_grad():
                samples = sampler(n_samples or self.n_samples).to(self.points)
            of_samples = self._of_samples(samples, log_masses)
            if energy is not None:
                some = samples[: self.n_evaluated]
                generated_energy = _mean(energy, some)
                of_samples["energy_gap"] = generated_energy - held_out_energy
                if log_density is not None and not prefix and log_normalizer is not None:
                    kl = _mean(log_density, some) + generated_energy + log_normalizer
                    of_samples["kl_generator_energy"] = kl  # of no cells
            numbers |= {prefix + name: value for name, value in of_samples.items()}
        return numbers

    def yardsticks(self) -> dict[str, Numbers]:
        """The rows of what needs no training: the data, a Gaussian and a kernel estimate, and a mixture of
        Gaussians where no density is known.

        The data's row is the floor of every number that rests on samples: fresh draws of the
        density or, without one, the training points.
        """
        return self._yardsticks

    def log_normalizer(self, energy: Energy) -> float:
        """log Z of an energy of the plane."""
        return float(self.grid.log_normalizer(energy))

    @cached_property
    def grid(self) -> Grid:
        """The cells on which laws of the plane are compared."""
        if self.density is None:
            return Grid.around(self.points)
        low, high = self.density.low.to(self.points), self.density.high.to(self.points)
        return Grid.covering(low, high, self.density.smallest_std)

    @cached_property
    def _yardsticks(self) -> dict[str, Numbers]:
        if self.density is None:
            mixture = MixtureEstimate(self.points)
            name = f"mixture of {mixture.components}"
            rows = {
                "training data": self(None, lambda n: self.points[:n]),
                name: self._row(mixture, stream=4),
            }
        else:
            rows = {"fresh data": self._row(self.density, stream=1)}
        return rows | {
            "gaussian": self._row(GaussianEstimate(self.points), stream=2),
            "kde": self._row(KernelEstimate(self.points), stream=3),
        }

    def _row(self, law, stream: int) -> Numbers:
        return self(
            lambda x: -law.log_prob(x), lambda n: law.sample(n, self._rng(stream)), log_normalizer=0.0
        )

    def _rng(self, stream: int) -> torch.Generator:
        return random_generator(self.seed, 0, stream)  # three numbers: the data were drawn with two

    def _of_energy(self, log_masses: Float[Tensor, "N"]) -> Numbers:
        numbers = {"border_mass": float(log_masses[~self.grid.inner].exp().sum())}
        if self.density is not None:
            numbers["kl_data_energy"] = float(kl_divergence(self._data_log_masses, log_masses))
            numbers["tv_data_energy"] = float(total_variation(self._data_log_masses, log_masses))
        return numbers

    def _of_samples(self, samples: Float[Tensor, "n D"], log_masses: Float[Tensor, "N"] | None) -> Numbers:
        numbers = {}
        if log_masses is not None:
            divergence = _measure(SampleDivergence(self.grid, log_masses), samples)
            numbers["kl_generator_energy"] = float(divergence["kl"])
            numbers["tv_generator_energy"] = float(divergence["tv"])
        if self.density is not None and self.in_plane:
            divergence = _measure(SampleDivergence(self.grid, self._data_log_masses), samples)
            numbers["tv_data_generator"] = float(divergence["tv"])
        if self.density is not None:
            numbers["hdr99"] = float(_measure(self._high_density_share, samples[: self.n_evaluated]))
            of_modes = _measure(self._mode_shares, samples)
            numbers |= {name: float(value) for name, value in of_modes.items()}
        numbers["sliced_w2"] = float(_measure(self._sliced_wasserstein, samples))
        return numbers

    @cached_property
    def _fresh(self) -> Float[Tensor, "n D"]:
        return self.density.sample(self.n_samples, self._rng(stream=0)).to(self.points)

    @cached_property
    def _data_log_masses(self) -> Float[Tensor, "N"]:
        return self.grid.log_masses(self.density.log_prob)

    @cached_property
    def _high_density_share(self) -> HighDensityShare:
        return HighDensityShare(self.density.log_prob, self._fresh[: self.n_evaluated])

    @cached_property
    def _mode_shares(self) -> ModeShares:
        return ModeShares(self.density.modes, self.density.mode_shares.to(self.points))

    @cached_property
    def _sliced_wasserstein(self) -> SlicedWasserstein:
        return SlicedWasserstein(self.held_out if self.density is None else self._fresh)


def _mean(energy: Energy, x: Float[Tensor, "N D"]) -> float:
    return float(evaluate(energy, x).mean())


def _measure(metric: Metric, samples: Float[Tensor, "n D"]) -> Tensor | dict[str, Tensor]:
    """The metric of these samples alone."""
    metric.distributed_available_fn = lambda: False  # they are all here, whatever other processes do
    metric.reset()
    metric.update(samples)
    value = metric.compute()
    metric.reset()
    return value
