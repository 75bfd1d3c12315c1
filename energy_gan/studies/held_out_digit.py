"""MNIST with a digit held out, over digits and seeds: each method's energies beside other detectors, and the
published areas under the precision-recall curve -> docs/anomaly_mnist.md.

A trial is a run, runs/anomaly_mnist/<method>/digit_<digit>/seed_<seed>; what its scores are worth is kept in
it as anomaly.json. What is there is not run again, and what was cut short goes on from its last checkpoint;
a trial that was made with other settings is refused.
"""

import time
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.metrics.anomaly import scores_of
from energy_gan.run.compose import compose, read_config, split_trust
from energy_gan.studies.held_out_digit_page import DIGITS, Row, head, page
from energy_gan.studies.trials import (
    add_missing,
    check_given,
    check_recipe,
    check_test,
    keep,
    read_numbers,
    run_trial,
)

SEEDS = (0, 1, 2)
RECIPES = {  # chosen on digit 8, which is not in the table
    "meg": [
        "method.energy_learns.steps=1", "method.penalty.reduction=per_sample", "method.penalty.weight=0.01",
        "method.energy_learns.optimizer.lr=0.0005", "method.generator_learns.optimizer.lr=0.0005",
        "method.terms.entropy.learns.optimizer.lr=0.0005", "method.generator.prior.latent_dim=32",
        "method.energy.features.last_activation=leaky_relu", "trainer.max_steps=3000",
        "callbacks.average={_target_: energy_gan.callbacks.average.AverageWeights, decay: 0.998}",
    ],
    "tilted": [
        "method.generator=null", "method.terms.entropy=null", "method.energy.quadratic.rank=10",
        "trainer.max_steps=1500",
    ],
}  # fmt: skip
NORMAL = 8_000  # images trained on, by whose scores others are measured


class Trial(NamedTuple):
    method: str
    digit: int
    seed: int

    def run(self, folder: Path) -> Path:
        return folder / self.method / f"digit_{self.digit}" / f"seed_{self.seed}"


def main() -> None:
    parser = Parser("anomaly_images", description=__doc__)
    parser.add_argument("--methods", nargs="*", default=["meg", "tilted"], help="(meg tilted)")
    parser.add_argument("--digits", nargs="+", type=int, default=DIGITS, help="(1 4 5 7 9)")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="(0 to 2)")
    parser.add_argument("--steps", type=int, help="of training, instead of those of the method's recipe")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="key=value", help="for every trial, as data.root=…"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/anomaly_mnist"), help="of the trials")
    parser.add_argument("--out", type=Path, default=Path("docs/anomaly_mnist.md"))
    parser.add_argument(
        "--no-runs", action="store_true", help="show what is there, whatever its settings; run nothing"
    )
    given = parser.parse_args()
    check_given(given)
    if wrong := [digit for digit in given.digits if not 0 <= digit <= 9]:
        raise InputError(f"--digits must be from 0 to 9, got {wrong[0]}")
    if given.steps is not None and given.steps < 1:
        raise InputError(f"--steps must be at least 1, got {given.steps}")

    failures = [] if given.no_runs else run_all(given)
    rows = read(given.methods, given.digits, given.seeds, given.folder)
    if not rows and not failures:
        raise InputError(
            f"there is no finished trial in {given.folder}: run `make anomaly-images` without --no-runs"
        )
    if rows:
        shown = page(rows, given.digits)
        given.out.write_text(head(given) + "\n" + shown + "\n")
        print(f"{shown}\n-> {given.out}")
    if failures:
        raise InputError(f"{len(failures)} trials failed, their logs: {', '.join(map(str, failures))}")


def run_all(given) -> list[Path]:
    """Train, score and measure what is not there yet; the logs of the trials that failed."""
    from energy_gan.run.build import build, check

    trials = [Trial(*t) for t in product(given.methods, given.digits, given.seeds)]
    trials.sort(key=lambda t: t.seed)  # a first table early, the other seeds after it
    _, trust = split_trust(given.set)
    for method in given.methods:
        compose(split_trust(overrides(Trial(method, 0, 0), given))[0])  # a mistake is told before hours
    for trial in trials:
        check_recipe(trial.run(given.folder), overrides(trial, given))
    sets = {}

    def data_of(digit: int):
        if digit not in sets:
            sets.clear()  # one at a time in memory: reading takes a second
            settings = [o for o in given.set if o.startswith("data.")]
            node = compose([*of_digit(digit), *settings])["data"]
            check({"data": node}, trust)
            sets[digit] = build(node, "data")
            sets[digit].setup()
            check_test(given.folder / "test.json", facts_of(sets[digit]), digit)
        return sets[digit]

    for seed, digit in product(given.seeds, given.digits):
        detect(digit, seed, given.folder, data_of, first=seed == given.seeds[0])
    failures = []
    for trial in (bar := tqdm(trials, unit="run", disable=not trials)):
        path = trial.run(given.folder)
        bar.set_postfix_str(str(path.relative_to(given.folder)))
        if (path / "anomaly.json").is_file():
            continue
        data, fresh, start = data_of(trial.digit), not path.exists(), time.perf_counter()
        if not finished(path) and (log := run_trial(path, overrides(trial, given))):
            failures.append(log)
            continue
        seconds = {"seconds": time.perf_counter() - start} if fresh else {}
        keep(path / "anomaly.json", seconds | score(path, data, trust))
    return failures


def of_digit(digit: int) -> list[str]:
    return ["data=mnist", f"data.without={digit}", "data.cache=null"]


def overrides(trial: Trial, given) -> list[str]:
    """Without a report: its classifier would have to be trained for every digit anew."""
    steps = [] if given.steps is None else [f"trainer.max_steps={given.steps}"]
    chosen = [f"method={trial.method}", f"seed={trial.seed}", "callbacks.report=null"]
    return [*of_digit(trial.digit), *chosen, *RECIPES.get(trial.method, []), *given.set, *steps]


def finished(run: Path) -> bool:
    """Whether it was trained to the end; there is no report to tell."""
    from energy_gan.run.checkpoints import newest

    if not list(run.glob("checkpoints/step_*.ckpt")):
        return False
    return newest(run)[1]["global_step"] >= read_config(run)["trainer"]["max_steps"]


def facts_of(data) -> dict[str, Any]:
    """What tells the test from that of other settings."""
    n_anomalies = int(data.test_labels.sum())
    facts = {"train": len(data.points), "inliers": len(data.test) - n_anomalies, "anomalies": n_anomalies}
    return facts | {"shape": list(data.shape)}


def score(run: Path, data, trust: Sequence[str] = ()) -> dict[str, dict[str, dict[str, float]]]:
    """The numbers of a run in both tests: by its energy, the norm of its gradient, a density's excess."""
    import torch

    from energy_gan.energies.base import stated
    from energy_gan.metrics.anomaly import excess_and_slope, gaussian_energy
    from energy_gan.numerics.ppca import evenly
    from energy_gan.run.checkpoints import load

    model = load(run, trust)
    is_density = stated(model.learned.energy, "base") is not None
    normal = evenly(data.points, NORMAL) if is_density else data.points[:0]
    images = torch.cat([normal, data.test])
    scores = scores_of(run, model, data.pixels(images))
    if is_density:  # in nats
        train, u = (data.standardise(x).flatten(1) for x in (data.points, images))
        excess = scores["E"] - gaussian_energy(train, u, model.data_noise).numpy() / 2
        scores["E − ½ E₀"] = excess
        scores["E − ½ E₀ and ‖∇E‖²"] = excess_and_slope(excess, scores["‖∇E‖²"], len(normal))
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


def detect(digit: int, seed: int, folder: Path, data_of, first: bool) -> None:
    """The numbers of the detectors with one seed; of those without chance with the first seed only."""
    from energy_gan.metrics.anomaly import DETERMINISTIC, OF_IMAGES, detectors

    path = detectors_of(digit, seed, folder)
    names = [name for name in OF_IMAGES if first or name not in DETERMINISTIC]

    def numbers(name: str) -> dict[str, dict[str, float]]:
        data = data_of(digit)
        train, test = (data.pixels(x).flatten(1).numpy() for x in (data.points, data.test))
        scores = detectors(train, test, seed, [name], rescale=False)[name]
        return both(scores, data.test_labels.numpy())

    add_missing(path, names, numbers, f", digit {digit}")


def detectors_of(digit: int, seed: int, folder: Path) -> Path:
    return folder / "detectors" / f"digit_{digit}" / f"seed_{seed}.json"


def read(methods: Sequence[str], digits: Iterable[int], seeds: Iterable[int], folder: Path) -> dict[str, Row]:
    """The numbers of each row of the tables that are there."""
    rows: dict[str, Row] = {}
    trials = list(product(digits, seeds))
    for method, (digit, seed) in product(methods, trials):
        numbers = read_numbers(Trial(method, digit, seed).run(folder) / "anomaly.json")
        numbers.pop("steps", None)  # of an earlier version
        seconds = {"seconds": numbers.pop("seconds", None)}
        for name, tests in numbers.items():
            rows.setdefault(f"`{method}`, by {name}", {}).setdefault(digit, []).append(seconds | tests)
    for digit, seed in trials:
        for name, numbers in read_numbers(detectors_of(digit, seed, folder)).items():
            rows.setdefault(name, {}).setdefault(digit, []).append(numbers)
    return rows


if __name__ == "__main__":
    door(main)
