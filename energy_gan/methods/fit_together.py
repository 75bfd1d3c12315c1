"""Whether the parts of a method fit together: found out on two points when it is built."""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import nn

from energy_gan.energies.base import stated
from energy_gan.errors import InputError
from energy_gan.generators.base import Draw, Generator
from energy_gan.inference.base import Inference
from energy_gan.methods.base import Method
from energy_gan.methods.grids import Grid
from energy_gan.negatives.base import Negatives
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Latents

if TYPE_CHECKING:
    from lightning import LightningDataModule


def check_parts(
    method: Method, energy_learns: Learns, generator_learns: Learns, generator_first: bool
) -> None:
    """ValueError where an energy, a generator, its terms and its draws do not go together."""
    for name, term in method.terms.items():
        if any(weight.requires_grad for weight in term.parameters()) and not term.learns:
            raise ValueError(f"terms.{name} has a network of its own: give terms.{name}.learns")
        if term.needs_negatives and generator_first:
            raise ValueError(f"generator_first must be false where {name} needs the energy's negatives")
        if term.needs_negatives and energy_learns.every > 1:
            raise ValueError(
                f"energy_learns.every must be 1 where {name} needs the energy's negatives, "
                f"got {energy_learns.every}"
            )
        if term.needs_rows and (method.draws.reuse == "nothing" or not method.negatives.keeps_rows):
            raise ValueError(
                f"{name} needs negatives that chains make of the generator's batch, row by row: give "
                "draws.reuse=latents and negatives.start.in_order=true without a memory, or chains of its own"
            )
    if method.draws.reuse == "forward" and generator_learns.steps > 1:
        raise ValueError(
            "draws.reuse=forward needs generator_learns.steps=1, since a second move would need another "
            f"forward, got {generator_learns.steps}"
        )
    with torch.no_grad():
        generator, training = method.generator, method.generator.training
        generator.eval()
        draw = generator.draw(generator.prior.sample(2))
        generator.train(training)
        _expect("the generator's samples", draw.samples.shape, (2, *method.shape))
        negatives = check_energy(method, draw)
        for term in method.terms.values():
            term(generator, draw, term.learns_from(method.energy, draw, negatives))


@torch.no_grad()
def check_energy(method: Method | Grid, draw: Draw | None = None) -> Negatives:
    """ValueError where the energy and its negatives do not go together; the negatives of two points."""
    if not 0 <= method.data_noise < math.inf:
        raise ValueError(f"data_noise must be a number of at least 0, got {method.data_noise}")
    if draw is None and method.negatives.needs_generator:
        name = type(method.negatives).__name__
        raise ValueError(f"without a generator the negatives must come from elsewhere, got {name}")
    x = torch.zeros(2, *method.shape)
    _expect("the energy, one number a point,", method.energy(x).shape, x.shape[:1])
    negatives = deepcopy(method.negatives)(
        method.energy, draw, x
    )  # a copy: chains would start from these two
    _expect("the negatives", negatives.samples.shape, (len(negatives.samples), *method.shape))
    negatives = negatives.seen(x, method.energy(negatives.samples))
    method.objective(method.energy(x), negatives)
    return negatives


def check_base(energy: nn.Module, learns: Learns | None = None) -> nn.Module | None:
    """The energy's base, if any; ValueError where it has weights that nobody trains, or none to train."""
    base = stated(energy, "base")
    has_weights = base is not None and any(weight.requires_grad for weight in base.parameters())
    if has_weights and learns is None:
        raise ValueError(
            f"the energy's base, {type(base).__name__}, has weights that learn by its own likelihood: give "
            "base_learns, on the page of METHOD=nt_ebm"
        )
    if learns is not None and not has_weights:
        name = type(energy).__name__ if base is None else type(base).__name__
        raise ValueError(
            "base_learns needs an energy that tilts a base with weights, a FlowEnergy as its quadratic term, "
            f"and this {name} has none: give base_learns=null"
        )
    return base


@torch.no_grad()
def check_contrast(method: Method) -> None:
    """ValueError where an energy and a flow do not go together."""
    generator, share, shades = method.generator, method.likelihood_share, method.shades
    if not generator.knows_density:
        raise ValueError(
            f"contrast needs a generator whose density is known, a flow, and this {type(generator).__name__} "
            "has none: give method.generator._target_=energy_gan.generators.flow.FlowGenerator"
        )
    if not 0 <= share <= 1 or method.contrast_every < 1:
        raise ValueError(
            f"likelihood_share must be from 0 to 1 and contrast_every at least 1, got {share} and "
            f"{method.contrast_every}"
        )
    check_shades(shades, method.shape)
    pushed, x = generator.pushed(generator.prior.sample(2)), torch.zeros(2, *method.shape)
    _expect("the flow's samples", pushed.samples.shape, x.shape)
    _expect("the energy, one number a point,", method.energy(x).shape, x.shape[:1])


def check_shades(shades: int | None, shape: Sequence[int]) -> None:
    """ValueError where noise is to fill the shades of what is no image."""
    if shades is not None and (shades < 2 or len(shape) != 3):
        raise ValueError(
            f"shades must be at least 2, of the pixels of images, got {shades} for points of shape "
            f"{list(shape)}: points have none, give shades=null"
        )


@torch.no_grad()
def check_grids(method: Method, autoencoder_learns: Learns | None) -> None:
    """ValueError where grids, their energies and chains, and an autoencoder do not go together."""
    if not method.grids:
        raise ValueError("grids must name at least one, got none")
    coarser, smaller = "an image of one pixel", (method.shape[0], 1, 1)
    for name, grid in method.grids.items():
        channels, *sides = grid.shape
        if channels != smaller[0] or any(a % b for a, b in zip(sides, smaller[1:], strict=True)):
            raise ValueError(
                f"grids.{name}.shape must be {smaller[0]} channels and multiples of the sides of {coarser}, "
                f"{list(smaller[1:])}, got {list(grid.shape)}"
            )
        coarser, smaller = f"grids.{name}", grid.shape
    _expect("the images of the finest grid", smaller, method.shape)
    for grid in method.grids.values():
        start = torch.zeros(2, *grid.shape)
        check_energy(grid, Draw(start.flatten(1), start, start))
        if grid.negatives.walked is None or not grid.negatives.keeps_rows:
            raise ValueError(
                "each grid needs chains that begin where they are told: negatives ChainNegatives from a "
                "FromGenerator with in_order=true"
            )
        if method.autoencoder is not None:
            _expect("what the autoencoder makes", method.autoencoder(start).shape, start.shape)
    _check_autoencoder(method, autoencoder_learns)
    method.learned  # noqa: B018, or its generator says what chains it takes


def _check_autoencoder(method: Method, learns: Learns | None) -> None:
    autoencoder, noise = method.autoencoder, method.autoencoder_noise
    if not 0 <= noise < math.inf:
        raise ValueError(f"autoencoder_noise must be a number of at least 0, got {noise}")
    if autoencoder is None and (learns is not None or method.positives == "autoencoder"):
        raise ValueError("autoencoder_learns and positives=autoencoder need an autoencoder, got none")
    if autoencoder is not None and learns is None and any(p.requires_grad for p in autoencoder.parameters()):
        raise ValueError("the autoencoder has a network of its own: give autoencoder_learns")


def check_latents(method: Method, inference_learns: Learns | None, prior_learns: Learns | None) -> None:
    """ValueError where a generator, its prior, its negatives and an inference do not go together."""
    generator, inference = method.generator, method.inference
    parts = (("inference", inference, inference_learns), ("prior", generator.prior, prior_learns))
    for name, part, learns in parts:
        has_weights = any(weight.requires_grad for weight in part.parameters())
        if has_weights and learns is None:
            raise ValueError(f"the {name} has a network of its own: give {name}_learns")
        if learns is not None and not has_weights:
            raise ValueError(f"the {name} has no network that could learn: give {name}_learns=null")
    if (method.negatives is None) != (prior_learns is None):
        raise ValueError("a prior that learns needs negatives, and no other takes them: give both or none")
    latent = check_inference(generator, inference, method.shape)
    if method.negatives is not None:
        potential = generator.prior.potential
        negatives = deepcopy(method.negatives)(
            potential, None, latent
        )  # a copy: chains would start from these
        _expect("the prior's negatives", negatives.samples.shape, (len(negatives.samples), latent.shape[1]))


@torch.no_grad()
def check_inference(generator: Generator, inference: Inference, shape: Sequence[int]) -> Latents:
    """ValueError where a generator and an inference do not go together; the latents of two points."""
    x, training = torch.zeros(2, *shape), generator.training
    generator.eval()
    latent = deepcopy(inference)(generator, x).latent  # a copy: it may keep a step size
    _expect("the inferred latents", latent.shape, (2, generator.prior.latent_dim))
    _expect("the generator's samples", generator(latent).shape, x.shape)
    _expect("log p(x | z)", generator.log_likelihood(x, latent).shape, (2,))
    generator.prior.tilt(latent)  # or it says what the prior has to be
    generator.train(training)
    return latent


@torch.no_grad()
def check_symbols(method: Method) -> int:
    """ValueError where the prior's energy has no classes, or others than it is told of; how many it has."""
    prior = method.generator.prior
    if not prior.tilted or (classes := stated(prior.energy, "classes")) is None:
        raise ValueError(
            f"the generator's prior must be an EnergyPrior whose energy has classes, ClassEnergies, got "
            f"{type(prior).__name__}"
        )
    if not 0 <= method.cross_entropy < math.inf:
        raise ValueError(f"cross_entropy must be a number of at least 0, got {method.cross_entropy}")
    logits = classes(torch.zeros(2, prior.latent_dim))
    _expect("the logits", logits.shape, (2, logits.shape[-1]))
    shares = method.information.shares
    if shares is not None and len(shares) != logits.shape[1]:
        raise ValueError(
            f"information.marginal has {len(shares)} shares and there are {logits.shape[1]} classes"
        )
    return logits.shape[1]


def check_known(method: Method, data: "LightningDataModule") -> None:
    """InputError where labels are to teach and the data have none, none of a class, or more classes.

    Args:
        data: after their `setup`.
    """
    if not method.cross_entropy or method.n_classes == 1:
        return
    if "labels" not in data.has:
        raise InputError(
            f"method.cross_entropy={method.cross_entropy} needs points with labels and these have none: give "
            "data.label_column=NAME, data=folder with a folder for each class, or cross_entropy=0 for "
            "classes without names"
        )
    names = data.names_of_classes
    if len(names) != method.n_classes:
        raise InputError(
            f"the data have {len(names)} classes and the prior's energy {method.n_classes}: give "
            f"data.n_classes={len(names)}"
        )
    data.require_each_class()


@torch.no_grad()
def check_classes(method: Method) -> None:
    """ValueError where a cross-entropy has a weight and the energy no logits."""
    weight, classes = method.cross_entropy, stated(method.energy, "classes")
    if not 0 <= weight < math.inf:
        raise ValueError(f"cross_entropy must be a number of at least 0, got {weight}")
    if weight and classes is None:
        raise ValueError(
            f"cross_entropy={weight} needs an energy of classes, ClassEnergies, and this "
            f"{type(method.energy).__name__} has none: give another energy, or cross_entropy=0"
        )
    if weight:
        logits = classes(torch.zeros(2, *method.shape))
        _expect("the logits", logits.shape, (2, logits.shape[-1]))


def check_taught(method: Method, data: "LightningDataModule") -> None:
    """InputError where a cross-entropy has a weight and the data do not have the labels for it."""
    if weight := method.cross_entropy:
        check_labels(method, f"method.cross_entropy={weight}", stated(method.energy, "classes"), data)


@torch.no_grad()
def check_labels(method: Method, what: str, classes: nn.Module, data: "LightningDataModule") -> None:
    """InputError where the data have no labels, or more classes than there are logits.

    Args:
        what: needs the labels.
        classes: x -> logits.
        data: after their `setup`; those that have labels keep them in `labels`.
    """
    if "labels" not in data.has:
        raise InputError(
            f"{what} needs points with labels and these have none: give a labelled set (data=digits, mnist, "
            "cifar10, two_moons, or data=folder with a folder for each class)"
        )
    training = classes.training
    known = classes.eval()(torch.zeros(2, *method.shape, device=method.device)).shape[1]
    classes.train(training)
    if (there := int(data.labels.max()) + 1) > known:
        raise InputError(
            f"the data have {there} classes and the logits are of {known}: give n_classes={there}"
        )


@torch.no_grad()
def check_networks(method: Method) -> None:
    """ValueError where a generator of networks, its entropy and what a step takes do not go together."""
    if method.n_networks < 2:
        raise ValueError(f"n_networks must be at least 2, got {method.n_networks}")
    if not 0 < method.loss_weight < math.inf:
        raise ValueError(f"loss_weight must be a positive number, got {method.loss_weight}")
    if method.entropy.needs_negatives or any(True for _ in method.entropy.parameters()):
        name = type(method.entropy).__name__
        raise ValueError(f"the entropy of weights takes neither negatives nor a network, got {name}")
    generator, training = method.generator, method.generator.training
    generator.eval()
    method.entropy(generator, generator.draw(generator.prior.sample(2)), None)
    generator.train(training)


def _expect(what: str, given: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(given) != tuple(expected):
        raise ValueError(
            f"{what} must have shape {tuple(expected)} here, got {tuple(given)}: the parts do not fit"
        )
