"""How far data, energy and generator agree: in the plane, on images, with each entropy of METHOD=meg."""

from pathlib import Path
from typing import ClassVar

from energy_gan.studies.tables import HELD_OUT, Agreement


class TwoDimensions(Agreement):
    name = "two_dimensions"
    about = "every recipe on every set of the plane -> docs/two_dimensions.md"
    data = (
        "four_spin", "two_spiral", "eight_gaussians", "twenty_five_gaussians", "swiss_roll", "checkerboard",
        "rings",
    )  # fmt: skip
    held_out = tuple(HELD_OUT)
    methods = (
        "aligned", "aligned_chains", "fce", "kim_bengio", "exact_likelihood", "convergent", "flow",
    )  # fmt: skip
    seeds = (0, 1, 2, 3, 4)
    columns: ClassVar = {
        "kl_data_energy": ("KL(data‖energy)", min),
        "kl_generator_energy": ("KL(gen.‖energy)", min),
        "refined_kl_generator_energy": ("refined", min),
        "hdr99": ("in 99 % region", max),
        "refined_hdr99": ("refined", max),
        "smallest_mode": ("smallest mode", max),
        "sliced_w2": ("sliced W2", min),
    }
    yardsticks: ClassVar = {
        "gaussian": "Gaussian",
        "kde": "kernel estimate",
        "fresh data": "fresh data: the floor",
    }
    picture = "energy_map"
    caption = "three log densities on one scale"
    out = Path("docs/two_dimensions.md")
    head = f"""\
# Two dimensions: how far data, energy and generator agree

Made by `make study STUDY=two_dimensions`. A trial is `make train DATA=… METHOD=… ARGS=seed=…`; the data are
drawn anew with each seed, 10,000 points to train on. KL in nats, integrated on a grid; the generator's by
200,000 samples with Miller and Madow's correction. "refined": the samples after 5 steps of MALA on the
energy. Each cell is the mean over the seeds and, in brackets, the worst of them. Seconds are of training as a
whole, on one thread of a shared machine. `fce` and `nt_ebm` have their tables in [flows.md](flows.md).

Held out, so that no setting was chosen by them: {", ".join(HELD_OUT)}.
Their tables are drawn by `make draw` and read through `DATA=points`."""


LONG = (
    "trainer.max_steps=20000", "method.penalty.weight=1.0", "method.generator.prior.latent_dim=32",
    "method.energy_learns.optimizer.lr=0.00025", "method.generator_learns.optimizer.lr=0.0005",
)  # fmt: skip


class Images(Agreement):
    name = "images"
    about = "what each method reaches on images -> docs/image_results.md"
    data = ("mnist",)
    held_out = ()
    methods = ("critic_long", "critic", "gan", "kim_bengio")
    seeds = (1, 2, 3)  # settings were tried on seed 0
    columns: ClassVar = {
        "frechet_lenet": ("Fréchet, LeNet", min),
        "recall_lenet": ("recall, LeNet", max),
        "class_smallest_share": ("smallest class", max),
        "class_kl": ("KL of classes", min),
        "mean_confidence": ("confidence", max),
        "nearest_train_ratio": ("nearest ratio", max),
        "drift": ("drift", min),
    }
    yardsticks: ClassVar = {
        "held-out data": "held-out data",
        "pixel Gaussian": "pixel Gaussian",
        "mixture of PPCA": "mixture of 50 probabilistic PCA",
    }
    picture = "samples"
    caption = "64 samples, not chosen"
    out = Path("docs/image_results.md")
    head = """\
# Images: what each method reaches

Made by `make study STUDY=images`. A trial is `make train DATA=… METHOD=… ARGS=seed=…`. 10,000 samples
against all training images; the columns are explained in [images.md](images.md). Each cell is the mean over
the seeds and, in brackets, the worst of them. Seconds are of training as a whole, on one thread of a shared
machine. The Fréchet distance is in the units of the classifier that was trained on the set: compare with the
yardsticks. `critic_long` is `critic` for about ten minutes of one core:

    ARGS='{long}'""".format(long=" ".join(LONG))
    variants: ClassVar = {"critic_long": ["method=critic", *LONG]}
    one_picture = False


TERMS, ENTROPY = "energy_gan.generator_terms", "method.terms.entropy"
SMALL = f"{ENTROPY}.statistics.hidden=[128,128,128]"


class Entropies(TwoDimensions):
    name = "entropies"
    about = "METHOD=meg in the plane with each estimate of the entropy -> docs/entropies.md"
    data = ("eight_gaussians", "twenty_five_gaussians", "swiss_roll")
    held_out = ()
    methods = (
        "jensen_shannon", "donsker_varadhan", "info_nce", "nearest_neighbours", "batch_norm", "none",
    )  # fmt: skip
    seeds = (0, 1, 2)
    columns: ClassVar = {
        "kl_data_energy": ("KL(data‖energy)", min),
        "kl_generator_energy": ("KL(gen.‖energy)", min),
        "refined_kl_generator_energy": ("refined", min),
        "modes_covered": ("modes", max),
        "smallest_mode": ("smallest mode", max),
        "hdr99": ("in 99 % region", max),
        "sliced_w2": ("sliced W2", min),
    }
    out = Path("docs/entropies.md")
    head = """\
# Maximum entropy generators in the plane, with each estimate of the entropy

Made by `make study STUDY=entropies`. A trial is `make train DATA=… METHOD=meg ARGS='seed=… …'` with the
settings of `Entropies` in energy_gan/studies/agreement.py, on the authors' narrow sets: 2,000 steps of
networks with three layers of 128 at five times the authors' rate, where they have 100,000 steps and layers
of 512. KL in nats, integrated on a grid. Each cell is the mean over the seeds and, in brackets, the worst
of them. Seconds are of training as a whole, on one thread of a shared machine."""
    variants: ClassVar = {
        name: [
            "method=meg", "trainer.max_steps=2000", "method.energy.features.hidden=[128,128,128]",
            "method.generator.hidden=[128,128,128]", "method.energy_learns.optimizer.lr=0.0005",
            "method.generator_learns.optimizer.lr=0.0005", f"{ENTROPY}.learns.optimizer.lr=0.0005", *own,
        ]
        for name, own in {
            "jensen_shannon": [SMALL],
            "donsker_varadhan": [SMALL, f"{ENTROPY}.estimator=donsker_varadhan"],
            "info_nce": [SMALL, f"{ENTROPY}.estimator=info_nce", f"{ENTROPY}.negatives=all_pairs"],
            "nearest_neighbours": [
                f"~{ENTROPY}",
                f"+{ENTROPY}._target_={TERMS}.nearest_neighbour_entropy.NearestNeighbourEntropy",
            ],
            "batch_norm": [
                f"~{ENTROPY}", f"+{ENTROPY}._target_={TERMS}.batch_norm_entropy.BatchNormEntropy",
                f"+{ENTROPY}.reduction=mean", "method.generator.batch_norm=true",
            ],
            "none": [f"{ENTROPY}=null"],
        }.items()
    }  # fmt: skip
