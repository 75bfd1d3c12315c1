"""What a run without an energy of points reports, and the section on the law of its latents."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from energy_gan.cli.detect import write
from energy_gan.detection import score, threshold
from energy_gan.generators.energy_prior import EnergyPrior
from energy_gan.metrics.anomaly import scores_of
from energy_gan.model import Model
from energy_gan.reports import latents
from energy_gan.reports.chains import acceptance
from energy_gan.reports.chosen import facts, measured
from energy_gan.reports.latents import LatentLaw
from energy_gan.reports.section import Settings
from energy_gan.run.build import build
from energy_gan.run.compose import compose
from energy_gan.samplers.chains import Chains
from energy_gan.samplers.langevin import Langevin
from energy_gan.shapes import Batch

SETTINGS = Settings(n_samples=1_000, n_samples_during=1_000, features="features", seed=0)


@pytest.fixture(scope="module")
def lebm():
    """One step of LEBM on a small mixture, and the data."""
    torch.manual_seed(0)
    config = compose(["data=eight_gaussians", "method=lebm", "data.n_points=400", "data.n_held_out=300"])
    method, data = build(config["method"], "method"), build(config["data"], "data")
    method.save_hyperparameters(config)
    data.setup()
    method.training_step(Batch(data.some()[:64]), 0)
    return Model(method.eval()), data


class Slope(nn.Module):
    """U(z) = −b·z: the prior is N(b, I), log Z = ½ |b|²."""

    b = torch.tensor([1.0, -0.5])

    def forward(self, latent):
        return -latent @ self.b


def test_the_law_of_latents_is_measured_and_drawn(lebm, monkeypatch):
    """Of a prior N(b, I) log Z is ½ |b|², and chains too short to get there fall when they go on."""
    model, data = Model(deepcopy(lebm[0].method)), lebm[1]
    monkeypatch.setattr(latents, "WEIGHED", 20_000)
    monkeypatch.setattr(latents, "CELLS", 40)
    monkeypatch.setattr(latents, "TEMPERATURES", 60)
    model.learned.generator.prior = EnergyPrior(Slope(), 2, Chains(Langevin(), 5, 0.02))
    section = LatentLaw(SETTINGS)
    section.prepare(data)
    numbers = section.measure(model, None, True, {})
    assert numbers["prior_log_normalizer"] == pytest.approx(0.5 * 1.25, abs=0.05)
    a = (1 - 0.02) ** 5  # the mean of V is that of ½ |z − b|²: of a start at 0 and of 10 times the steps
    fall = 0.5 * 1.25 * (a**2 - a**20)
    assert numbers["prior_energy_fall"] == pytest.approx(fall, abs=0.15)
    assert 0 < numbers["prior_importance_ess"] < 1
    for end in ("low", "high"):
        assert numbers[f"prior_log_normalizer_{end}"] == pytest.approx(0.5 * 1.25, abs=0.1)
    z = section._latents(model)["inferred of held-out data"]  # of which −log N(b, I) is known
    exact = float((0.5 * (z - Slope.b).square().sum(1)).mean()) + math.log(2 * math.pi)
    assert numbers["prior_cross_entropy"] == pytest.approx(exact, abs=0.1)
    spread = torch.distributions.MultivariateNormal(z.mean(0), z.T.cov())
    assert numbers["mixture_cross_entropy"] < float(-spread.log_prob(z).mean()) + 0.2
    assert set(section.figures(model, {})) == {"latent_energies", "latent_map"}
    assert section.measure(model, None, False, {}) == {}


def test_the_facts_of_a_run_choose_its_numbers(lebm):
    model, data = lebm
    has = facts(model, data)
    assert has >= {"tilted", "inference", "ranking", "generator"}
    assert "energy" not in has
    names = {number.name for number in measured(has)}
    assert names >= {"prior_log_normalizer", "sliced_w2"}
    assert not any("energy" in number.needs.split() for number in measured(has))


def test_trackers_hear_of_both_kinds_of_chains(lebm):
    names = set(acceptance(lebm[0], 16, 0))
    assert names >= {"train/prior_chains_acceptance", "train/posterior_chains_step_size"}
    assert not any(name.startswith("val/") for name in names), "there is no energy for MALA"


def test_doors_rank_by_the_inferred_latent(lebm, tmp_path):
    model, data = lebm
    rows = np.concatenate([data.held_out[:5].numpy(), np.full((1, 2), 50.0, np.float32)])
    scored = score(model, rows, model.ranking)
    assert scored.ranks.argmax() == 5
    assert scored.ranks[5] > threshold(model, data, scored, 0.05)
    write(tmp_path / "scores.csv", scored, model.ranked_by, scored.ranks > 0)
    assert (tmp_path / "scores.csv").read_text().startswith("row,ranking,anomalous")
    scores = scores_of(tmp_path, model, torch.from_numpy(rows))
    assert list(scores) == ["−log p(x, z)", "−log p(x | z)", "−log p(z)", "U(z)"]
    np.testing.assert_allclose(
        scores["−log p(x, z)"], scores["−log p(x | z)"] + scores["−log p(z)"], rtol=1e-4
    )
