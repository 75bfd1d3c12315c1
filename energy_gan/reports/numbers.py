"""What a dashboard shows of a run."""

from typing import Literal, NamedTuple


class Panel(NamedTuple):
    """What is shown in one place: some of the names that runs log. A run that logs none of them has none."""

    section: str
    title: str
    names: tuple[str, ...]
    kind: Literal["curves", "histograms", "pictures"] = "curves"


PANELS = (
    Panel("samples", "Fréchet distance", ("val/frechet_inception", "val/frechet_lenet")),
    Panel("samples", "sliced Wasserstein-2", ("val/sliced_w2",)),
    Panel("samples", "mode coverage", ("val/smallest_mode", "val/class_smallest_share", "val/hdr99")),
    Panel("samples", "modes and classes found", ("val/modes_covered", "val/classes_covered")),
    Panel("samples", "modes of stacked digits", ("val/modes_during", "val/modes")),
    Panel("samples", "recall", ("val/recall_inception", "val/recall_lenet")),
    Panel("agreement", "energy gap", ("val/energy_gap", "train/energy_gap")),
    Panel("agreement", "KL to the energy", ("val/kl_data_energy", "val/kl_generator_energy")),
    Panel("agreement", "log-likelihood of held-out data", ("val/held_out_log_likelihood",)),
    Panel("agreement", "log normaliser", ("val/log_normalizer",)),
    Panel("training", "entropy in the loss", ("train/entropy",)),
    Panel("training", "mean energies", ("train/energy_positive", "train/energy_negative")),
    Panel("training", "acceptance rates", ("train/chains_acceptance", "val/refine_acceptance")),
    Panel("training", "step sizes of the chains", ("train/chains_step_size", "val/refine_step_size")),
    Panel("training", "gradient norms", ("train/gradient_energy", "train/gradient_generator")),
    Panel("energies", "energies", ("energy/data", "energy/generator", "energy/noise"), "histograms"),
    Panel("energies", "energies beside each other", ("energy_histograms",), "pictures"),
    Panel("pictures", "samples", ("samples", "marginals"), "pictures"),
    Panel("pictures", "energy map", ("energy_map",), "pictures"),
    Panel("pictures", "interpolation", ("interpolation",), "pictures"),
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
