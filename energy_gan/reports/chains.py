"""Where chains go that follow an energy: those of a density stay where the data are.

drift       by how many of their standard deviations 20 moves of MALA lower the energies of held-out images
drift_200   the same of 200 moves, where the energy is meant to be a density
…_nats      the same in nats: a wide spread of energies hides a fall
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.energies.base import stated
from energy_gan.model import Model, evaluating
from energy_gan.randomness import filled, random_generator
from energy_gan.reports import drawing
from energy_gan.reports.numbers import CHAINS
from energy_gan.reports.section import Section
from energy_gan.samplers.annealed_importance import Fall, drift
from energy_gan.samplers.base import normal_like
from energy_gan.samplers.chains import Chains, tune
from energy_gan.samplers.mala import MALA

DRIFTING = 500  # held-out images that MALA moves
N_CHAINS, MOVES = 32, 200  # whose energies are drawn where the energy is meant to be a density
TRIED = 5  # moves of MALA that tell its acceptance rate


class Drift(Section):
    """Of images: chains from those held out, and of a density also from samples, which meet."""

    needs = "images energy"
    numbers = CHAINS

    def prepare(self, data: DataModule) -> None:
        self.data = data
        self.along: dict[str, Float[Tensor, "N T"]] = {}  # energies of chains

    def measure(
        self, model: Model, samples: Tensor | None, full: bool, found: Mapping[str, float]
    ) -> dict[str, float]:
        numbers = {}
        if stated(model.learned.energy, "base") is not None:
            fall = self._walk(model)
            numbers |= {"drift_200": fall.deviations, "drift_200_nats": fall.nats}
        if full:
            fall = self._drift(model)
            numbers |= {"drift": fall.deviations, "drift_nats": fall.nats}
        return numbers

    def _walk(self, model: Model) -> Fall:
        rng = torch.Generator().manual_seed(self.seed)
        starts = {"held-out images": self.data.held_out[:DRIFTING]}
        if model.has_generator:
            starts["samples"] = model.sample(N_CHAINS, self.seed)
        starts = {name: as_trained(x, self.data, model, rng) for name, x in starts.items()}
        with evaluating(model.learned.energy) as energy:
            for name, u in starts.items():
                chains = Chains(MALA(), MOVES, tune(MALA(), energy, u[:N_CHAINS], rng))
                self.along[name] = chains.run(energy, u[:N_CHAINS], rng, along=True).energies.cpu()
            with torch.no_grad():
                self.level = energy(starts["held-out images"]).cpu()
        of_data = self.along["held-out images"]
        return Fall.between(of_data[:, 0], of_data[:, -1])

    def _drift(self, model: Model) -> Fall:
        rng = torch.Generator(model.method.shift.device).manual_seed(self.seed)
        u = as_trained(self.data.pixels(self.data.held_out[:DRIFTING]), self.data, model, rng)
        with evaluating(model.learned.energy) as energy:
            return drift(energy, u, rng)

    def figures(self, model: Model, sets: Mapping[str, Tensor]) -> dict[str, Figure]:
        if not self.along:
            return {}
        along = {name: energies.numpy() for name, energies in self.along.items()}
        return {"drift": drawing.drift(along, float(self.level.mean()), float(self.level.std()))}

    def verdict(self, numbers: Mapping[str, float]) -> str:
        fall = Fall(numbers["drift_nats"], numbers["drift"])
        if abs(fall.deviations) < 1:
            return f"no sign of a mere critic: 20 moves of MALA change held-out images' energy {fall}"
        return (
            "the energy is a critic, no density: 20 moves of MALA "
            f"{'lower' if fall.nats > 0 else 'raise'} the energy of held-out images {fall}"
        )


def as_trained(x: Tensor, data: DataModule, model: Model, rng: torch.Generator) -> Float[Tensor, "N *S"]:
    """Points as the energy has seen them in training: standardised, with the noise that they got there."""
    u = data.standardise(x).to(model.method.shift.device)
    if (shades := model.learned.shades) is not None:
        return filled(u, shades, torch.rand(u.shape, generator=rng, device=u.device))
    return u + model.data_noise * normal_like(u, rng) if model.data_noise else u


def acceptance(model: Model, n: int, seed: int) -> dict[str, float]:
    """Acceptance rates and step sizes, for the trackers: of training's own chains, and of MALA on n samples.

    Nothing is moved: the chains' next move is tried on n of them. MALA's step size is tuned for 0.7 on the
    samples; what it comes to tells how rough the energy is there.
    """
    numbers, method, rng = {}, model.method, random_generator(seed)
    with evaluating(method):
        signs = method.vital_signs(n, rng)
    told = {name.replace(" ", "_"): value for name, value in signs.items() if "chains_" in name}
    numbers |= {f"train/{name}": value for name, value in told.items()}
    if model.offers >= {"energy", "generator"}:
        with evaluating(method.learned.energy) as energy:
            samples = model.sample(n, seed)
            u = model.units.networks(samples)
            step_size = tune(MALA(), energy, u, rng)
            rate = float(Chains(MALA(), TRIED, step_size).run(energy, u, rng).acceptance.mean())
            numbers |= {"val/refine_acceptance": rate, "val/refine_step_size": step_size}
    return numbers
