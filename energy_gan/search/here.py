"""A search on this machine, without an account: its trials one after the other, then what came of them."""

from pathlib import Path

from tqdm import tqdm

from energy_gan.errors import InputError
from energy_gan.search.file import Sweep, size_of_grid
from energy_gan.search.results import report
from energy_gan.search.trial import Trial, best_first
from energy_gan.search.trials import Search


def search_here(sweep: Sweep, folder: Path, n_trials: int | None, jobs: int) -> None:
    """Run what is not there yet, then the table, the best command and the picture.

    Raises:
        InputError: a trial failed, none has a number, or nothing says how many there are to be.
    """
    search = Search(sweep, folder)
    n_trials = n_trials or sweep.spec.get("run_cap") or size_of_grid(sweep)
    with search.open():
        done = len(search.in_state("finished", "stopped", "failed"))
        if done:
            print(f"{done} trials of {folder} are done")
        with tqdm(total=n_trials, initial=min(done, n_trials), unit="trial") as bar:

            def show(trial: Trial) -> None:
                best = best_first(search.trials, sweep.maximise)[0]
                bar.update()
                bar.set_postfix_str(f"best {best.metric:.4g}, {best.name}" if best.good else "")

            search.stopped = show
            for trial in search.run(n_trials, jobs):
                show(trial)
        report(search)
    if failed := search.in_state("failed"):
        logs = ", ".join(str(folder / f"{trial.name}.log") for trial in failed)
        raise InputError(f"{len(failed)} trials failed, their logs: {logs}")
