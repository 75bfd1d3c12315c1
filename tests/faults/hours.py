"""Five hours of the plane's default run, ten times as fast: whether memory and open files stay constant.

What a run does besides its steps, logging, measuring, drawing, saving, it does ten times as often as by
default, with fewer samples: so it does all of it as often as a run that is ten times as long. Both trackers
are on, W&B offline.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from faults.common import Outcome, fresh
from lightning import Callback

from energy_gan.run.compose import compose
from energy_gan.run.run import Run

FASTER = 10
LOOKS = 200  # at memory and files, and fewer where those are many seconds apart
GROWTH, HANDLES = (
    0.05,
    2,
)  # from the first tenth to the last: the share of memory, and files, that are nothing
SMALL = ["callbacks.progress.refresh_rate=0", "callbacks.report.n_samples=2000"]
SMALL += ["callbacks.report.n_samples_during=2000"]
MIB = 2**20


class Seen(Callback):
    """Memory and open files of this process and of those it started, at so many moments of the run."""

    def __init__(self, steps: int, seconds: float):
        self.steps, self.seconds, self.start = steps, seconds, time.monotonic()
        self.rows: list[tuple[float, float, float, int]] = []  # seconds; this process, the others; files

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        passed, step = time.monotonic() - self.start, pl_module.step
        share = max(passed / self.seconds, step / self.steps)
        if share >= len(self.rows) / LOOKS:
            self.rows.append((passed, *memory(), len(list(Path("/proc/self/fd").iterdir()))))
            if len(self.rows) % (LOOKS // 20) == 1:
                print(f"{passed / 60:6.1f} min, step {step:9,}: {self.told(self.rows[-1])}", flush=True)
        trainer.should_stop = passed > self.seconds

    @staticmethod
    def told(row) -> str:
        own, others = row[1] / MIB, row[2] / MIB
        return f"{own:.1f} MiB, the trackers' processes {others:.1f} MiB, {row[3]:.1f} open files"

    def tenth(self, first: bool) -> tuple[float, ...]:
        n = max(1, len(self.rows) // 10)
        return tuple(map(mean, zip(*(self.rows[:n] if first else self.rows[-n:]), strict=True)))


def memory() -> tuple[int, int]:
    """Resident bytes of this process, and of all that it started."""
    return _resident(os.getpid()), sum(map(_resident, _started(os.getpid())))


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
        return 0


def _started(process: int) -> list[int]:
    try:
        tasks = [task.read_text().split() for task in Path(f"/proc/{process}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return []
    own = [int(child) for children in tasks for child in children]
    return own + [other for child in own for other in _started(child)]


def _run(steps: int, *more: str) -> Run:
    return Run(compose([*SMALL, f"trainer.max_steps={steps}", f"run_dir={fresh('hours')}", *more]))


def _often() -> list[str]:
    """Overrides: all that has a rhythm, so many times as often as by default."""
    config = compose([])
    told = [f"trainer.log_every_n_steps={config['trainer']['log_every_n_steps'] // FASTER}"]
    for name in ("report.every_n_steps", "report.draw_every_n_steps", "checkpoint.every_n_steps"):
        part, key = name.split(".")
        told.append(f"callbacks.{name}={max(1, config['callbacks'][part][key] // FASTER)}")
    return told


def rate(n: int = 300) -> float:
    """Steps a second, by default's rhythm, of the first n."""
    run = _run(n, "callbacks.report=null", "logger.wandb=null")
    start = time.monotonic()
    run.start_again()
    return n / (time.monotonic() - start)


def hours(worth: float = 5.0, minutes: float | None = None) -> Iterator[Outcome]:
    """As much as in so many hours by default's rhythm, or as fits into so many minutes."""
    fast = rate()
    steps = int(60 * minutes * fast if minutes is not None else 3600 * worth * fast / FASTER)
    print(
        f"{fast:.0f} steps a second; at most {steps:,} follow, each of which counts {FASTER}-fold", flush=True
    )
    os.environ.setdefault("WANDB_MODE", "offline")
    run = _run(steps, *_often())
    seen = Seen(steps, 60 * minutes if minutes is not None else float("inf"))
    run.trainer.callbacks.append(seen)
    run.start_again()
    first, last = seen.tenth(first=True), seen.tenth(first=False)
    constant = last[1] <= (1 + GROWTH) * first[1] and last[2] <= (1 + GROWTH) * first[2] + 8 * MIB
    constant = constant and last[3] <= first[3] + HANDLES
    done = run.method.step * FASTER
    print(f"first tenth: {seen.told(first)}; last: {seen.told(last)}")
    print(f"memory {_percent(first[1], last[1])}, of the trackers' processes {_percent(first[2], last[2])}, "
          f"open files {last[3] - first[3]:+.1f}: {'constant' if constant else 'GROWING'} over as much as "
          f"{done:,} steps do, {done / fast / 3600:.2f} hours of them")  # fmt: skip
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    print(f"the run's folder holds {size / MIB:.0f} MiB", flush=True)
    yield Outcome("hours", f"{done:,} steps", constant, f"{seen.told(first)} became {seen.told(last)}")


def _percent(first: float, last: float) -> str:
    return f"{100 * (last / max(first, 1) - 1):+.1f} %"
