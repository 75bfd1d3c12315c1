"""Every recipe on every set of the plane, and what comes of it as docs/two_dimensions.md; or of images; or
the entropy estimates of `METHOD=meg`.

A trial is a run, runs/report/<method>/<data>/seed_<seed>. What is there is not run again, and what was
cut short goes on from its last checkpoint; so the report can be stopped and started at any time. A trial
that was made with other settings is refused.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from tqdm import tqdm

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.run.compose import options
from energy_gan.studies.agreement import ENTROPIES, HELD_OUT, IMAGES, POINTS, Kind
from energy_gan.studies.trials import cell, check_recipe, run_trial


class Trial(NamedTuple):
    method: str
    data: str
    seed: int

    def run(self, folder: Path) -> Path:
        return folder / self.method / self.data / f"seed_{self.seed}"


def main() -> None:
    parser = Parser("report", description=__doc__)
    parser.add_argument(
        "--images", action="store_true", help="images instead of points -> docs/image_results.md"
    )
    parser.add_argument(
        "--entropies", action="store_true", help="METHOD=meg with each estimate -> docs/entropies.md"
    )
    parser.add_argument("--methods", nargs="+", help="(all of the kind; of entropies the estimates)")
    parser.add_argument("--data", nargs="+", help="(all of the plane; of images mnist; the narrow sets)")
    parser.add_argument(
        "--seeds", nargs="+", type=int, help="(0 to 4; of images 1 to 3; of entropies 0 to 2)"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="key=value", help="for every trial, as data.root=…"
    )
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time, one thread each (2)")
    parser.add_argument("--folder", type=Path, default=Path("runs/report"), help="of the trials")
    parser.add_argument("--out", type=Path, help="(docs/two_dimensions.md, image_results.md or entropies.md)")
    parser.add_argument(
        "--no-runs", action="store_true", help="report what is there, whatever its settings; run nothing"
    )
    given = parser.parse_args()
    if given.images and given.entropies:
        raise InputError("--images and --entropies are two reports: give one of them")
    kind = IMAGES if given.images else ENTROPIES if given.entropies else POINTS
    given.methods = given.methods or kind.methods
    given.data = given.data or [*kind.data, *kind.held_out]
    given.seeds = kind.seeds if given.seeds is None else given.seeds
    given.out = given.out or kind.out
    for what, names, known in (
        ("--methods", given.methods, [*kind.variants, *options("method")]),
        ("--data", given.data, [*options("data"), *HELD_OUT]),
    ):
        if unknown := set(names) - set(known):
            raise InputError(
                f"{what} {' '.join(sorted(unknown))} is unknown: choose from {' '.join(sorted(known))}"
            )
    if given.jobs < 1:
        raise InputError(f"--jobs must be at least 1, got {given.jobs}")

    trials = [Trial(*t) for t in product(given.methods, given.data, given.seeds)]
    trials.sort(key=lambda t: t.seed)  # a first table early, the other seeds after it
    failures = [] if given.no_runs else run_all(kind, trials, given.folder, given.jobs, given.set)
    write(kind, given.out, read(trials, given.folder), given.data, given.folder)
    print(f"{given.out} and its figures are written")
    if failures:
        raise InputError(f"{len(failures)} trials failed, their logs: {', '.join(map(str, failures))}")


def run_all(
    kind: Kind, trials: Iterable[Trial], folder: Path, jobs: int, settings: Sequence[str]
) -> list[Path]:
    """Run what is not there yet; the logs of the trials that failed."""
    for trial in trials:
        if (path := trial.run(folder)).exists():
            check_recipe(path, overrides(kind, trial, folder, settings))
    todo = [t for t in trials if not (t.run(folder) / "metrics.json").is_file()]
    failures = []
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(run, kind, trial, folder, settings): trial for trial in todo}
        for done in (bar := tqdm(as_completed(running), total=len(todo), unit="run", disable=not todo)):
            bar.set_postfix_str(str(running[done].run(Path())))
            if log := done.result():
                failures.append(log)
    return failures


def run(kind: Kind, trial: Trial, folder: Path, settings: Sequence[str] = ()) -> Path | None:
    """One trial; the path of its log if it failed."""
    return run_trial(trial.run(folder), overrides(kind, trial, folder, settings))


def overrides(kind: Kind, trial: Trial, folder: Path, settings: Sequence[str] = ()) -> list[str]:
    """What a trial is trained with."""
    method = kind.variants.get(trial.method, [f"method={trial.method}"])
    return [*data_of(trial, folder), *method, f"seed={trial.seed}", *settings]


def data_of(trial: Trial, folder: Path) -> list[str]:
    """The overrides that name the data; the table of a held-out set is drawn first."""
    if trial.data not in HELD_OUT:
        return [f"data={trial.data}"]
    from energy_gan.cli.draw import law
    from energy_gan.data.sampled import draw

    table = folder / "tables" / f"{trial.data}_{trial.seed}.npy"
    table.parent.mkdir(parents=True, exist_ok=True)
    name = HELD_OUT[trial.data]
    draw(law(name), 11_111, trial.seed, table)  # a tenth is held out
    return ["data=points", f"data.path='{table}'", f"data.density={{_target_: energy_gan.data.{name}}}"]


def read(trials: Iterable[Trial], folder: Path) -> dict[Trial, dict]:
    """The metrics.json of the trials that are there."""
    files = {t: t.run(folder) / "metrics.json" for t in trials}
    return {t: json.loads(file.read_text()) for t, file in files.items() if file.is_file()}


def write(kind: Kind, out: Path, reports: Mapping[Trial, dict], data: Sequence[str], folder: Path) -> None:
    """The page and its pictures."""
    if not reports:
        raise InputError(f"there is no finished trial in {folder}: run `make report` without --no-runs")
    figures = out.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    page = [kind.head]
    for name in (d for d in data if any(t.data == d for t in reports)):
        page.append(f"## {name}\n\n" + section(kind, name, reports))
        for trial in shown(kind, name, reports):
            picture = trial.run(folder) / f"figures/{kind.picture}.png"
            if picture.is_file():
                file = f"{out.stem}_{name}" + ("" if kind.one_picture else f"_{trial.method}")
                shrink(picture, figures / f"{file}.png")
                page.append(
                    f'<img src="figures/{file}.png" width="760">\n\n'
                    f"`{trial.method}`, seed {trial.seed}: {kind.caption}."
                )
    out.write_text("\n\n".join(page) + "\n")


def shown(kind: Kind, data: str, reports: Mapping[Trial, dict]) -> list[Trial]:
    """The first seed of the best method; of images, of every method."""
    order = {method: place for place, method in enumerate(kind.methods)}
    trials = sorted((t for t in reports if t.data == data), key=lambda t: (order.get(t.method, 99), t.seed))
    firsts = list({t.method: t for t in reversed(trials)}.values())[::-1]
    return firsts[:1] if kind.one_picture else firsts


def shrink(picture: Path, out: Path) -> None:
    """The picture with 96 colours: a repository keeps every version of it."""
    from PIL import Image

    Image.open(picture).convert("RGB").quantize(96).save(out, optimize=True)


def section(kind: Kind, data: str, reports: Mapping[Trial, dict]) -> str:
    """The table of one set."""
    titles = " | ".join(title for title, _ in kind.columns.values())
    lines = [f"| | {titles} | seeds | steps | seconds |", "|---" * (len(kind.columns) + 4) + "|"]
    methods = dict.fromkeys(t.method for t in reports if t.data == data)
    for method in methods:
        rows = [r for t, r in sorted(reports.items()) if (t.method, t.data) == (method, data)]
        cells = [cell([r["metrics"].get(key) for r in rows], best) for key, (_, best) in kind.columns.items()]
        seconds = mean(r["seconds"] for r in rows)
        lines.append(
            f"| `{method}` | {' | '.join(cells)} | {len(rows)} | {rows[0]['step']} | {seconds:.0f} |"
        )
    yardsticks = [r["yardsticks"] for t, r in sorted(reports.items()) if t.data == data]
    for key, title in kind.yardsticks.items():
        rows = [y[key] for y in yardsticks if key in y]
        cells = [cell([r.get(k) for r in rows[:1]], best) for k, (_, best) in kind.columns.items()]
        lines.append(f"| {title} | {' | '.join(cells)} | 1 | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    door(main)
