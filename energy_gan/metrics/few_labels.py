"""What features are worth for classes of which few labels are known: errors of small classifiers on them.

features, linear    logistic regression on the features, its penalty found by five-fold cross-validation
features, small     one hidden layer of 128 on the features
from scratch        the network of the features with new weights and a linear layer on top, all trained
pixels, linear      logistic regression on the pixels

Reference: Learning Generative ConvNets via Multi-grid Modeling and Sampling (Gao et al., 2018),
https://arxiv.org/abs/1709.08868, section 5.3, here with classifiers as small as the data at hand.
"""

import warnings
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from energy_gan.randomness import mixed_seed, random_generator

HIDDEN, STEPS, BATCH = 128, 1_000, 50
FOLDS, PENALTIES = 5, (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

Features = Float[np.ndarray, "N F"]
Labels = Int[Tensor, "N"]


def errors(
    network: nn.Module,
    x: Float[Tensor, "N *S"],
    labels: Labels,
    held_out: Float[Tensor, "M *S"],
    held_out_labels: Int[Tensor, "M"],
    n: int,
    seed: int = 0,
) -> dict[str, float]:
    """The share of held-out images that are named wrong, by classifier, learned from n labels.

    Args:
        network: the features, x -> (B, F). It is not changed.
        n: labels, as many of each class.
        seed: which ones, and of the classifiers.
    """
    chosen = some_of_each(labels, n, seed)
    x, y = x[chosen], labels[chosen]
    found, test = features(network, x), features(network, held_out)
    truth = held_out_labels.numpy()
    return {
        "features, linear": wrong(linear(found, y.numpy(), seed), test, truth),
        "features, small": wrong(small(found, y.numpy(), seed), test, truth),
        "from scratch": wrong(scratch(network, x, y, seed), held_out, truth),
        "pixels, linear": wrong(linear(_flat(x), y.numpy(), seed), _flat(held_out), truth),
    }


def some_of_each(labels: Labels, n: int, seed: int) -> Int[Tensor, "n"]:
    """Indices of n points, as many of each class, at random.

    Raises:
        ValueError: n is no multiple of the number of classes, or there are not so many of each.
    """
    classes = labels[labels >= 0].unique()
    each, rng = n // len(classes), random_generator(seed)
    own = [(labels == k).nonzero()[:, 0] for k in classes]
    if each * len(classes) != n or n < 1 or min(map(len, own)) < each:
        raise ValueError(
            f"n must be a multiple of {len(classes)}, the classes, with so many of each, got {n}"
        )
    return torch.cat([part[torch.randperm(len(part), generator=rng)[:each]] for part in own])


@torch.no_grad()
def features(network: nn.Module, x: Float[Tensor, "N *S"]) -> Features:
    training = network.training
    network.eval()
    found = torch.cat([network(part).flatten(1) for part in x.split(1_000)]).numpy()
    network.train(training)
    return found


def linear(x: Features, y: np.ndarray, seed: int) -> Callable:
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(min(FOLDS, len(y) // len(set(y))), shuffle=True, random_state=seed)
    model = LogisticRegressionCV(Cs=PENALTIES, cv=folds, max_iter=1_000)
    return _fitted(make_pipeline(StandardScaler(), model), x, y)


def small(x: Features, y: np.ndarray, seed: int) -> Callable:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = max(1, STEPS * min(BATCH, len(x)) // len(x))
    model = MLPClassifier((HIDDEN,), alpha=0.01, batch_size=min(BATCH, len(x)), max_iter=steps)
    model.set_params(random_state=seed)
    return _fitted(make_pipeline(StandardScaler(), model), x, y)


def _fitted(model, x: Features, y: np.ndarray) -> Callable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of searches that stop at their last step, and of names that change
        return model.fit(x, y).predict


def scratch(network: nn.Module, x: Float[Tensor, "N *S"], y: Labels, seed: int) -> Callable:
    """The network with new weights and a linear layer on top, trained by the labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed(seed))
        body = deepcopy(network).train()
        for part in body.modules():
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
        with torch.no_grad():
            width = body(x[:2]).flatten(1).shape[1]
        model = nn.Sequential(body, nn.Flatten(), nn.Linear(width, int(y.max()) + 1))
        adam = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
        for _ in range(STEPS):
            chosen = torch.randperm(len(x))[:BATCH]
            adam.zero_grad()
            F.cross_entropy(model(x[chosen]), y[chosen]).backward()
            adam.step()
    model.eval()
    return lambda x: torch.cat([model(part).argmax(1) for part in x.split(1_000)]).numpy()


@torch.no_grad()
def wrong(predict: Callable, x: Features | Float[Tensor, "N *S"], y: np.ndarray) -> float:
    return float((predict(x) != y).mean())


def _flat(x: Float[Tensor, "N *S"]) -> Features:
    return x.flatten(1).numpy()
