"""The losses, from energies alone: the energy's as named terms whose sum is the loss, what the generator
descends point by point, and penalties that keep the energy smooth.

Reference: Deep Directed Generative Models with Energy-Based Probability Estimation
(Kim & Bengio, 2016), https://arxiv.org/abs/1606.03439, sections 2.2 and 2.3.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from energy_gan.shapes import Energies, Labels, Negatives, Points, Scalar

Positive = Float[Tensor, "P"]


def maximum_likelihood(
    positive: Positive, negatives: Negatives, squares: float = 0.0, temperature: float = 1.0
) -> dict[str, Scalar]:
    """E[E(x⁺)] − E[E(x⁻)], whose gradient is that of −log p (Eq. 7).

    With log weights w the second term is log Σ exp(wᵢ − E(xᵢ⁻)), an estimate of log Z: its gradient
    is −Σ pᵢ ∇E(xᵢ⁻), p = softmax(w − E), the negative phase with weighted samples, and the sum of
    the two terms is then −log p itself.

    Args:
        squares: α of a third term, α E[F(x⁺)² + F(x⁻)²] / T for an energy E = F / T, that keeps F small. Not
            negative; 1 in Implicit Generation and Modeling with Energy-Based Models (Du & Mordatch, 2019),
            https://arxiv.org/abs/1903.08689.
        temperature: T.
    """
    if negatives.log_weights is None:
        negative_phase = -negatives.energies.mean()
    else:
        negative_phase = torch.logsumexp(negatives.log_weights - negatives.energies, 0)
    terms = {"positive_phase": positive.mean(), "negative_phase": negative_phase}
    if squares:
        both = positive.square().mean() + negatives.energies.square().mean()
        terms["squares"] = squares * temperature * both
    return terms


def classifier(positive: Positive, negatives: Negatives) -> dict[str, Scalar]:
    """−½ E[log σ(−E(x⁺))] − ½ E[log σ(E(x⁻))]: P(data | x) = σ(−E(x)), trained by logistic loss (Eq. 8)."""
    if negatives.log_weights is not None:
        raise ValueError("the classifier objective takes negatives that count equally, not weighted ones")
    return {
        "positive_phase": 0.5 * F.softplus(positive).mean(),
        "negative_phase": 0.5 * F.softplus(-negatives.energies).mean(),
    }


def noise_contrast(positive: Positive, negatives: Negatives) -> dict[str, Scalar]:
    """−½ E[log σ(h(x⁺))] − ½ E[log σ(−h(x⁻))], h(x) = log p(x) − log q(x), the noise q known exactly.

    At its optimum p is the data's law. The constant −log Z in log p = −E − log Z is not learned but
    estimated from the same negatives, by the weights 1/q.

    Reference: Noise-contrastive estimation (Gutmann & Hyvärinen, 2010),
    https://proceedings.mlr.press/v9/gutmann10a.html, equation 3.

    Args:
        negatives: with the log weights −log q(x⁻) − log N, and log q(x⁺) as their density at the data.
    """
    log_weights, log_density = negatives.log_weights, negatives.log_density_at_data
    if log_weights is None or log_density is None:
        raise ValueError("noise_contrast needs negatives of a law whose density is known: DensityNegatives")
    log_normalizer = torch.logsumexp(log_weights - negatives.energies, 0).detach()
    log_noise = -log_weights - math.log(len(log_weights))
    return contrast(
        -positive - log_normalizer - log_density, -negatives.energies - log_normalizer - log_noise
    )


def contrast(of_data: Positive, of_noise: Float[Tensor, "N"]) -> dict[str, Scalar]:
    """−½ E[log σ(h(x⁺))] − ½ E[log σ(−h(x⁻))] = −V / 2, from h = log p − log q at data and at noise.

    Where h is what it should be, log p_data − log q, it is log 2 less the Jensen-Shannon divergence of both
    laws; for any other h it is more.
    """
    return {
        "positive_phase": 0.5 * F.softplus(-of_data).mean(),
        "negative_phase": 0.5 * F.softplus(of_noise).mean(),
    }


def normalised_likelihood(positive: Positive, negatives: Negatives) -> dict[str, Scalar]:
    """E[E(x⁺)] = −E[log p(x⁺)] for an energy whose Z is 1, a flow's; negatives are not looked at."""
    return {"positive_phase": positive.mean()}


def no_phases(positive: Positive, negatives: Negatives) -> dict[str, Scalar]:
    """Nothing: with a cross-entropy beside it, the logits of the energy are those of a plain classifier."""
    return {}


def cross_entropy(logits: Float[Tensor, "B K"], labels: Labels) -> Scalar:
    """−E[log p(y | x)] over the points that have a label; 0 where all are −1."""
    total = F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
    return total / (labels >= 0).sum().clamp(min=1)


def cross_entropies(logits: Float[Tensor, "N B K"], labels: Int[Tensor, "N B"]) -> Float[Tensor, "N"]:
    """The same of many networks, each with points of its own."""
    each = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-1, reduction="none")
    return each.sum(1) / (labels >= 0).sum(1).clamp(min=1)


def symbol_information(logits: Float[Tensor, "B K"], marginal: Float[Tensor, "K"] | None = None) -> Scalar:
    """I(z; y) = H(p̄) − mean H(p(y | z)) of a batch, p̄ the mean of p(y | z) = softmax(logits): 0 to log K.

    With a marginal π of the labels H(p̄) becomes H(π) − KL(p̄ ‖ π), which is the same where π is even: it is
    greatest where each z has one class, and the classes have the shares π.

    Reference: Semi-supervised Learning by Latent Space Energy-Based Model of Symbol-Vector Coupling (Pang et
    al., 2020), https://arxiv.org/abs/2010.09359, section 2.5.
    """
    log_p = logits.log_softmax(1)
    log_mean = log_p.logsumexp(0) - math.log(len(log_p))
    mean, within = log_mean.exp(), -(log_p.exp() * log_p).sum(1).mean()
    if marginal is None:
        return -(mean * log_mean).sum() - within
    return -(marginal * marginal.log()).sum() - (mean * (log_mean - marginal.log())).sum() - within


def mean_energy(energies: Energies) -> Energies:
    """E(G(z)) itself: the generator descends the energy (Eq. 13)."""
    return energies


def non_saturating(energies: Energies) -> Energies:
    """−log σ(−E(G(z))): with the classifier objective, the generator's loss in a plain GAN.

    Reference: Generative Adversarial Networks (Goodfellow et al., 2014), https://arxiv.org/abs/1406.2661.
    """
    return F.softplus(energies)


def zero_centred_penalty(
    x: Points,
    energies: Energies,
    weight: float = 1.0,
    reduction: Literal["per_sample", "per_pixel"] = "per_sample",
) -> Scalar:
    """weight · E ‖∇E(x⁺)‖², the squared norm over all numbers of a point, in float32 at any precision.

    Reference: Which Training Methods for GANs do actually Converge? (Mescheder et al., 2018),
    https://arxiv.org/abs/1801.04406, equation 9 (there with weight γ/2); its "per_pixel" is the published
    code of Maximum Entropy Generators (Kumar et al., 2019), https://arxiv.org/abs/1901.08508.

    Args:
        x: the points, with the graph from them to their energies.
        weight: not negative.
        reduction: "per_pixel" takes the norm over the first axis of a point alone, an image's channels,
            and the mean over the pixels: 1/(H·W) of "per_sample". Of a point in a plane they are the same.
    """
    if reduction not in ("per_sample", "per_pixel"):
        raise ValueError(f"reduction must be 'per_sample' or 'per_pixel', got {reduction!r}")
    (gradient,) = torch.autograd.grad(energies.sum(), x, create_graph=True)
    squares = gradient.float().square()
    return weight * (squares if reduction == "per_pixel" else squares.flatten(1)).sum(1).mean()
