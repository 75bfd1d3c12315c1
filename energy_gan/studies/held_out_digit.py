"""MNIST with a digit held out, over digits and seeds: each method's energies beside other detectors, and the
published areas under the precision-recall curve -> docs/anomaly_mnist.md.

A trial is a run, runs/anomaly_mnist/<method>/digit_<digit>/seed_<seed>.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energy_gan.errors import InputError
from energy_gan.run.compose import read_config
from energy_gan.run.words import split_trust
from energy_gan.studies.anomalies import AnomalyStudy, Rows
from energy_gan.studies.held_out_digit_page import DIGITS, head, page
from energy_gan.studies.study import Trial
from energy_gan.studies.trials import check_test

RECIPES = {  # chosen on digit 8, which is not in the table
    "meg": [
        "method.energy_learns.steps=1", "method.penalty.reduction=per_sample", "method.penalty.weight=0.01",
        "method.energy_learns.optimizer.lr=0.0005", "method.generator_learns.optimizer.lr=0.0005",
        "method.terms.entropy.learns.optimizer.lr=0.0005", "method.generator.prior.latent_dim=32",
        "method.energy.features.last_activation=leaky_relu", "trainer.max_steps=3000",
        "callbacks.average={_target_: energy_gan.callbacks.average.AverageWeights, decay: 0.998}",
    ],
    "tilted_energy": ["method.energy.quadratic.rank=10", "trainer.max_steps=1500"],
    # σ of a prototype; an encoder that leaves the energy alone, and 12 latents, chosen on 0, 2, 3, 6 and 8
    "lebm": [
        "method.generator.prior.latent_dim=12", "method.generator.noise.scale=0.2",
        "+method.inference.amortised.kl_weight={_target_: energy_gan.inference.kl_weight.KLWeight, "
        "rise: 0.0, tilt: 0.0}",
    ],
}  # fmt: skip
NORMAL = 8_000  # images trained on, by whose scores others are measured


class HeldOutDigit(AnomalyStudy):
    name = "held_out_digit"
    about = "MNIST with a digit held out, over digits and seeds -> docs/anomaly_mnist.md"
    methods = ("meg", "tilted_energy")
    seeds = (0, 1, 2)
    folder = Path("runs/anomaly_mnist")
    out = Path("docs/anomaly_mnist.md")
    rescale = False

    def __init__(self, given: argparse.Namespace):
        super().__init__(given)
        self.read_in: dict[int, Any] = {}  # the digit whose images are in memory
        self.seconds: dict[Trial, float] = {}

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        super().arguments(parser)
        parser.add_argument("--digits", nargs="+", type=int, default=DIGITS, help="(1 4 5 7 9)")
        parser.add_argument("--steps", type=int, help="of training, instead of those of the method's recipe")

    def check(self) -> None:
        super().check()
        if wrong := [digit for digit in self.given.digits if not 0 <= digit <= 9]:
            raise InputError(f"--digits must be from 0 to 9, got {wrong[0]}")
        if self.given.steps is not None and self.given.steps < 1:
            raise InputError(f"--steps must be at least 1, got {self.given.steps}")

    @property
    def sets(self) -> Sequence[int]:
        return self.given.digits

    def path(self, trial: Trial) -> Path:
        return self.given.folder / trial.method / f"digit_{trial.data}" / f"seed_{trial.seed}"

    def overrides(self, trial: Trial) -> list[str]:
        """Without a report: its classifier would have to be trained for every digit anew."""
        steps = [] if self.given.steps is None else [f"trainer.max_steps={self.given.steps}"]
        chosen = [f"method={trial.method}", f"seed={trial.seed}", "callbacks.report=null"]
        recipe = RECIPES.get(trial.method, [])
        return [*of_digit(trial.data), *chosen, *recipe, *self.given.set, *steps]

    def data(self, key: int) -> Any:
        if key not in self.read_in:
            self.read_in.clear()  # one at a time in memory: reading takes a second
            self.read_in[key] = self.build(*of_digit(key))
            check_test(self.given.folder / "test.json", facts_of(self.read_in[key]), key)
        return self.read_in[key]

    def train(self, trial: Trial) -> Path | None:
        fresh, start = not self.path(trial).exists(), time.perf_counter()
        log = super().train(trial)
        if fresh:
            self.seconds[trial] = time.perf_counter() - start
        return log

    def trained(self, trial: Trial) -> bool:
        """By its checkpoints: there is no report to tell."""
        from energy_gan.run.checkpoints import newest

        run = self.path(trial)
        if not list(run.glob("checkpoints/step_*.ckpt")):
            return False
        return newest(run)[1]["global_step"] >= read_config(run)["trainer"]["max_steps"]

    def detectors(self) -> Sequence[str]:
        from energy_gan.metrics.anomaly import OF_IMAGES

        return OF_IMAGES

    def features(self, data, x):
        return data.pixels(x).flatten(1)

    def measure(self, scores, data) -> dict[str, dict[str, float]]:
        return both(scores, data.test_labels.numpy())

    def score(self, trial: Trial) -> dict[str, Any]:
        trust, seconds = split_trust(self.given.set)[1], self.seconds.get(trial)
        measured = score(self.path(trial), self.data(trial.data), trust)
        return measured if seconds is None else {"seconds": seconds} | measured

    def write(self, rows: Rows) -> None:
        shown = page(rows, self.given.digits)
        self.given.out.write_text(head(self.given) + "\n" + shown + "\n")
        print(f"{shown}\n-> {self.given.out}")


def of_digit(digit: int) -> list[str]:
    return ["data=mnist", f"data.without={digit}", "data.cache=null"]


def facts_of(data) -> dict[str, Any]:
    """What tells the test from that of other settings."""
    n_anomalies = int(data.test_labels.sum())
    facts = {"train": len(data.points), "inliers": len(data.test) - n_anomalies, "anomalies": n_anomalies}
    return facts | {"shape": list(data.shape)}


def score(run: Path, data, trust: Sequence[str] = ()) -> dict[str, dict[str, dict[str, float]]]:
    """The numbers of a run in both tests: by its energy, the norm of its gradient, a density's excess; of a
    model with latents by −log p(x, z) and each of its parts; of one with an energy prior also by the
    surprises of these.
    """
    import torch

    from energy_gan.energies.base import stated
    from energy_gan.metrics.anomaly import excess_and_slope, gaussian_energy, scores_of, surprises
    from energy_gan.numerics.ppca import evenly
    from energy_gan.run.checkpoints import load

    model = load(run, trust)
    is_density = stated(model.learned.energy, "base") is not None
    infers = "inference" in model.offers
    normal = evenly(data.points, NORMAL) if is_density or infers else data.points[:0]
    images = torch.cat([normal, data.test])
    scores = scores_of(run, model, data.pixels(images))
    if is_density:  # in nats
        train, u = (data.standardise(x).flatten(1) for x in (data.points, images))
        excess = scores["E"] - gaussian_energy(train, u, model.data_noise).numpy() / 2
        scores["E − ½ E₀"] = excess
        scores["E − ½ E₀ and ‖∇E‖²"] = excess_and_slope(excess, scores["‖∇E‖²"], len(normal))
    if "U(z)" in scores:
        parts = [scores[name] for name in ("−log p(x | z)", "−log p(z)", "U(z)")]
        scores["the surprises of these three"] = surprises(parts, len(normal))
    labels = data.test_labels.numpy()
    return {name: both(values[len(normal) :], labels) for name, values in scores.items()}


def both(scores, labels) -> dict[str, dict[str, float]]:
    """The numbers of one score in both tests."""
    from energy_gan.data.held_out_digit import share_of_anomalies
    from energy_gan.metrics.anomaly import measure

    kept = share_of_anomalies(labels)
    return {
        "share": measure(scores[kept], labels[kept], float(labels[kept].mean())),
        "all": measure(scores, labels, float(labels.mean())),
    }
