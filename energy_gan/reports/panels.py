"""What a dashboard shows in one place: curves of the numbers declared for it, histograms, pictures."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from energy_gan.reports.numbers import FRECHET, NUMBERS


class Panel(NamedTuple):
    """What a dashboard shows in one place. A run that logs none of its names has no such panel."""

    section: str
    title: str
    names: tuple[str, ...]
    kind: Literal["curves", "histograms", "pictures"] = "curves"


def _curves() -> Iterator[Panel]:
    """Samples first, and of these the distance that the field goes by."""
    sections = ("samples", "agreement", "classes", "training")
    panels = {n.panel for n in NUMBERS.values() if n.panel}
    for panel in sorted(panels, key=lambda p: (sections.index(p.split(": ")[0]), p != FRECHET, p)):
        names = tuple(n.tag for n in NUMBERS.values() if n.panel == panel)
        yield Panel(*panel.split(": "), names)


PANELS = (
    *_curves(),
    Panel("energies", "energies", ("energy/data", "energy/generator", "energy/noise"), "histograms"),
    Panel("energies", "energies beside each other", ("energy_histograms",), "pictures"),
    Panel("pictures", "samples", ("samples", "marginals"), "pictures"),
    Panel("pictures", "columns of a table", ("associations",), "pictures"),
    Panel("pictures", "energy map", ("energy_map",), "pictures"),
    Panel("pictures", "latents", ("latent_energies", "latent_map"), "pictures"),
    Panel("pictures", "grids", ("grids",), "pictures"),
    Panel("pictures", "interpolation", ("interpolation",), "pictures"),
    Panel("pictures", "reconstruction", ("reconstruction",), "pictures"),
    Panel("pictures", "classes", ("classes", "samples_by_class", "latents_by_class"), "pictures"),
    Panel("pictures", "networks", ("networks", "decision_boundaries"), "pictures"),
    Panel("pictures", "anatomy of learning by chains", ("anatomy", "long_chains"), "pictures"),
    Panel("pictures", "samples by energy", ("samples_by_energy",), "pictures"),
)


def layout(names: set[str]) -> dict[str, dict[str, list]]:
    """The panels of curves of which a run has something, for TensorBoard, which takes names as patterns."""
    sections: dict[str, dict[str, list]] = {}
    for panel in PANELS:
        if panel.kind == "curves" and names & set(panel.names):
            patterns = [f"{name}$" for name in panel.names]
            sections.setdefault(panel.section, {})[panel.title] = ["Multiline", patterns]
    return sections
