"""The losses of the energy, from energies alone. Each returns named terms; their sum is the loss.

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, sections 2.2 and 2.3.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from energy_gan.shapes import Scalar

Positive = Float[Tensor, "P"]
Negative = Float[Tensor, "N"]


def maximum_likelihood(
    energy_positive: Positive, energy_negative: Negative, log_weights: Negative | None = None
) -> dict[str, Scalar]:
    """E[E(x⁺)] − E[E(x⁻)], whose gradient is that of −log p (Eq. 7).

    With log weights w the second term is log Σ exp(wᵢ − E(xᵢ⁻)), an estimate of log Z: its gradient
    is −Σ pᵢ ∇E(xᵢ⁻), p = softmax(w − E), the negative phase with weighted samples, and the sum of
    the two terms is then −log p itself.
    """
    if log_weights is None:
        negative_phase = -energy_negative.mean()
    else:
        negative_phase = torch.logsumexp(log_weights - energy_negative, 0)
    return {"positive_phase": energy_positive.mean(), "negative_phase": negative_phase}


def classifier(
    energy_positive: Positive, energy_negative: Negative, log_weights: Negative | None = None
) -> dict[str, Scalar]:
    """−½ E[log σ(−E(x⁺))] − ½ E[log σ(E(x⁻))]: P(data | x) = σ(−E(x)), trained by logistic loss (Eq. 8)."""
    if log_weights is not None:
        raise ValueError("the classifier objective takes negatives that count equally, not weighted ones")
    return {
        "positive_phase": 0.5 * F.softplus(energy_positive).mean(),
        "negative_phase": 0.5 * F.softplus(-energy_negative).mean(),
    }
