"""A mixture tilted with a normaliser for each component, where these are known."""

import math

import pytest
import torch

from energy_gan.energies.balanced import BalancedMixture
from energy_gan.energies.noise_levels import NoiseLevels
from energy_gan.energies.noised_mixture import NoisedMixture
from energy_gan.samplers.annealed_importance import anneal, settled

NOISE, STRENGTH, DIM = 0.2, 0.4, 3
OWN, OTHERS = (1.0, 1.0), (0.3, 0.04)  # variances of the two components, of q and of the ladder's law


def mixture(variances):
    found = NoisedMixture([DIM], 2, 1).double()
    found.means.copy_(torch.tensor([[-9.0], [9.0]]).expand(2, DIM))
    found.variances.copy_(torch.tensor(variances))
    return found


class Nothing(torch.nn.Module):
    at_most_linear = True

    def forward(self, y, log_sigma):
        return 0 * y.sum(1)


def energy(**settings):
    torch.manual_seed(0)
    density = BalancedMixture(mixture(OWN), STRENGTH, **settings).double()
    return NoiseLevels(mixture(OTHERS), Nothing(), NOISE, NOISE, 3.0, density).double()


def known():
    """log ∫ N(y; 0, s)^(1 − a) N(y; 0, v)^a dy."""
    a = STRENGTH
    s, v = (torch.tensor(part).double() + NOISE**2 for part in (OWN, OTHERS))
    return -DIM / 2 * ((1 - a) * s.log() + a * v.log() + ((1 - a) / s + a / v).log())


def test_each_component_finds_its_normaliser():
    law = energy(chains=100, temperatures=100)
    law.balance()
    torch.testing.assert_close(law.density.log_normalizers, known(), rtol=0, atol=0.08)
    assert float(known().diff()) < -0.5  # they are not one


def test_annealing_brackets_the_density_and_its_components_keep_their_shares():
    law = energy()
    law.density.log_normalizers.copy_(known())
    rng = torch.Generator().manual_seed(0)
    forward = anneal(law, torch.zeros(400, DIM).double(), 60, base=law.base, rng=rng)
    reverse = anneal(law, forward.x, 60, reverse=True, base=law.base, rng=rng)
    assert forward.log_normalizer == pytest.approx(0, abs=0.1)
    assert reverse.log_normalizer == pytest.approx(0, abs=0.1)
    share = float(forward.log_weights.softmax(0)[forward.x[:, 0] > 0].sum())
    assert share == pytest.approx(0.5, abs=0.08)


def test_chains_settle_to_the_tilted_law():
    """From both centres; each component's variance is then that of N(0, s)^(1 − a) N(0, v)^a."""
    law = energy()
    law.density.log_normalizers.copy_(known())
    begin = torch.tensor([-9.0, 9.0]).double().repeat(2_000)[:, None].expand(-1, DIM)
    x = settled(law, begin, law.base, 30, torch.Generator().manual_seed(0))
    s, v = (torch.tensor(part).double() + NOISE**2 for part in (OWN, OTHERS))
    exact = 1 / ((1 - STRENGTH) / s + STRENGTH / v)
    found = torch.stack([(x[i::2] - begin[i::2]).var() for i in range(2)])
    torch.testing.assert_close(found, exact, rtol=0.06, atol=0)


def test_a_weak_density_is_the_mixture_and_its_gradient_is_that_of_finite_differences():
    law, y, way = energy(), torch.randn(5, DIM).double() + 3, torch.randn(5, DIM).double()
    law.density.log_normalizers.copy_(torch.tensor([-1.0, 2.0]))
    along = (law(y + 1e-5 * way) - law(y - 1e-5 * way)) / 2e-5
    torch.testing.assert_close(-(law.score(y) * way).sum(1), along.detach(), rtol=1e-6, atol=1e-6)
    law.density.log_normalizers.zero_()
    geometric = (1 - STRENGTH) * law.base(y) + STRENGTH * law.least(y)
    torch.testing.assert_close(law(y), geometric)
    law.density.strength = 1e-12
    torch.testing.assert_close(law(y), law.base(y))


@pytest.mark.parametrize("strength", [0.0, 1.0, math.nan])
def test_a_strength_that_is_no_share_is_refused(strength):
    with pytest.raises(ValueError, match="strength must be above 0 and below 1"):
        BalancedMixture(mixture(OWN), strength)
    with pytest.raises(ValueError, match="chains and temperatures must be at least 1"):
        BalancedMixture(mixture(OWN), 0.5, chains=0)
