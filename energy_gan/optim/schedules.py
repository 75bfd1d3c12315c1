"""Learning rates over training: a factor of the optimizer's own, by the share of the steps that are done.

A schedule is a function of progress, 0 at the first step, up to 1. It has no state, so a run that goes on for
longer than planned goes on along the longer plan.
"""

import math


def cosine(progress: float) -> float:
    """½ (1 + cos π progress): from 1 to 0, slow at both ends.

    Reference: SGDR: Stochastic Gradient Descent with Warm Restarts (Loshchilov & Hutter, 2016),
    https://arxiv.org/abs/1608.03983, equation 5 without restarts.
    """
    return 0.5 * (1 + math.cos(math.pi * progress))
