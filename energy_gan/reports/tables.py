"""Numbers as text: a line a number, a column a law."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from energy_gan.errors import InputError
from energy_gan.reports.numbers import NUMBERS, REFINED
from energy_gan.system.commands import command

WIDTH = 100  # of a terminal
HEADS = (24, 18, 14, 12, 10)  # how wide the name of a law may be: the first with which all of them fit
ENDS = {"low": "↓", "high": "↑", None: " "}

Laws = Mapping[str, Mapping[str, float]]


def table(laws: Laws) -> str:
    """A line for each number that any law has, a column a law; what a law lacks is a dash.

    Laws that do not fit beside the others follow below, beside the first once more.
    """
    shown = [n for n in NUMBERS.values() if any(n.name in row for row in laws.values())]
    labels = {n.name: f"{ENDS[n.better]} {n.label}" for n in shown if not n.name.startswith(REFINED)}
    margin = max(map(len, labels.values()), default=0)
    for width in HEADS:
        columns = {law: _column(law, row, labels, width) for law, row in laws.items()}
        if margin + sum(map(_width, columns.values())) <= WIDTH:
            break
    first, *others = laws
    blocks = [[first]]
    for law in others:
        taken = margin + sum(_width(columns[name]) for name in [*blocks[-1], law])
        if taken > WIDTH and len(blocks[-1]) > 1:
            blocks.append([first])
        blocks[-1].append(law)
    text = []
    for block in blocks:
        asked = [laws[law] for law in (block if block is blocks[0] else block[1:])]
        some = {name: label for name, label in labels.items() if any(name in row for row in asked)}
        text.append(_block([columns[law] for law in block], some, margin))
    return "\n\n".join([*text, "↓ low is good, ↑ high is good"])


class Column(NamedTuple):
    """What stands in a column: the law's name in lines, and a cell for each number."""

    head: list[str]
    cells: dict[str, str]


def _column(law: str, row: Mapping[str, float], names: Iterable[str], width: int) -> Column:
    """With a name in lines of about this width, broken after blanks and /, or after _ if need be."""
    head = [""]
    for words in re.findall(r"[^ /]+[ /]*", law):
        for word in [words] if len(words.rstrip()) <= width else re.findall(r"[^_]+_*", words):
            if head[-1] and len((head[-1] + word).rstrip()) > width:
                head.append("")
            head[-1] += word
    return Column([line.rstrip() for line in head], {name: _number(row.get(name)) for name in names})


def _width(column: Column) -> int:
    return 2 + max(map(len, [*column.head, *column.cells.values()]))


def _block(columns: Sequence[Column], labels: Mapping[str, str], margin: int) -> str:
    deepest = max(len(column.head) for column in columns)
    lines = [" " * margin] * deepest + [label.ljust(margin) for label in labels.values()]
    for head, cells in columns:
        words = [""] * (deepest - len(head)) + head + [cells[name] for name in labels]
        lines = [
            line + word.rjust(_width(Column(head, cells))) for line, word in zip(lines, words, strict=True)
        ]
    return "\n".join(line.rstrip() for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if not math.isfinite(value) or abs(value) < 1e4 else f"{value:.2e}"


def read_metrics(run: Path) -> dict:
    """The metrics.json of a run's folder.

    Raises:
        InputError: the folder has none, or it is damaged.
    """
    path = run / "metrics.json"
    if not path.is_file():
        raise InputError(
            f"RUN={run} has no metrics.json: give a finished run's folder, or first "
            f"`{command('evaluate', RUN=str(run))}`"
        )
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({error}): make it anew with `{command('evaluate', RUN=str(run))}`"
        ) from error
