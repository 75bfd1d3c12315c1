"""The prior's energy alone, on five modes of two latents: the default mode, and the papers' settings.

`pytest -m slow -s tests/methods/test_five_modes.py` prints the numbers of docs/latents.md.
"""

import math

import pytest
import torch

from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.shapes import Batch

RADIUS, STD = 1.5, 0.2
ANGLES = torch.arange(5) * 2 * math.pi / 5
MEANS = RADIUS * torch.stack([ANGLES.cos(), ANGLES.sin()], 1)


def log_prob(z):
    nearest = -0.5 * ((z[:, None] - MEANS) / STD).square().sum(2)
    return nearest.logsumexp(1) - math.log(5 * 2 * math.pi * STD**2)


def modes(n):
    return MEANS[torch.randint(5, (n,))] + STD * torch.randn(n, 2)


def divergence(prior):
    """KL(modes ‖ prior) and log Z, by a grid."""
    line = torch.linspace(-4, 4, 321)
    grid, cell = torch.cartesian_prod(line, line), float(line[1] - line[0]) ** 2
    with torch.no_grad():
        log_p, known = prior.log_prob(grid), log_prob(grid)
    log_z = float(log_p.logsumexp(0)) + math.log(cell)
    return float((known.exp() * (known - log_p)).sum()) * cell + log_z, log_z


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rate", "steps", "most"),
    [("lebm", 1e-3, 2_500, 0.05), ("lebm_short_run", 2e-5, 400, None), ("lebm_short_run", 1e-3, 400, None)],
)
def test_five_modes(name, rate, steps, most):
    torch.manual_seed(0)
    given = ["data=eight_gaussians", f"method={name}", f"method.prior_learns.optimizer.lr={rate}"]
    method = build(compose([*given, "data.batch_size=256"])["method"], "method").train()
    player = method.players[0]
    for step in range(steps):
        player.at(step / steps)
        method.descend(player, player.terms(Batch(torch.zeros(256, 2)), modes(256)))
    kl, log_z = divergence(method.generator.prior)
    ends = method.generator.prior.sample(5_000)
    inside = float((log_prob(ends) > log_prob(modes(20_000)).quantile(0.01)).double().mean())
    print(f"{name} at {rate:g}, {steps} steps: KL {kl:.3f}, log Z {log_z:.2f}, in 99 % region {inside:.2f}")
    assert not math.isnan(kl)
    assert most is None or (kl <= most and inside > 0.9)
