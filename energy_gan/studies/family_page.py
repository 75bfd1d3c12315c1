"""docs/family.md: a table of each set with its figures, and a paragraph for each method."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np

from energy_gan.metrics.verdict import LIKELIHOODS
from energy_gan.studies.family_pictures import quality_by_time, sheet
from energy_gan.studies.family_record import Record, Rivals, Row
from energy_gan.studies.family_words import WORDS
from energy_gan.studies.study import Trial
from energy_gan.studies.tables import shrink
from energy_gan.studies.trials import cell, markdown

PLANE, TABLE, IMAGES = ("four_spin", "two_spiral", "eight_gaussians"), "table", ("digits", "mnist")
OUTLIERS = "digits_without"  # one of them, that is to be found again


class Column(NamedTuple):
    title: str
    name: str
    best: Callable | None = None
    digits: int = 3


COLUMNS = {
    "plane": [
        Column("KL(data‖energy)", "kl_data_energy", min),
        Column("KL(samples‖energy)", "kl_generator_energy", min),
        Column("samples' sliced W2", "sliced_w2", min),
        Column("smallest mode", "smallest_mode", max),
    ],
    "table": [
        Column("AUC, data and samples", "auc_data_generator", min),
        Column("samples' sliced W2", "sliced_w2", min),
    ],
    "images": [
        Column("Fréchet, LeNet", "frechet_lenet", min, 1),
        Column("recall", "recall_lenet", max),
        Column("smallest class", "class_smallest_share", max),
        Column("reconstruction", "reconstruction_mse", min, 4),
        Column("accuracy", "accuracy", max),
        Column("AUROC, KMNIST", "auroc_kmnist", max),
    ],
    "outliers": [
        Column("average precision", "average_precision", max),
        Column("AUROC", "auroc", max),
    ],
}
MEASURES = [column.name for columns in COLUMNS.values() for column in columns]
QUALITY = {  # of the figure
    "plane": Column("KL(data‖energy)", "kl_data_energy", min),
    "table": Column("held-out nats", "held_out_log_likelihood", max),
    "images": Column("Fréchet, LeNet", "frechet_lenet", min),
    "outliers": Column("average precision", "average_precision", max),
}
HEAD = """\
# The whole family on the same data, with the same measures

Made by `{command}`. A trial is `make train DATA=… METHOD=… ARGS=seed=…`:
each method by its own recipe and its own steps, within {minutes} minutes. `table` is
{table}. Each cell is the mean over the seeds and, in
brackets, the worst of them; – where a method offers no such thing. "Density": whether what was measured lets
the energy pass for one: data stay under MALA, long chains keep its law, log Z is known within 3 nats.
Held-out nats are of the grid in the plane, of the table's own units, on images as the cell says. Seconds are
of one thread of a shared machine: of training with its looks on the way, and of 1,000 samples. Which to take:
[choosing](choosing.md). The numbers: [{record}]({record})."""


def page(record: Record, head: str, titles: Mapping[str, str], stem: str) -> str:
    """Of all that the record has.

    Args:
        titles: of the sets, in their order.
        stem: of the page's file, which those of its figures begin with.
    """
    parts = [head, record.note] if record.note else [head]
    for data, title in titles.items():
        some = {trial: row for trial, row in record.trials.items() if trial.data == data}
        if not some:
            continue
        parts += [f"## {title}", _section(data, some, record.rivals.get(data, {}))]
        parts += [f"No log Z: {reasons}" for reasons in [_reasons(some)] if reasons]
        sheets = sorted({row["sheet"] for row in some.values() if row["sheet"]}, key=lambda s: (len(s), s))
        figures = [time_figure(stem, data)] if _points(data, some) else []
        parts += [f'<img src="figures/{name}" width="860">' for name in (*figures, *sheets)]
    parts.append("## What they are")
    for name in sorted({trial.method for trial in record.trials}):
        words, reference = WORDS.get(name, ("", "of an earlier version"))
        parts.append(f"**`{name}`** {words} {reference}")
    return "\n\n".join(parts) + "\n"


def kind_of(data: str) -> str:
    kinds = {**dict.fromkeys(PLANE, "plane"), **dict.fromkeys(IMAGES, "images"), OUTLIERS: "outliers"}
    return kinds.get(data, "table")


def _section(data: str, rows: Mapping[Trial, Row], rivals: Rivals) -> str:
    columns, lines = COLUMNS[kind_of(data)], []
    for name, some in _by_method(rows).items():
        metrics = [row["metrics"] for row in some]
        sampling = [row["sampling_seconds"] for row in some]
        lines.append(
            [
                f"`{name}`",
                *(cell([m.get(c.name) for m in metrics], c.best, c.digits) for c in columns),
                _nats(metrics),
                _densities(some),
                f"{len(some)}",
                f"{max(row['step'] for row in some)}",
                f"{mean(row['seconds'] for row in some):.0f}",
                cell([mean(sampling)] if None not in sampling else [], digits=2),
            ]
        )
    for title, numbers in rivals.items():
        cells = [cell([numbers.get(c.name)], c.best, c.digits) for c in columns]
        lines.append([title, *cells, _nats([numbers]), *[""] * 5])
    titles = [c.title for c in columns]
    ends = ["held-out nats", "density", "seeds", "steps", "seconds", "of 1,000 samples"]
    cells = zip(["", *titles, *ends], *lines, strict=True)
    kept = [column for column in cells if set(column[1:]) - {"", "–"}]  # what no row has is no column
    title, *rows = zip(*kept, strict=True)
    return markdown(title, rows)


def _by_method(rows: Mapping[Trial, Row]) -> dict[str, list[Row]]:
    methods = sorted({trial.method for trial in rows})
    return {name: [row for trial, row in rows.items() if trial.method == name] for name in methods}


def _densities(rows: Sequence[Row]) -> str:
    """What holds of all seeds, or of how many each."""
    found = Counter(row["density"] for row in rows if row["density"])
    if len(found) < 2:
        return "".join(found) or "–"
    return "; ".join(f"{n} of {len(rows)} {said}" for said, n in found.items())


def _nats(metrics: Sequence[Mapping[str, float]]) -> str:
    """Of the first way that all of the runs have."""
    for name, of in LIKELIHOODS.items():
        if all(name in m for m in metrics):
            return cell([m[name] for m in metrics], max, 2) + (f", {of}" if of else "")
    return "–"


def _reasons(rows: Mapping[Trial, Row]) -> str:
    found = {
        trial.method: row["no_log_normalizer"] for trial, row in rows.items() if row["no_log_normalizer"]
    }
    return "; ".join(f"`{name}`: {', '.join(reasons)}" for name, reasons in sorted(found.items()))


# ---- figures


def time_figure(stem: str, data: str) -> str:
    return f"{stem}_{data}_time.png"


def draw_times(folder: Path, stem: str, data: str, rows: Mapping[Trial, Row]) -> None:
    """Quality against time of all methods that have it."""
    if points := _points(data, rows):
        _save(quality_by_time(points, QUALITY[kind_of(data)].title), folder / time_figure(stem, data))


def draw_samples(
    folder: Path, stem: str, data: str, rows: Mapping[Trial, Row], files: Mapping[Trial, Path]
) -> None:
    """The samples of the first seed of each method that has a file of them; their rows know the sheet.

    A sheet with other methods on it, whose samples are gone, stays, and a further one is made; so does one
    with an earlier seed's.
    """
    on_sheets = [trial for trial, row in rows.items() if row["sheet"]]
    begun = {t.method: min(o.seed for o in on_sheets if o.method == t.method) for t in on_sheets}
    there = {
        trial: file
        for trial, file in files.items()
        if file.is_file() and trial.seed <= begun.get(trial.method, trial.seed)
    }
    first = {trial.method: there[trial] for trial in sorted(there, reverse=True)}
    if not first:
        return
    others = {row["sheet"] for trial, row in rows.items() if trial.method not in first}
    name = next(name for name in _sheets(stem, data) if name not in others)
    _save(sheet({method: np.load(file) for method, file in sorted(first.items())}), folder / name)
    for trial, row in rows.items():
        if trial.method in first:
            row["sheet"] = name


def _sheets(stem: str, data: str) -> Iterator[str]:
    yield f"{stem}_{data}_samples.png"
    yield from (f"{stem}_{data}_samples_{i}.png" for i in range(2, 1_000))


def _points(data: str, rows: Mapping[Trial, Row]) -> dict[str, tuple[float, float]]:
    name = QUALITY[kind_of(data)].name
    return {
        method: (mean(row["seconds"] for row in some), mean(row["metrics"][name] for row in some))
        for method, some in _by_method(rows).items()
        if all(name in row["metrics"] for row in some)
    }


def _save(figure, file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, dpi=90)
    shrink(file, file)
