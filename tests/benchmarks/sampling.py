"""Sampling and scoring through `Model`, beside the networks alone under inference mode.

Both sides draw their latents and return one array; `Model` also translates into the data's own units.
"""

import torch
from pairs import DEVICE, PAIRS, config_of, method_of
from timing import Row, interleave, median, ratio, spread

from energy_gan.model import Model

N = {"2D": 50_000, "MNIST": 10_000, "64×64": 64}
TURNS = {"2D": 8, "MNIST": 4, "64×64": 2}  # for each of the rounds: short works, whose times vary
CHUNK = {"2D": 1024, "MNIST": 1024, "64×64": 32}  # of the bare forward: what a core's cache likes
MOST = 1.05


def rows(rounds: int) -> list[Row]:
    return [row for name in PAIRS for row in _of_pair(name, rounds)]


def _of_pair(name: str, rounds: int) -> list[Row]:
    config, n, chunk = config_of(name), N[name], CHUNK[name]
    method = method_of(config)
    model = Model(method.eval())
    x = model.sample(n)

    @torch.inference_mode()
    def draw() -> None:
        latent = method.generator.prior.sample(n, device=DEVICE)
        torch.cat([method.generator(part) for part in latent.split(chunk)]).cpu()

    @torch.inference_mode()
    def score() -> None:
        torch.cat([method.energy(part.to(DEVICE)) for part in x.split(chunk)]).cpu()

    variants = {"bare draw": draw, "sample": lambda: model.sample(n)}
    variants |= {"bare score": score, "energy": lambda: model.energy(x)}
    times = interleave(variants, TURNS[name] * rounds)

    def row(what: str, ours: str, bare: str) -> Row:
        note = f"{n / median(times, ours):,.0f} and {n / median(times, bare):,.0f} a second; {n:,} of them"
        share = ratio(times, ours, bare)
        return Row(f"{name}: {what} / bare forward", share, "at most", MOST,
                   f"{note}; {spread(times, ours, bare)}")  # fmt: skip

    return [row("sampling", "sample", "bare draw"), row("scoring", "energy", "bare score")]
