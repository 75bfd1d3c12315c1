"""Search over settings: `python -m energy_gan.cli.sweep NAME`, with W&B, or `--local` without an account.

The sweep is sweeps/NAME.yaml in W&B's format, or a .yaml file of your own. It is checked before the
first trial: its form, every parameter at its extreme values, the metric.
"""

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from energy_gan.cli import Parser, door
from energy_gan.cli.sweep_check import check_all
from energy_gan.cli.sweep_file import Sweep, as_overrides, read
from energy_gan.errors import InputError


def main() -> None:
    parser = Parser("sweep", description=__doc__)
    parser.add_argument("sweep", metavar="NAME", nargs="?", help="of a file in sweeps/, or its path")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for every trial")
    parser.add_argument("--local", action="store_true", help="on this machine, without W&B's server")
    parser.add_argument("--n-trials", type=int, help="local: in all (run_cap of the file; of a grid all)")
    parser.add_argument("--jobs", type=int, default=2, help="local: trials at a time, one thread each (2)")
    parser.add_argument("--folder", type=Path, help="local: of the trials (runs/sweeps/NAME)")
    parser.add_argument("--check", action="store_true", help="check the file and stop")
    given = parser.parse_args()
    if not given.sweep:
        from energy_gan.cli.sweep_file import names

        raise InputError(f"give SWEEP=NAME, one of {', '.join(names())}")
    for what, number in (("N_TRIALS", given.n_trials), ("JOBS", given.jobs)):
        if number is not None and number < 1:
            raise InputError(f"{what} must be at least 1, got {number}")
    sweep = read(given.sweep)
    if strange := [o for o in given.overrides if "=" not in o]:
        raise InputError(f"{strange[0]!r} is no setting: write key=value")
    sweep = sweep.with_overrides(given.overrides)
    if not given.local and not given.check:
        from energy_gan.cli.agent import require_key

        require_key(f"make sweep SWEEP={given.sweep} LOCAL=1 searches without one")
    check_all(sweep, here=given.local)
    if given.check:
        print(f"{sweep.name} is as it should be")
    elif given.local:
        search_here(sweep, given.folder or Path("runs/sweeps", sweep.name), given.n_trials, given.jobs)
    else:
        register(sweep)


def register(sweep: Sweep) -> None:
    """Register with W&B, say how other machines join, and start an agent here."""
    import wandb

    from energy_gan.cli.agent import reachable, serve

    entity, project = sweep.spec.get("entity"), sweep.spec.get("project", "energy_gan")
    with reachable(f"make sweep SWEEP={sweep.name} LOCAL=1 searches without it"):
        identity = wandb.sweep(sweep.spec, entity=entity, project=project)
        entity = entity or os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity
    path = f"{entity}/{project}/{identity}"
    print(f"join from any machine: make agent SWEEP_ID={path}", flush=True)
    serve(path)


# ---- without an account


def search_here(sweep: Sweep, folder: Path, n_trials: int | None, jobs: int) -> None:
    """Run what is not there yet, then the table, the best command and the picture."""
    from energy_gan.cli.sweep_trials import Search

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the trials are ended too
    search = Search(sweep, folder)
    n_trials = n_trials or sweep.spec.get("run_cap") or _of_grid(sweep)
    with search.open():
        done = len(search._in("finished", "stopped", "failed"))
        if done:
            print(f"{done} trials of {folder} are done")
        with tqdm(total=n_trials, initial=min(done, n_trials), unit="trial") as bar:

            def show(trial) -> None:
                bar.update()
                bar.set_postfix_str(_best(search))

            search.stopped = show
            for trial in search.run(n_trials, jobs):
                show(trial)
        report(search)
    if failed := search._in("failed"):
        logs = ", ".join(str(folder / f"{trial.name}.log") for trial in failed)
        raise InputError(f"{len(failed)} trials failed, their logs: {logs}")


def _of_grid(sweep: Sweep) -> int:
    from math import prod

    from energy_gan.cli.sweep_file import extremes, hyper_parameter

    if sweep.spec["method"] != "grid":
        raise InputError(f"how many trials? {sweep.name} has no run_cap: give N_TRIALS=…")
    known = {name: hyper_parameter(name, p) for name, p in sweep.spec["parameters"].items()}
    sizes = []
    for name, parameter in known.items():
        if parameter.type == "param_int_uniform":
            sizes.append(parameter.config["max"] - parameter.config["min"] + 1)
        elif parameter.type == "param_quniform":
            low, high, step = (parameter.config[key] for key in ("min", "max", "q"))
            sizes.append(max(1, -int((low - high) // step)))
        else:
            sizes.append(len(extremes(name, sweep.spec["parameters"][name])))
    return prod(sizes)


def _best(search) -> str:
    from energy_gan.cli.sweep_trials import best_first

    best = best_first(search.trials, search.sweep.maximise)[0]
    return f"best {best.metric:.4g}, {best.name}" if best.good else ""


def report(search) -> None:
    """The table, best first; the command of the best; the picture."""
    from energy_gan.cli.sweep_picture import picture
    from energy_gan.cli.sweep_trials import best_first

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


def table(trials: Sequence, sweep: Sweep) -> str:
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


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """`method.energy.experts` as `experts`, or with more of its words where two end alike."""
    short = {}
    for key in keys:
        words = key.split(".")
        ends = [".".join(words[-n:]) for n in range(1, len(words) + 1)]
        others = [other for other in keys if other != key]
        short[key] = next((e for e in ends if not any(f".{o}".endswith(f".{e}") for o in others)), key)
    return short


def command_of(sweep: Sweep, values) -> str:
    """`make train …` of one trial, to copy."""
    words = [*sweep.overrides, *as_overrides(values)]
    given = {word.partition("=")[0]: word.partition("=")[2] for word in words}
    names = "".join(f" {key.upper()}={given.pop(key)}" for key in ("data", "method") if key in given)
    rest = " ".join(f"{key}={value}" for key, value in given.items())
    return f"make train{names} ARGS={shlex.quote(rest)}"


if __name__ == "__main__":
    door(main)
