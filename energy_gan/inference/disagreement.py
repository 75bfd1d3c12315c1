"""How far the networks of an ensemble disagree about a point: high where it is like none that taught them.

    I(y; w | x) = H(1/M Σₘ p(y | x, wₘ)) − 1/M Σₘ H(p(y | x, wₘ))

The first part alone is also high where all agree that several classes are possible.

Reference: Bayesian Active Learning for Classification and Preference Learning (Houlsby et al., 2011),
https://arxiv.org/abs/1112.5745, equation 2.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from energy_gan.generators.ensemble import Ensemble
from energy_gan.inference.ranking import Ranking
from energy_gan.shapes import Energies, Points


def disagreement(log_p: Float[Tensor, "M B K"]) -> dict[str, Energies]:
    """I(y; w | x) and H(y | x), in nats."""
    mean = log_p.exp().mean(0)
    entropy = torch.special.entr(mean).sum(1)
    of_each = torch.special.entr(log_p.exp()).sum(2).mean(0)
    return {"disagreement": entropy - of_each, "H(y | x)": entropy}


class Disagreement(Ranking):
    """I(y; w | x), and H(y | x)."""

    def __init__(self, ensemble: Ensemble):
        self.ensemble = ensemble

    @torch.no_grad()
    def scores(self, x: Points) -> dict[str, Energies]:
        return disagreement(self.ensemble.by_network(x))
