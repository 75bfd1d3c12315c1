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


def restarted(progress: float, at: float = 0.5, factor: float = 0.1) -> float:
    """`cosine` over the share `at` of the steps, and over those that follow again, from `factor` on.

    Args:
        at: between 0 and 1.
        factor: of the rate after it, not negative.

    Raises:
        ValueError: they are not.
    """
    if not 0 < at < 1 or not 0 <= factor < math.inf:
        raise ValueError(f"at must be between 0 and 1 and factor not negative, got {at} and {factor}")
    if progress < at:
        return cosine(progress / at)
    return factor * cosine((progress - at) / (1 - at))


def between(
    progress: float, begin: float = 0.0, end: float = 1.0, warm_up: float = 0.02, least: float = 0.02
) -> float:
    """`cosine` from `begin` to `end`, after a linear rise; 0 before and after, where that side rests.

    Args:
        begin, end: shares of the training steps, 0 ≤ begin < end ≤ 1.
        warm_up: the share of them that the rise takes.
        least: of the rate at the end.

    Raises:
        ValueError: they do not rise.
    """
    if not 0 <= begin < end <= 1 or not 0 < warm_up < 1:
        raise ValueError(
            "shares must rise, 0 <= begin < end <= 1, and warm_up be one of them, got "
            f"{begin}, {end}, {warm_up}"
        )
    if not begin <= progress < end and not progress == end == 1:
        return 0.0
    done = (progress - begin) / (end - begin)
    return min(1.0, 0.01 + done / warm_up) * (least + (1 - least) * cosine(done))
