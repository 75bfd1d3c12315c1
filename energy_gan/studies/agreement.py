"""What `make report` runs and shows, of points, of images and of the entropies of `METHOD=meg`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HELD_OUT = {  # never looked at while a recipe was chosen; drawn as tables and read through data=points
    "uneven_weights": "gaussians.UnevenWeights",
    "uneven_scales": "gaussians.UnevenScales",
    "thin_ridges": "mixtures.ThinRidges",
    "heavy_tails": "mixtures.HeavyTails",
    "far_modes": "gaussians.FarModes",
}


class Kind(NamedTuple):
    """What is run and shown: of points, of images or of entropies."""

    data: Sequence[str]
    held_out: Sequence[str]
    methods: Sequence[str]
    seeds: Sequence[int]
    columns: Mapping[str, tuple[str, Callable]]  # key: (title, the better end)
    yardsticks: Mapping[str, str]
    picture: str
    caption: str
    out: Path
    head: str
    variants: Mapping[str, Sequence[str]] = {}  # overrides of a name in `methods` that is none of conf/method
    one_picture: bool = True  # of each set, by the first method; or one of each method


POINTS = Kind(
    data=(
        "four_spin", "two_spiral", "eight_gaussians", "twenty_five_gaussians", "swiss_roll", "checkerboard",
        "rings",
    ),
    held_out=tuple(HELD_OUT),
    methods=(
        "aligned", "aligned_chains", "flow_contrast", "kim_bengio", "exact_likelihood", "langevin", "flow",
    ),
    seeds=(0, 1, 2, 3, 4),
    columns={
        "kl_data_energy": ("KL(data‖energy)", min),
        "kl_generator_energy": ("KL(gen.‖energy)", min),
        "refined_kl_generator_energy": ("refined", min),
        "hdr99": ("in 99 % region", max),
        "refined_hdr99": ("refined", max),
        "smallest_mode": ("smallest mode", max),
        "sliced_w2": ("sliced W2", min),
    },
    yardsticks={"gaussian": "Gaussian", "kde": "kernel estimate", "fresh data": "fresh data: the floor"},
    picture="energy_map",
    caption="three log densities on one scale",
    out=Path("docs/two_dimensions.md"),
    head=f"""\
# Two dimensions: how far data, energy and generator agree

Made by `make report`. A trial is `make train DATA=… METHOD=… ARGS=seed=…`; the data are drawn anew
with each seed, 10,000 points to train on. KL in nats, integrated on a grid; the generator's by 200,000
samples with Miller and Madow's correction. "refined": the samples after 5 steps of MALA on the energy. Each
cell is the mean over the seeds and, in brackets, the worst of them. Seconds are of training as a whole,
on one thread of a shared machine.

Held out, so that no setting was chosen by them: {", ".join(HELD_OUT)}.
Their tables are drawn by `make draw` and read through `DATA=points`.""",
)  # fmt: skip
LONG = (
    "trainer.max_steps=20000", "method.penalty.weight=1.0", "method.generator.prior.latent_dim=32",
    "method.energy_learns.optimizer.lr=0.00025", "method.generator_learns.optimizer.lr=0.0005",
)  # fmt: skip
IMAGES = Kind(
    data=("mnist",),
    held_out=(),
    methods=("critic_long", "critic", "gan", "kim_bengio"),
    seeds=(1, 2, 3),  # settings were tried on seed 0
    columns={
        "frechet_lenet": ("Fréchet, LeNet", min),
        "recall_lenet": ("recall, LeNet", max),
        "class_smallest_share": ("smallest class", max),
        "class_kl": ("KL of classes", min),
        "mean_confidence": ("confidence", max),
        "nearest_train_ratio": ("nearest ratio", max),
        "drift": ("drift", min),
    },
    yardsticks={
        "held-out data": "held-out data",
        "pixel Gaussian": "pixel Gaussian",
        "mixture of PPCA": "mixture of 50 probabilistic PCA",
    },
    picture="samples",
    caption="64 samples, not chosen",
    out=Path("docs/image_results.md"),
    head="""\
# Images: what each method reaches

Made by `make report ARGS=--images`. A trial is `make train DATA=… METHOD=… ARGS=seed=…`. 10,000 samples
against all training images; the columns are explained in [images.md](images.md). Each cell is the mean over
the seeds and, in brackets, the worst of them. Seconds are of training as a whole, on one thread of a shared
machine. The Fréchet distance is in the units of the classifier that was trained on the set: compare with the
yardsticks. `critic_long` is `critic` for about ten minutes of one core:

    ARGS='{long}'""".format(long=" ".join(LONG)),
    variants={"critic_long": ["method=critic", *LONG]},
    one_picture=False,
)
TERMS, ENTROPY = "energy_gan.generator_terms", "method.terms.entropy"
SMALL = f"{ENTROPY}.statistics.hidden=[128,128,128]"
ENTROPIES = POINTS._replace(
    data=("eight_gaussians", "twenty_five_gaussians", "swiss_roll"),
    held_out=(),
    methods=(
        "jensen_shannon", "donsker_varadhan", "info_nce", "nearest_neighbours", "batch_norm", "none",
    ),
    seeds=(0, 1, 2),
    columns={
        "kl_data_energy": ("KL(data‖energy)", min),
        "kl_generator_energy": ("KL(gen.‖energy)", min),
        "refined_kl_generator_energy": ("refined", min),
        "modes_covered": ("modes", max),
        "smallest_mode": ("smallest mode", max),
        "hdr99": ("in 99 % region", max),
        "sliced_w2": ("sliced W2", min),
    },
    out=Path("docs/entropies.md"),
    head="""\
# Maximum entropy generators in the plane, with each estimate of the entropy

Made by `make report ARGS=--entropies`. A trial is `make train DATA=… METHOD=meg ARGS='seed=… …'` with the
settings of `ENTROPIES` in energy_gan/studies/agreement.py, on the authors' narrow sets: 2,000 steps of
networks with three layers of 128 at five times the authors' rate, where they have 100,000 steps and layers
of 512. KL in nats, integrated on a grid. Each cell is the mean over the seeds and, in brackets, the worst
of them. Seconds are of training as a whole, on one thread of a shared machine.""",
    variants={
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
    },
)  # fmt: skip
