"""Laws of the energies: free energies against brute force, signs, scores, integrability."""

import itertools
import math

import pytest
import torch

from energy_gan.energies.conv import ConvFeatures
from energy_gan.energies.experts import (
    DiagonalQuadratic,
    GaussianRBMExperts,
    IsotropicQuadratic,
    LogisticExperts,
    ProductOfExperts,
    SoftplusExperts,
    StudentTExperts,
)
from energy_gan.energies.mlp import Identity, MLPFeatures

HEADS = [SoftplusExperts, LogisticExperts, StudentTExperts, GaussianRBMExperts]


@pytest.fixture
def f():
    return torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def hidden_states(experts):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=experts)), dtype=torch.float64)


def test_rbm_free_energy_sums_over_all_hidden_states(f):
    """F(v) = −log Σ_h exp(−E(v, h)), E(v, h) = v·v/σ² − b·v − h·(Wv + c), over all 2⁴ states h."""
    head = GaussianRBMExperts(5, 4).double()
    torch.nn.init.normal_(head.visible)
    joint = (
        f.square().sum(1, keepdim=True) / head.log_variance.exp()
        - (f @ head.visible)[:, None]
        - (f @ head.weight.T + head.bias) @ hidden_states(4).T
    )
    torch.testing.assert_close(head(f), -torch.logsumexp(-joint, 1), rtol=1e-12, atol=1e-12)


def test_softplus_experts_sum_out_binary_units(f):
    head = SoftplusExperts(5, 6).double()
    brute = -torch.logsumexp((f @ head.weight.T + head.bias) @ hidden_states(6).T, 1)
    torch.testing.assert_close(head(f), brute, rtol=1e-12, atol=1e-12)


def test_logistic_experts_are_products_of_sigmoids(f):
    head = LogisticExperts(5, 3).double()
    product = torch.sigmoid(f @ head.weight.T + head.bias).prod(1)
    torch.testing.assert_close((-head(f)).exp(), product, rtol=1e-12, atol=1e-12)


def test_student_t_experts_by_hand():
    head = StudentTExperts(2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        head.log_alpha.copy_(torch.tensor([math.log(2.0), 0.0]))
    energy = head(torch.tensor([[1.0, 1.0]]))  # 2·log(1 + 3²) + 1·log(1 + 1²)
    assert energy.item() == pytest.approx(2 * math.log(10) + math.log(2), rel=1e-6)


def test_equation_11_term_by_term():
    features = MLPFeatures([2], hidden=[8, 6])
    energy = ProductOfExperts([2], features, experts=4, quadratic=IsotropicQuadratic(sigma_squared=3.0))
    torch.nn.init.normal_(energy.linear)
    x = torch.randn(9, 2)
    w, b = energy.experts.weight, energy.experts.bias
    expected = (
        (x * x).sum(1) / 3.0 - x @ energy.linear - torch.log(1 + torch.exp(features(x) @ w.T + b)).sum(1)
    )
    torch.testing.assert_close(energy(x), expected)
    torch.testing.assert_close(energy.log_prob_unnormalized(x), -expected)


def test_diagonal_quadratic_is_its_formula():
    quadratic = DiagonalQuadratic([2, 3], sigma_squared=4.0)
    torch.nn.init.normal_(quadratic.shift)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(quadratic(x), ((0.5 * x + quadratic.shift) ** 2).sum((1, 2)))


@pytest.mark.parametrize("family", HEADS)
@pytest.mark.parametrize("quadratic", [None, IsotropicQuadratic(), DiagonalQuadratic([2])])
@pytest.mark.parametrize("features", [MLPFeatures([2], hidden=[8]), Identity([2])])
@pytest.mark.parametrize("linear", [True, False])
def test_every_head_fits_every_body_and_every_weight_gets_a_gradient(family, quadratic, features, linear):
    energy = ProductOfExperts([2], features, 3, family, quadratic, linear)
    energies = energy(torch.randn(6, 2))
    assert energies.shape == (6,)
    energy.zero_grad()
    energies.sum().backward()
    without = [n for n, p in energy.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without, f"no gradient: {without}"


@pytest.mark.parametrize("family", HEADS)
def test_integrable_where_it_is_claimed(family):
    """Weights a hundred times too large cannot make exp(−E) grow: the quadratic term wins far away."""
    energy = ProductOfExperts([2], MLPFeatures([2]), 4, family, IsotropicQuadratic())
    assert energy.integrable
    with torch.no_grad():
        for parameter in [*energy.features.parameters(), energy.experts.weight]:
            parameter.mul_(100)
    far = 1e5 * torch.nn.functional.normalize(torch.randn(64, 2))
    assert (energy(2 * far) > energy(far)).all()
    assert (energy(far) > 1e9).all()


def test_integrability_is_not_claimed_without_a_quadratic_term_or_bounded_features():
    assert not ProductOfExperts([2], MLPFeatures([2]), 4).integrable
    unbounded = (
        MLPFeatures([2], last_activation="leaky_relu"),
        ConvFeatures([1, 8, 8], [4], "relu", "softplus"),
    )
    for shape, features in ([2], Identity([2])), ([2], unbounded[0]), ([1, 8, 8], unbounded[1]):
        assert not ProductOfExperts(shape, features, 4, quadratic=IsotropicQuadratic()).integrable


def test_learned_scales_stay_positive():
    quadratic = IsotropicQuadratic(sigma_squared=0.01)
    optimizer = torch.optim.SGD(quadratic.parameters(), lr=1.0)
    for _ in range(50):  # pull σ² down as hard as it goes
        optimizer.zero_grad()
        quadratic.log_variance.backward()
        optimizer.step()
    assert 0 < quadratic.log_variance.exp().item() < 1e-20


def test_a_fixed_scale_is_not_trained():
    assert not [p for p in IsotropicQuadratic(learned=False).parameters() if p.requires_grad]


def test_score_is_the_gradient_of_the_log_density():
    energy = ProductOfExperts([2], Identity([2]), 1, LogisticExperts, IsotropicQuadratic(2.0), linear=False)
    torch.nn.init.zeros_(energy.experts.weight)  # what is left is a standard normal
    x = torch.randn(5, 2)
    torch.testing.assert_close(energy.score(x), -x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ProductOfExperts([2], Identity([2]), 0), "experts must be at least 1, got 0"),
        (lambda: IsotropicQuadratic(0.0), "sigma_squared must be a positive number, got 0.0"),
        (lambda: IsotropicQuadratic(math.nan), "sigma_squared must be a positive number"),
        (lambda: DiagonalQuadratic([2], -1.0), "sigma_squared must be a positive number, got -1.0"),
        (lambda: MLPFeatures([2], hidden=[]), "hidden must name at least one layer"),
        (lambda: MLPFeatures([2], hidden=[0]), "hidden must be whole numbers of at least 1"),
        (lambda: MLPFeatures([2], input_gain=0.0), "input_gain must be a positive number, got 0.0"),
    ],
)
def test_impossible_values_are_refused_at_construction(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "features",
    [
        lambda: MLPFeatures([1, 8, 8], hidden=[16, 8], input_gain=9.0, spectral_norm=True),
        lambda: ConvFeatures([1, 8, 8], channels=[4], kernel=3, weight_std=None, spectral_norm=True),
    ],
)
def test_spectral_norm_keeps_the_layers_slopes_at_one(features):
    torch.manual_seed(0)
    network = features()
    for _ in range(200):
        network(torch.randn(2, 1, 8, 8))
    for layer in network.eval():
        if hasattr(layer, "weight"):
            norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
            assert norm.item() == pytest.approx(1.0, abs=1e-3)
