"""Which sections and numbers a run has: those whose needs its method and its data meet."""

from collections.abc import Iterator

from energy_gan.data.base import DataModule
from energy_gan.energies.base import stated
from energy_gan.errors import InputError
from energy_gan.model import Model
from energy_gan.reports import images
from energy_gan.reports.anatomy import Convergence, ImageConvergence
from energy_gan.reports.associations import ColumnAssociations
from energy_gan.reports.chains import Drift
from energy_gan.reports.classes import Classes
from energy_gan.reports.density import Assessment, Likelihood
from energy_gan.reports.flows import Bits, LearnedConstant
from energy_gan.reports.grids import Grids
from energy_gan.reports.images import ImageEnergies, ImageSamples
from energy_gan.reports.interpolation import Interpolation
from energy_gan.reports.latent_likelihood import LatentLikelihood
from energy_gan.reports.latents import LatentLaw
from energy_gan.reports.levels import Levels, OwnSamples
from energy_gan.reports.networks import Networks
from energy_gan.reports.numbers import Number
from energy_gan.reports.points import Points
from energy_gan.reports.reconstruction import ImageReconstruction
from energy_gan.reports.section import Section, Settings
from energy_gan.reports.symbols import Symbols
from energy_gan.reports.text import TextLatents, TextSamples
from energy_gan.samplers.transport import Space

# where two have a number of one name, the later one's stands
SECTIONS: tuple[type[Section], ...] = (
    *(
        Points,
        ColumnAssociations,
        Assessment,
        ImageSamples,
        Interpolation,
        ImageReconstruction,
        ImageEnergies,
        Grids,
        Drift,
    ),
    *(Likelihood, Levels, OwnSamples, Convergence, ImageConvergence, Classes, LatentLaw, LatentLikelihood),
    *(TextSamples, TextLatents, Symbols, Networks, Bits, LearnedConstant),
)


def facts(model: Model, data: DataModule, inception: bool | None = None) -> frozenset[str]:
    """What sections and numbers may need, in words, whether or not the data have been read.

        points, images, text      what the data are
        plane, space              points of two numbers; of fewer or more
        table                     points whose density is not known
        columns, categories       a table of one's own; one that has columns of levels
        density, labels, modes    what the data have, `DataModule.has`
        energy, generator, …      what the model offers
        law                       one of these two
        base                      its energy has one
        grids                     its generator goes from coarse to fine
        levels                    its energy is one of all noise levels
        tilted                    its generator's prior is an energy
        likelihood                p(x | z) of its generator is a density
        free                      its inference also finds latents that the prior never has
        noise                     its energy is of data with noise
        chains                    its energy learned by chains of its own
        latents                   these walk in the latents of its base
        weights                   its generator's density is known, or the energy's base: samples have weights
        exact                     the same exactly: its generator is a flow
        constant                  its energy's log Z is learned
        shades                    noise has filled those of its images
        lenet, inception          features of images that can be had

    Args:
        inception: whether its weights are there; looked for if None.
    """
    has = data.has | model.offers | {data.kind}
    if "points" in has and data.density is None:
        has |= {"table"}
    if data.schema is not None:
        has |= {"columns"}
        has |= {"categories"} if any(c.kind == "categorical" for c in data.schema.columns) else set()
    if "points" in has:
        has |= {"plane" if data.shape == (2,) else "space"}
    if has & {"energy", "generator"}:
        has |= {"law"}
    if "energy" in has and stated(model.learned.energy, "base") is not None:
        has |= {"base"}
    if "energy" in has and stated(model.learned.energy, "levels") is not None:
        has |= {"levels"}
    if "generator" in has and model.learned.generator.prior.tilted:
        has |= {"tilted"}
    if "generator" in has and model.learned.generator.noise is not None:
        has |= {"likelihood"}
    if "generator" in has and model.learned.generator.levels:
        has |= {"grids"}
    if "inference" in has and model.learned.inference.free() is not None:
        has |= {"free"}
    if model.data_noise:
        has |= {"noise"}
    if "energy" in has and model.learned.walked is not None:
        has |= {"chains"}
        has |= {"latents"} if model.learned.walked.space is not Space else set()
    if "base" in has or ("generator" in has and model.learned.generator.has_density):
        has |= {"weights"}
    if "generator" in has and model.learned.generator.knows_density:
        has |= {"exact"}
    if model.learned.constant is not None:
        has |= {"constant"}
    if model.learned.shades is not None:
        has |= {"shades"}
    if has & {"labels", "modes"}:
        has |= {"lenet"}
    if "images" in has and data.shape[0] in (1, 3):
        has |= {"inception"} if (images.inception_or_none() if inception is None else inception) else set()
    return has


def chosen(has: frozenset[str]) -> Iterator[type[Section]]:
    """The sections whose needs are met."""
    return (section for section in SECTIONS if has.issuperset(section.needs.split()))


def measured(has: frozenset[str]) -> Iterator[Number]:
    """The numbers that a run with these facts has."""
    return (n for section in chosen(has) for n in section.numbers if n.fits(has))


def made(has: frozenset[str], settings: Settings) -> list[Section]:
    """The sections whose needs are met, made with the settings.

    Raises:
        InputError: one of them cannot do with as few samples.
    """
    sections, n = [section(settings) for section in chosen(has)], min(settings[:2])
    least = max((section.least for section in sections), default=0)
    if n < least:
        raise InputError(f"callbacks.report: n_samples must be at least {least}, got {n}")
    return sections
