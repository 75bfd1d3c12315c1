"""Every number that a run measures or logs, declared once.

The table at the end of a run, its curves, the panels of trackers (`panels.py`), the tables of studies and
what a sweep may name as its metric derive from what stands here.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple


class Number(NamedTuple):
    """One number of a run.

    Args:
        name: in metrics.json, where `val/` stands before it in the trackers; with a `/` in it, in them alone.
        title: in tables and pictures.
        better: which end is good; None where neither is by itself.
        panel: "section: title" of the panel whose curve it is.
        at_end: it comes with the last measurement only.
        unit: of it, where it has one.
        needs: words that all have to be among the facts of a run, see `energy_gan.reports.chosen.facts`.
    """

    name: str
    title: str
    better: Literal["low", "high"] | None = None
    panel: str | None = None
    at_end: bool = False
    unit: str = ""
    needs: str = ""

    def fits(self, facts: frozenset[str]) -> bool:
        return facts.issuperset(self.needs.split())

    @property
    def label(self) -> str:
        """The title and the unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def tag(self) -> str:
        """What the trackers call it."""
        return self.name if "/" in self.name else f"val/{self.name}"


REFINED = "refined_"
LADDER = "ladder_"  # of the energy's own samples, by the walk down its levels
UNTILTED = "untilted_"  # of the same generator's samples under N(0, I) instead of a prior that is an energy


def refined(numbers: Iterable[Number], needs: str) -> tuple[Number, ...]:
    """The same numbers of samples that MALA has moved on the energy."""
    return tuple(
        n._replace(
            name=f"{REFINED}{n.name}",
            title=f"{n.title}, refined",
            panel=None,
            at_end=True,
            needs=f"{n.needs} {needs}",
        )
        for n in numbers
    )


KL, TV = "agreement: KL to the energy", "agreement: total variation"
PERPLEXITY = "samples: perplexity of sentences"
COVERAGE, FOUND = "samples: mode coverage", "samples: modes and classes found"
FRECHET, RECALL, SPREAD = "samples: Fréchet distance", "samples: recall", "samples: KL of classes and modes"
TOLD = "classes: AUROC of the energy or ranking"
MANY, APART = "classes: accuracy of networks", "classes: how far networks are apart"
PATHS = "classes: loss on paths between networks"
STACKED, GAP = "samples: modes of stacked digits", "agreement: energy gap"
ENERGIES, ACCEPTANCE = "training: mean energies", "training: acceptance rates"
STEPS, GRADIENTS = "training: step sizes of the chains", "training: gradient norms"
SYMBOL_TERMS = "training: information and labels"
LATENTS, BOUND = "training: energy gap of the latents", "training: reconstruction and KL"

BY_GRID = "training: energy gaps of grids that learn"
GAPS, SLOPES = "agreement: energy gaps by grid", "agreement: slope of the energy"
STARTED = "samples: correlation with the first pixel"
BITS = "agreement: bits per dimension"

LOG_Z = Number(
    "log_normalizer", "log Z", None, "agreement: log normaliser", unit="nats", needs="plane energy"
)
LIKELIHOOD = Number(
    "held_out_log_likelihood", "log-likelihood", "high",
    "agreement: log-likelihood of held-out data", unit="nats", needs="plane energy",
)  # fmt: skip
ENERGY_GAP = Number("energy_gap", "energy gap", None, GAP, unit="nats", needs="energy generator")
DRIFT = Number("drift", "drift in 20 moves", "low", at_end=True, unit="sd", needs="energy")
DRIFT_NATS = DRIFT._replace(name="drift_nats", unit="nats")
DRIFT_200 = Number(
    "drift_200", "drift in 200 moves", "low", "agreement: drift", unit="sd", needs="energy base"
)
DRIFT_200_NATS = DRIFT_200._replace(name="drift_200_nats", panel=None, unit="nats")

# ---- what is measured, by section

OF_ENERGY = (  # of points, on a grid
    LOG_Z,
    LIKELIHOOD,
    Number("border_mass", "mass outside the box", "low", needs="plane energy"),
    Number("kl_data_energy", "KL(data‖energy)", "low", KL, unit="nats", needs="plane density energy"),
    Number("tv_data_energy", "TV(data, energy)", "low", TV, needs="plane density energy"),
)
OF_FLOW = (  # a generator whose density is known
    Number("kl_data_generator", "KL(data‖gen.)", "low", KL, unit="nats", needs="plane density exact"),
)
OF_CONSTANT = (  # of an energy whose log Z is a weight
    Number("learned_log_normalizer", "log Z as learned", None, None, unit="nats"),
    Number(
        "learned_log_normalizer_error",
        "its error",
        None,
        "agreement: error of the learned log Z",
        unit="nats",
    ),
)
OF_BITS = (  # of held-out images, of a flow and of the energy beside it
    Number("bits_per_dimension", "bits per dimension, flow", "low", BITS, unit="bits"),
    Number("energy_bits_per_dimension", "bits per dimension, energy", "low", BITS, True, "bits", "constant"),
    Number("bits_gained", "bits that the energy gains", "high", None, True, "bits", "constant"),
    Number("importance_log_normalizer", "log Z by weights", None, None, True, "nats", "constant"),
    Number("importance_ess", "effective share of them", "high", None, True, "", "constant"),
)
OF_SAMPLES = (
    Number("kl_generator_energy", "KL(gen.‖energy)", "low", KL, unit="nats", needs="plane energy generator"),
    Number("tv_generator_energy", "TV(gen., energy)", "low", TV, needs="plane energy generator"),
    Number("tv_data_generator", "TV(data, gen.)", "low", TV, needs="plane density generator"),
    Number("sliced_w2", "sliced W2", "low", "samples: sliced Wasserstein-2", needs="generator"),
    Number("smallest_mode", "smallest mode", "high", COVERAGE, needs="density generator"),
    Number("hdr99", "in 99 % region", "high", COVERAGE, needs="density generator"),
    Number("modes_covered", "modes covered", "high", FOUND, needs="density generator"),
    ENERGY_GAP,
)
RIVALS = (  # of tables, whose density is not known
    Number("mixture_log_likelihood", "the same of a mixture", None, None, True, "nats", "energy table"),
    Number("kernel_log_likelihood", "… of a kernel estimate", None, None, True, "nats", "energy table"),
    Number("gaussian_log_likelihood", "… of a Gaussian", None, None, True, "nats", "energy table"),
)
OF_COLUMNS = (  # of tables
    Number("level_deviation", "frequency of a level, off by", "low", None, True, "sd", "categories"),
    Number("association_gap", "information of pairs, off by", "low", None, True, "nats"),
)
POINTS = (*OF_ENERGY, *OF_FLOW, *OF_SAMPLES, *refined(OF_SAMPLES, "energy"), *RIVALS)
ASSESSMENT = (
    *(n._replace(at_end=True, needs="energy") for n in (LOG_Z, LIKELIHOOD)),
    Number("likelihood_gain", "gain over a Gaussian", "high", None, True, "nats", "energy"),
    DRIFT,
    DRIFT_NATS,
    Number("auc_data_generator", "AUC data | generator", "low", None, True, "", "energy generator"),
    Number("auc_data_energy", "AUC data | energy", "low", None, True, "", "energy generator"),
    Number("auc_generator_energy", "AUC generator | energy", "low", None, True, "", "energy generator"),
    Number("auc_control", "AUC of one law, control", None, None, True, "", "energy generator"),
    Number("auc_standard_error", "error of these", None, None, True, "", "energy generator"),
    Number("missing_share", "data without samples", "low", None, True, "", "energy generator"),
    Number("importance_log_normalizer", "log Z by weights", None, None, True, "nats", "energy weights"),
    Number("importance_ess", "effective share of them", "high", None, True, "", "energy weights"),
    Number("annealed_low", "log Z annealed, least", None, None, True, "nats", "energy space"),
    Number("annealed_high", "log Z annealed, most", None, None, True, "nats", "energy space"),
)
IMAGE_ENERGIES = (
    ENERGY_GAP,
    Number(
        "energy_held_out",
        "energy, held out",
        None,
        "agreement: energy of held-out images",
        False,
        "nats",
        "energy",
    ),
    Number("energy_generated", "energy of samples", None, None, False, "nats", "energy generator"),
)
OF_IMAGES = (
    Number("frechet_inception", "Fréchet, Inception", "low", FRECHET, needs="inception"),
    Number("frechet_lenet", "Fréchet, LeNet", "low", FRECHET, needs="lenet"),
    Number("recall_inception", "recall, Inception", "high", RECALL, needs="inception"),
    Number("recall_lenet", "recall, LeNet", "high", RECALL, needs="lenet"),
    Number("precision_inception", "precision, Inception", "high", needs="inception"),
    Number("class_smallest_share", "smallest class", "high", COVERAGE, needs="labels"),
    Number("class_largest_share", "largest class", "low", needs="labels"),
    Number("class_kl", "KL of classes", "low", SPREAD, unit="nats", needs="labels"),
    Number("classes_covered", "classes covered", "high", FOUND, needs="labels"),
    Number("mean_confidence", "confidence", "high", needs="labels"),
    Number("nearest_train_ratio", "nearest ratio", "high", at_end=True),
)
OF_MODES = (
    Number("modes", "modes found", "high", STACKED, True, "", "modes"),
    Number("modes_kl", "KL of modes", "low", SPREAD, True, "nats", "modes"),
    Number("modes_kl_train", "KL to the data's modes", "low", None, True, "nats", "modes"),
    Number("modes_confident", "modes for sure", "high", None, True, "", "modes"),
)
OF_LAWS = (  # of images, all with noise
    Number("auc_data_generator", "AUC data | generator", "low", None, True),
    Number("auc_control", "AUC of one law, control", None, None, True),
    Number("auc_standard_error", "error of these", None, None, True),
)
DURING = "_during"  # of fewer samples, and so not to be compared with those of the end
IMAGES = (
    *OF_IMAGES,
    *OF_MODES,
    *OF_LAWS,
    *(n._replace(name=n.name + DURING, title=f"{n.title}, during", at_end=False) for n in OF_MODES),
    *refined(OF_IMAGES, "energy noise"),
    *(
        n._replace(
            name=UNTILTED + n.name,
            title=f"{n.title}, N(0, I)",
            panel=None,
            at_end=True,
            needs=f"{n.needs} tilted",
        )
        for n in OF_IMAGES
        if n.name.startswith(("frechet", "recall"))
    ),
)
OF_LATENTS = (  # of a prior that is an energy
    Number("prior_log_normalizer", "log Z of the prior", None, None, True, "nats"),
    Number("prior_importance_ess", "effective share for it", "high", None, True),
    Number("prior_log_normalizer_low", "the same annealed, forward", None, None, True, "nats"),
    Number("prior_log_normalizer_high", "the same annealed, in reverse", None, None, True, "nats"),
    Number("prior_cross_entropy", "latents' cross-entropy, prior", "low", None, True, "nats"),
    Number("mixture_cross_entropy", "the same of a mixture", None, None, True, "nats"),
    Number("prior_energy_excess", "prior's latents over posterior's", None, None, True, "nats"),
    Number("prior_energy_fall", "fall in ten times the chains", "low", None, True, "nats"),
)
OF_LATENT_LIKELIHOOD = (  # over all latents
    Number("latent_log_likelihood", "log-likelihood over latents", "high", None, True, "nats"),
    Number("latent_log_likelihood_reverse", "the same in reverse", "high", None, True, "nats"),
    Number("latent_log_likelihood_gap", "gap of both, own points", "low", None, True, "nats"),
)
INTERPOLATION = (  # of the images between the ends of paths
    Number("interpolation_confident", "sure between samples", "high", None, True, "", "labels"),
    Number("cross_fade_confident", "sure, of their pixels mixed", None, None, True, "", "labels"),
)
RECONSTRUCTION = (  # mean squared errors of pixels
    Number("reconstruction_mse", "reconstruction", "low", at_end=True),
    Number("reconstruction_free", "reconstruction, free", "low", at_end=True, needs="free"),
    Number("reconstruction_mean_image", "the same of the mean image", None, at_end=True),
)
OF_SENTENCES = (
    Number("forward_perplexity", "perplexity of samples", "low", PERPLEXITY),
    Number("reverse_perplexity", "perplexity by samples", "low", at_end=True),
    Number("unique_share", "samples that are unique", "high", at_end=True),
)
OF_TEXT = (  # of held-out sentences
    Number("nll_per_word", "−log p(x) of a word", "low", None, True, "nats"),
    Number("word_accuracy", "words reconstructed", "high", None, True),
    Number("posterior_kl", "KL(encoder‖N(0, I))", None, None, True, "nats"),
)
OF_GRIDS = (  # of a generator that goes from coarse to fine
    Number("gap_finest", "gap on the finest grid", None, GAPS, unit="sd"),
    Number("gap_coarser", "greatest gap on coarser ones", None, GAPS, unit="sd"),
    Number("grid_consistency", "grids apart", "low", "samples: neighbouring grids apart"),
    Number("start_correlation", "correlation with the first pixel", "high", STARTED),
    Number("energy_slope", "slope at the data", "low", SLOPES),
    Number("energy_slope_highest", "highest slope", "low", SLOPES),
)
CHAINS = (DRIFT, DRIFT_NATS, DRIFT_200, DRIFT_200_NATS)
ANATOMY = (  # of chains that an energy learns from
    Number("anatomy_gap", "gap of the phases", None, None, True, "nats", "energy chains"),
    Number("anatomy_gap_correlation", "its correlation at lag 1", None, None, True, "", "energy chains"),
    Number("anatomy_gradient", "gradient at the samples", None, None, True, "", "energy chains"),
    Number("anatomy_gradient_range", "its greatest over its least", "low", None, True, "", "energy chains"),
    Number("energy_spread", "spread of the data's energy", None, None, True, "nats", "energy chains"),
    Number("long_chains_data", "long chains from data", None, None, True, "sd", "energy chains"),
    Number("long_chains_noise", "long chains from noise", None, None, True, "sd", "energy chains"),
    Number("long_chains_kl", "KL(long chains‖energy)", "low", None, True, "nats", "energy chains plane"),
    Number("failed_tests", "tests of convergence failed", "low", None, True, "", "energy chains"),
)
_MIXING = (  # the same chains
    Number("mixing_rhat", "split R̂", "low", None, True, "", "energy chains"),
    Number("mixing_autocorrelation", "autocorrelation", "low", None, True, "moves", "energy chains"),
    Number("mixing_modes", "modes that a chain visits", "high", None, True, "", "energy chains density"),
)
MIXING = (
    *_MIXING,
    *(
        n._replace(name=f"{n.name}_of_points", title=f"{n.title}, not in latents", needs=f"{n.needs} latents")
        for n in _MIXING
    ),
)
OF_LIKELIHOOD = (  # of images with noise
    Number("log_likelihood", "likelihood with noise", "high", None, True, "nats", "base"),
    Number("log_likelihood_forward", "likelihood from below", "high", None, True, "nats", "base"),
    Number("log_likelihood_reverse", "likelihood from above", "high", None, True, "nats", "base"),
    Number("log_likelihood_base", "likelihood of the base", "high", None, True, "nats", "base"),
    DRIFT_200,
    DRIFT_200_NATS,
)
LEVELS = (  # of images with noise, of an energy over its levels
    Number("log_likelihood_learned", "likelihood, its own log Z", "high", None, True, "nats"),
    Number("log_likelihood_flow", "likelihood by the flow", "high", None, True, "nats"),
    Number("log_likelihood_bound", "likelihood of its walk", "high", None, True, "nats"),
    Number("strength", "strength of the density", None, None, True),
    Number("drift_1000", "drift in 1,000 moves", "low", None, True, "sd"),
    Number("drift_1000_nats", "drift in 1,000 moves", "low", None, True, "nats"),
    Number("drift_1000_samples", "the same of samples", "low", None, True, "sd", "generator"),
    Number("drift_1000_samples_nats", "the same of samples", "low", None, True, "nats", "generator"),
)
OWN_SAMPLES = (
    *(
        n._replace(name=LADDER + n.name, title=f"{n.title}, of the energy", panel=None, at_end=True)
        for n in OF_IMAGES
    ),
    Number("auc_data_energy", "AUC data | energy", "low", None, True),
    Number("auc_generator_energy", "AUC generator | energy", "low", None, True, "", "generator"),
    Number("auc_standard_error", "error of these", None, None, True),
)
CLASSES = (  # of held-out points with labels
    Number("accuracy", "accuracy", "high", "classes: accuracy"),
    Number("calibration_error", "calibration error", "low", "classes: calibration error"),
    Number("cross_entropy", "cross-entropy", "low", "classes: cross-entropy", unit="nats"),
    Number("auroc_noise", "AUROC, noise", "high", TOLD, needs="images"),
    Number("auroc_scaled", "AUROC, half contrast", "high", TOLD, needs="images"),
)
NETWORKS = (  # of networks whose weights are generated
    Number("single_accuracy", "accuracy of one network", "high", MANY),
    Number("single_accuracy_worst", "accuracy of the worst", "high", MANY),
    Number("ensemble_5_accuracy", "accuracy of 5 together", "high", MANY),
    Number("ensemble_20_accuracy", "accuracy of 20 together", "high", MANY),
    Number("single_calibration_error", "calibration error of one", "low"),
    Number("ensemble_5_calibration_error", "calibration error of 5", "low"),
    Number("ensemble_20_calibration_error", "calibration error of 20", "low"),
    Number("network_agreement", "points that two name alike", None, "classes: agreement of networks"),
    Number("network_distance", "distance of two networks", "high", APART),
    Number("network_nearest", "distance to the nearest", "high", APART),
    Number("network_entropy", "entropy of the networks", "high", unit="nats"),
    Number("path_ends_loss", "loss of networks", "low", PATHS, unit="nats"),
    Number("path_latent_loss", "highest on latent paths", "low", PATHS, unit="nats"),
    Number("path_straight_loss", "highest on straight paths", None, PATHS, unit="nats"),
)
SYMBOLS = (  # of samples that are to be of a class
    Number("class_samples_right", "samples of a class right", "high", None, True, "", "images"),
    Number("class_samples_worst", "of the worst class", "high", None, True, "", "images"),
)

# ---- what else is said of a run

MOVED = (  # of samples that chains in latent space have moved
    Number("mean_energy", "mean energy", "low", unit="nats"),
    Number("acceptance_rate", "acceptance"),
    Number("lowest_acceptance_rate", "lowest acceptance"),
    Number("highest_acceptance_rate", "highest acceptance"),
    Number("step_size", "step size"),
)
TRACKED = (
    Number("train/energy_gap", "energy gap", None, GAP),
    Number("train/entropy", "entropy", None, "training: entropy in the loss"),
    Number("train/energy_positive", "energy of data", None, ENERGIES),
    Number("train/energy_negative", "energy of negatives", None, ENERGIES),
    Number("train/chains_acceptance", "acceptance of the chains", None, ACCEPTANCE),
    Number("train/prior_chains_acceptance", "acceptance of the prior's chains", None, ACCEPTANCE),
    Number("train/posterior_chains_acceptance", "acceptance of the posterior's chains", None, ACCEPTANCE),
    Number("val/refine_acceptance", "acceptance of MALA", None, ACCEPTANCE),
    Number("train/chains_step_size", "step size of the chains", None, STEPS),
    Number("train/prior_chains_step_size", "step size of the prior's chains", None, STEPS),
    Number("train/posterior_chains_step_size", "step size of the posterior's chains", None, STEPS),
    Number("train/step_size", "step size of short runs", None, STEPS),
    Number("val/refine_step_size", "step size of MALA", None, STEPS),
    Number("train/prior_energy_gap", "prior's latents over posterior's", None, LATENTS),
    Number("train/pairs_gap", "generated pairs over the data's", None, LATENTS),
    Number("train/base_likelihood", "−log p of the base", "low", "training: likelihood of the base"),
    Number("train/reconstruction", "−log p(x | z)", None, BOUND),
    Number("train/kl", "KL of the encoder to the prior", None, BOUND),
    Number("train/step_bound", "bound that chose the step size", "low", BOUND),
    Number("train/symbol_information", "I(z; y)", None, SYMBOL_TERMS, unit="nats"),
    Number("train/label_cross_entropy", "cross-entropy of labelled points", "low", SYMBOL_TERMS, unit="nats"),
    Number("train/posterior_variance", "mean variance of the encoder", None, "training: posterior variance"),
    Number("train/coarse_gap", "energy gap of the coarse grid", None, BY_GRID),
    Number("train/middle_gap", "energy gap of the middle grid", None, BY_GRID),
    Number("train/fine_gap", "energy gap of the fine grid", None, BY_GRID),
    Number(
        "train/told",
        "what the energy tells, a bound on JS",
        None,
        "training: contrast with the flow",
        unit="nats",
    ),
    Number("train/accuracy", "points that it tells right", None, "training: accuracy of the contrast"),
    Number("train/gradient_energy", "gradient of the energy", None, GRADIENTS),
    Number("train/gradient_generator", "gradient of the generator", None, GRADIENTS),
)

NUMBERS: dict[str, Number] = {}
for _n in (
    *POINTS,
    *OF_COLUMNS,
    *ASSESSMENT,
    *IMAGES,
    *INTERPOLATION,
    *RECONSTRUCTION,
    *OF_SENTENCES,
    *OF_TEXT,
    *IMAGE_ENERGIES,
    *OF_GRIDS,
    *CHAINS,
    *ANATOMY,
    *MIXING,
    *OF_LIKELIHOOD,
    *LEVELS,
    *OWN_SAMPLES,
    *OF_CONSTANT,
    *OF_BITS,
    *OF_LATENTS,
    *OF_LATENT_LIKELIHOOD,
    *CLASSES,
    *SYMBOLS,
    *NETWORKS,
    *MOVED,
    *TRACKED,
):
    NUMBERS.setdefault(_n.name, _n)


def number(name: str) -> Number:
    """What is declared of a name, with or without `val/` before it.

    Raises:
        KeyError: nothing is.
    """
    return NUMBERS[name] if name in NUMBERS else NUMBERS[name.removeprefix("val/")]


# by name the titles of what figures/curves.png shows
CURVES = {n.name: n.label for n in NUMBERS.values() if n.panel and not n.at_end and "/" not in n.name}


def training_titles(rows: Iterable[Mapping[str, float | int]]) -> dict[str, str]:
    """By name the titles of what training has logged: declared, or the words of the name."""
    logged = {name: None for row in rows for name in row if name.startswith("train/")}
    declared = {n.name: n.title for n in TRACKED}
    return {
        name: f"training: {declared.get(name, name.removeprefix('train/').replace('_', ' '))}"
        for name in logged
    }
