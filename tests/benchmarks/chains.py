"""The chains: a step through kernel and loop, and a training step of them, beside the same by hand."""

import math

import torch
from timing import Row, interleave, ratio, spread

from energy_gan.energies.experts import IsotropicQuadratic, ProductOfExperts
from energy_gan.energies.mixture import MixtureBase
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.methods.maximum_likelihood import MaximumLikelihood
from energy_gan.negatives.chains import ChainNegatives
from energy_gan.negatives.memory import PersistentChains
from energy_gan.negatives.starts import FromNoise
from energy_gan.optim.learns import Learns
from energy_gan.samplers.annealed_importance import anneal
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.langevin import Langevin
from energy_gan.samplers.mala import MALA
from energy_gan.shapes import Batch

STEP_SIZE = 1e-3
SIZES = {  # shape of a point, chains, widths, steps in a round
    "2D": ([2], 512, [128, 128], 100),
    "8×8": ([1, 8, 8], 256, [256, 256], 50),
    "28×28": ([1, 28, 28], 64, [512, 512], 50),
}
MOST = {"Langevin": 1.05, "MALA": 1.2}
MOVES = 20  # of the chains in a training step


def rows(rounds: int) -> list[Row]:
    of_sizes = [row for name in SIZES for row in (*_of_chains(name, rounds), _of_training(name, rounds))]
    return [*of_sizes, _of_annealing(rounds)]


def _energy(name: str) -> tuple[ProductOfExperts, torch.Tensor, int]:
    shape, chains, hidden, steps = SIZES[name]
    features = MLPFeatures(shape, hidden, "silu")
    energy = ProductOfExperts(shape, features, 4, quadratic=IsotropicQuadratic())
    return energy, torch.randn(chains, *shape), steps


def _by_hand(energy, x: torch.Tensor, n_steps: int) -> torch.Tensor:
    for _ in range(n_steps):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(energy(x).sum(), x)
        x = x.detach() - STEP_SIZE * gradient + math.sqrt(2 * STEP_SIZE) * torch.randn_like(x)
    return x


def _of_chains(name: str, rounds: int) -> list[Row]:
    energy, x, steps = _energy(name)
    variants = {
        "by hand": lambda: _by_hand(energy, x, steps),
        "Langevin": lambda: Chains(Langevin(), steps, STEP_SIZE).run(energy, x),
        "MALA": lambda: Chains(MALA(), steps, STEP_SIZE).run(energy, x),
    }
    times = interleave(variants, rounds)
    return [
        Row(
            f"{name}: a step of {kernel} / of Langevin by hand",
            ratio(times, kernel, "by hand"),
            "at most",
            most,
            f"{len(x)} chains, {steps} steps; {spread(times, kernel, 'by hand')}",
        )
        for kernel, most in MOST.items()
    ]


def _of_training(name: str, rounds: int) -> Row:
    """K moves, the state that they start from, and the energy's own step, which sees data and negatives."""
    energy, x, _ = _energy(name)
    memory = PersistentChains(x.shape[1:], 4 * len(x), len(x))
    negatives = ChainNegatives(FromNoise(), memory, MOVES, STEP_SIZE, kernel=Langevin())
    learns = Learns(lambda weights: torch.optim.Adam(weights, 1e-4, fused=True))
    method = MaximumLikelihood(list(x.shape[1:]), energy, learns, negatives)
    evaluations = {
        "step": lambda: method.training_step(Batch(x), 0),
        "gradients": lambda: _by_hand(energy, x, MOVES + 3),
    }
    times = interleave(
        {k: (lambda work=work: [work() for _ in range(3)]) for k, work in evaluations.items()}, rounds
    )
    return Row(
        f"{name}: a training step of {MOVES} moves / {MOVES + 3} steps of Langevin by hand",
        ratio(times, "step", "gradients"),
        "stated",
        note=spread(times, "step", "gradients"),
    )


def _of_annealing(rounds: int) -> Row:
    """Of an energy that says what it adds to its base, and of the same that does not."""
    shape = [1, 28, 28]
    energy = ProductOfExperts(shape, MLPFeatures(shape, [512]), 64, quadratic=MixtureBase(shape, 50, 60))
    energy.requires_grad_(False)
    x = torch.randn(64, *shape)
    laws = {"told": energy, "asked": energy.forward}
    times = interleave(
        {name: lambda law=law: anneal(law, x, 5, base=energy.base) for name, law in laws.items()}, rounds
    )
    return Row(
        "28×28: annealing of an energy that knows its base / that is asked beside it",
        ratio(times, "told", "asked"),
        "at most",
        0.75,
        f"{len(x)} chains, 5 temperatures, 50 components of rank 60; {spread(times, 'told', 'asked')}",
    )
