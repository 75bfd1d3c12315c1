"""What a search has found, as text: the table of its trials, best first, and the best one's command."""

from collections.abc import Sequence

from energy_gan.errors import InputError
from energy_gan.search.file import SHORT, Sweep, as_overrides, short_names
from energy_gan.search.trial import Trial, best_first
from energy_gan.search.trials import Search
from energy_gan.system.commands import command


def report(search: Search) -> None:
    """The table, best first; the command of the best; the picture."""
    from energy_gan.search.picture import picture  # matplotlib: a second

    sweep, ranked = search.sweep, best_first(search.trials, search.sweep.maximise)
    print(
        f"\n{sweep.name}: {sweep.metric or 'no metric'}, {'greatest' if sweep.maximise else 'least'} first\n"
    )
    print(table(ranked, sweep))
    if not ranked or not ranked[0].good:
        raise InputError(f"no trial of {search.folder} has a number as its {sweep.metric or 'metric'}")
    path = search.folder / "sweep.png"
    picture(search.trials, sweep).savefig(path, dpi=110)
    print(f"\nbest     {command_of(sweep, ranked[0].values)}")
    print(f"its run  {search.run_of(ranked[0])}\npicture  {path}")


def table(trials: Sequence[Trial], sweep: Sweep) -> str:
    """A line a trial; parameters by the shortest end of their keys that tells them apart."""
    short = short_names(list(sweep.spec["parameters"]))
    rows = [
        ["trial", (sweep.metric or "metric").removeprefix("val/"), *short.values(), "steps", "seconds", ""]
    ]
    for trial in trials:
        values = [_cell(trial.values.get(key)) for key in short]
        remark = {"finished": "", "stopped": "ended early"}.get(trial.state, trial.state)
        metric, numbers = _cell(trial.metric), (_cell(trial.step), _cell(trial.seconds))
        rows.append([trial.name.removeprefix("trial_"), metric, *values, *numbers, remark])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{c:>{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)


def _cell(value) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def command_of(sweep: Sweep, values) -> str:
    """`make train …` of one trial, to copy."""
    words = [word for word in sweep.overrides if not word.startswith(f"{SHORT}=")] + as_overrides(values)
    given = {word.partition("=")[0]: word.partition("=")[2] for word in words}
    names = {key.upper(): given.pop(key) for key in ("data", "method") if key in given}
    rest = " ".join(f"{key}={value}" for key, value in given.items())
    return command("train", rest, **names)
