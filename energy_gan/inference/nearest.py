"""The latents that make a generator come as near to points as it can, found by gradient descent."""

import torch
from torch import Tensor

from energy_gan.generators.base import Generator
from energy_gan.generators.priors import Prior
from energy_gan.inference.base import Inference, Inferred
from energy_gan.randomness import random_generator
from energy_gan.shapes import Latents, Points

PROBED = 4  # latents at which the Jacobian is looked at
SAME = 1e-4  # how far it may differ between them, relative to the largest of its numbers


class NearestLatent(Inference):
    """z* = argmin ½ ‖x − G(z)‖² − σ² log p(z), the mode of p(z | x) for p(x | z) = N(x; G(z), σ² I).

    Adam descends it from latents of the prior, and where the prior has walls keeps z between them. The
    gradient is Jᵀ(G(z) − x) − σ² ∇ log p(z). Take a walk of K steps down an energy whose second derivatives
    are the same diagonal c wherever they exist: a quadratic beside a piecewise linear network. Then J is the
    factor Π(1 − ε c)^K, the identity without the quadratic, where the residual G(z) − x itself is the
    gradient; no graph is kept through the walk. Whether that is so is tried first, see `constant_jacobian`.

    Reference: Learning Non-Convergent Non-Persistent Short-Run MCMC Toward Energy-Based Model
    (Nijkamp et al., 2019), https://arxiv.org/abs/1904.09770, section 3.4, which has neither σ nor walls.

    Args:
        n_steps: of the descent, at least 1.
        learning_rate: of Adam, positive; it falls linearly to 0.
        std: σ, positive.
        held: leave neither the prior's walls nor, by its term, the places where it is high. False as in the
            reference: the points come nearer, from latents that the generator is never given.
        seed: of the latents that the descent starts from.
    """

    def __init__(
        self,
        n_steps: int = 100,
        learning_rate: float = 0.1,
        std: float = 0.1,
        held: bool = True,
        seed: int = 0,
    ):
        super().__init__()
        if n_steps < 1 or not learning_rate > 0 or not std > 0:
            raise ValueError(
                "n_steps must be at least 1, learning_rate and std positive, "
                f"got {n_steps}, {learning_rate} and {std}"
            )
        self.n_steps, self.learning_rate, self.std, self.held = n_steps, learning_rate, std, held
        self.seed = seed

    def free(self) -> "NearestLatent":
        return NearestLatent(self.n_steps, self.learning_rate, self.std, held=False, seed=self.seed)

    def forward(self, generator: Generator, x: Points, start: Latents | None = None) -> Inferred:
        """z* for each x; no law is known that it would be drawn from."""
        if start is None:
            start = generator.prior.sample(len(x), random_generator(self.seed)).to(x.device)
        jacobian = constant_jacobian(generator, start)
        latent = start.detach().clone().requires_grad_()
        adam = torch.optim.Adam([latent], lr=self.learning_rate)
        for step in range(self.n_steps):
            adam.param_groups[0]["lr"] = self.learning_rate * (1 - step / self.n_steps)
            latent.grad = gradient(generator, latent, x, jacobian)
            if self.held:
                latent.grad += self.std**2 * _prior_gradient(generator.prior, latent)
            adam.step()
            if self.held and generator.prior.walls:
                with torch.no_grad():
                    latent.clamp_(*generator.prior.walls)
        return Inferred(latent.detach())


def gradient(generator: Generator, latent: Latents, x: Points, jacobian: Tensor | None = None) -> Latents:
    """∇½‖x − G(z)‖² = Jᵀ(G(z) − x): by this diagonal of J, or through G if that is None."""
    if jacobian is not None:
        with torch.no_grad():
            return jacobian * (generator(latent) - x).flatten(1)
    with torch.enable_grad():
        z = latent.detach().requires_grad_()
        return torch.autograd.grad(0.5 * (generator(z) - x).square().sum(), z)[0]


def constant_jacobian(generator: Generator, latent: Latents) -> Tensor | None:
    """The diagonal of ∂G/∂z, if at a few of these latents ∂G/∂z is one and the same diagonal matrix.

    Tried by Jᵀ1 = j and Jᵀv = j v for a random v.
    """
    with torch.enable_grad():
        z = latent[:PROBED].detach().requires_grad_()
        x = generator(z).flatten(1)
        if x.shape != z.shape:
            return None
        v = torch.randn(x.shape, generator=random_generator(0)).to(x)
        (rows,) = torch.autograd.grad(x, z, torch.ones_like(x), retain_graph=True)
        (product,) = torch.autograd.grad(x, z, v)
    diagonal, allowed = rows[0], SAME * rows.abs().max()
    same = (rows - diagonal).abs().max() <= allowed and (product - v * diagonal).abs().max() <= allowed
    return diagonal if same else None


def _prior_gradient(prior: Prior, latent: Latents) -> Latents:
    """−∇ log p(z); 0 for a law that is even between its walls."""
    with torch.enable_grad():
        z = latent.detach().requires_grad_()
        log_prob = prior.log_prob(z).sum()
        return -torch.autograd.grad(log_prob, z)[0] if log_prob.requires_grad else torch.zeros_like(z)
