"""The estimate of log |det A| by products: exact where it should be, close where it may not."""

import pytest
import torch

from energy_gan.numerics.log_determinant import log_abs_det


def matrices(values):
    """Symmetric, one for each row of eigenvalues."""
    rng = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(*values.shape, values.shape[1], generator=rng, dtype=values.dtype))[0]
    return axes @ torch.diag_embed(values) @ axes.mT


def signs(n, size):
    rng = torch.Generator().manual_seed(1)
    return torch.randn(n, size, generator=rng, dtype=torch.float64).sign()


def test_of_few_different_eigenvalues_it_is_exact_for_a_vector_that_has_its_share_of_each():
    """With v = Σ eigenvectors / √L each vᵀ f(A) v is tr f(A) / L, and three values take three steps."""
    values = torch.tensor([0.5, 0.5, -2.0, 3.0, 3.0, 3.0], dtype=torch.float64)
    a = torch.diag(values)[None]
    found = log_abs_det(lambda v: (a @ v[:, :, None])[:, :, 0], torch.ones(1, 6, dtype=torch.float64), 3)
    assert float(found) == pytest.approx(float(values.abs().log().sum()), rel=1e-9)


def test_a_spread_of_eigenvalues_is_near_on_average():
    values = torch.linspace(-0.6, 0.98, 200, dtype=torch.float64).expand(64, 200)
    a = matrices(values)
    found = log_abs_det(lambda v: (a @ v[:, :, None])[:, :, 0], signs(64, 200), 16)
    exact = float(values[0].abs().log().sum())
    assert float(found.mean()) == pytest.approx(exact, rel=0.02)
    assert float(found.std()) < 0.15 * abs(exact)
