"""log |det A| of a symmetric matrix that is known by its products alone.

    log |det A| = tr log |A| = E[vᵀ log|A| v],   v of random signs,

and the quadrature of m Lanczos steps from v, L Σᵢ τᵢ² log |θᵢ|, is exact for polynomials of degree 2 m − 1: θ
are the eigenvalues of the tridiagonal matrix of these steps, τ the first numbers of its eigenvectors.

Reference: Fast Estimation of tr(f(A)) via Stochastic Lanczos Quadrature (Ubaru, Chen & Saad, 2017),
https://doi.org/10.1137/16M1104974.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

LEAST = 1e-12  # of |θ|, and of a direction that is new


def log_abs_det(
    product: Callable[[Float[Tensor, "B L"]], Float[Tensor, "B L"]],
    signs: Float[Tensor, "B L"],
    n_steps: int,
) -> Float[Tensor, "B"]:
    """An estimate for each of B matrices, in as many products as steps.

    Args:
        product: A v of each matrix with a vector of its own.
        signs: 1 and −1, at random.
        n_steps: m, fewer than L.
    """
    q = signs / signs.shape[1] ** 0.5
    basis, diagonal, beside = [q], [], []
    for _ in range(n_steps):
        r = product(basis[-1])
        diagonal.append((r * basis[-1]).sum(1))
        known = torch.stack(basis, 2)  # (B, L, k): in full, as rounding makes the short recurrence forget
        for _ in range(2):
            r = r - (known @ (known.mT @ r[:, :, None]))[:, :, 0]
        length = r.norm(dim=1)
        beside.append(length)
        basis.append(r / length.clamp(min=LEAST)[:, None])
    tridiagonal = torch.diag_embed(torch.stack(diagonal, 1))
    off = torch.stack(beside[:-1], 1)
    tridiagonal = tridiagonal + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    values, vectors = torch.linalg.eigh(tridiagonal)
    return signs.shape[1] * (vectors[:, 0].square() * values.abs().clamp(min=LEAST).log()).sum(1)
