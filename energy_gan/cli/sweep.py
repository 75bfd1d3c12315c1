"""Search over settings: `python -m energy_gan.cli.sweep NAME`, with W&B, or `--local` without an account.

The sweep is sweeps/NAME.yaml in W&B's format, or a .yaml file of your own. It is checked before the
first trial: its form, every parameter at its extreme values, the metric.
"""

import os
import signal
import sys
from pathlib import Path

from tqdm import tqdm

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.search.check import check_all
from energy_gan.search.file import Sweep, read
from energy_gan.search.results import _best, _of_grid, report


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
        from energy_gan.search.file import names

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
    from energy_gan.search.trials import Search

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


if __name__ == "__main__":
    door(main)
