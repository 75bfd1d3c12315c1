"""What the page of the family shows, in a file beside it: the page can grow by some trials at a time.

    {"note": how this copy was made, by hand, "sets": {set: which table, which digit it is},
     "trials": [a row each], "rivals": {set: {name: {metric: number}}}}

A row has the trial's method, data and seed, `metrics`, `density`, `step`, `seconds`, `sampling_seconds`,
`no_log_normalizer`, and `sheet`, the figure that its samples are on.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from energy_gan.errors import InputError
from energy_gan.metrics.verdict import LIKELIHOODS, RIVALS, standing
from energy_gan.studies.study import Trial
from energy_gan.system.files import write_text

Row = dict[str, Any]
Rivals = dict[str, dict[str, float]]


class Record(NamedTuple):
    note: str
    sets: dict[str, Any]
    trials: dict[Trial, Row]
    rivals: dict[str, Rivals]


def read_record(file: Path) -> Record:
    """An empty one if the file is not there.

    Raises:
        InputError: it is no such record.
    """
    if not file.is_file():
        return Record("", {}, {}, {})
    try:
        found = json.loads(file.read_text())
        trials = {Trial(row["method"], row["data"], row["seed"]): row for row in found["trials"]}
        return Record(found["note"], found["sets"], trials, found["rivals"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} is no record of trials ({type(error).__name__}: {error}): give another --out, or "
            "remove it"
        ) from None


def write_record(file: Path, record: Record) -> None:
    """A line for each trial and each rival, so that a change is seen."""
    trials = [trial._asdict() | row for trial, row in sorted(record.trials.items())]
    rivals = [
        f"{_json(data)}: {{{_lines(f'{_json(name)}: {_json(numbers)}' for name, numbers in some.items())}}}"
        for data, some in record.rivals.items()
    ]
    parts = {
        "note": _json(record.note),
        "sets": _json(record.sets),
        "trials": f"[{_lines(map(_json, trials))}]",
        "rivals": f"{{{_lines(rivals)}}}",
    }
    write_text(file, f"{{{_lines(f'{_json(name)}: {text}' for name, text in parts.items())}}}\n")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(parts: Iterable[str]) -> str:
    return "\n" + ",\n".join(parts) + "\n"


def shown(report: Mapping[str, Any], metrics: Iterable[str]) -> Row:
    """Of a trial's metrics.json, what a page shows."""
    found = report["metrics"]
    kept = [name for name in dict.fromkeys((*metrics, *LIKELIHOODS)) if name in found]
    return {
        "metrics": {name: found[name] for name in kept},
        "density": standing(found),
        **{name: report.get(name) for name in ("step", "seconds", "sampling_seconds")},
        "no_log_normalizer": report["no_log_normalizer"],
    }


def rivals_of(reports: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Rivals:
    """The yardsticks of a set, and simple estimates of its density, from the metrics.json of its trials."""
    found = {titles.get(name, name): dict(numbers) for name, numbers in reports[0]["yardsticks"].items()}
    told = {round(numbers.get("held_out_log_likelihood", 0.0), 6) for numbers in found.values()}
    for title, key in RIVALS.items():
        values = [report["metrics"][key] for report in reports if key in report["metrics"]]
        if values and round(values[0], 6) not in told:
            found.setdefault(title, {})["held_out_log_likelihood"] = values[0]
    return found
