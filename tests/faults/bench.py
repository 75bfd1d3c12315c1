"""Faults of every kind against training and reading, and one table: `python tests/faults/bench.py [KIND …]`.

What fails is listed below the table with what came instead; the exit status is then 1.
"""

import argparse
import os
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that forks has no threads
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from faults import damage, hours, kills, overrides, pictures, planted

torch.set_num_threads(1)
KINDS = {  # by name: what it does, and the function
    "kills": ("SIGKILL at 39 moments of training, then the same command", lambda _: kills.kills(13)),
    "writing": ("SIGKILL while a checkpoint is written", lambda _: kills.while_writing()),
    "cache": (
        "SIGKILL while images are decoded; two processes that decode the same",
        lambda _: chain(kills.cache_kills(11), kills.cache_together(4)),
    ),
    "planted": ("nan and infinity planted; finite divergence", lambda _: planted.planted()),
    "pictures": ("damaged pictures, and links that lead outside", lambda _: pictures.pictures()),
    "overrides": ("1,000 made-up commands", lambda _: overrides.fuzzed(1000)),
    "disk": ("a full disk", lambda _: damage.full_disk()),
    "files": ("checkpoints, configs and tables cut or flipped", lambda _: damage.damaged()),
    "strangers": ("checkpoints and configs that would run code", lambda _: damage.strangers()),
    "contents": (
        "entries of checkpoints, YAML and links that are not as they should be",
        lambda _: damage.contents(),
    ),
    "hours": (
        "only by its name: five hours of the plane's default run, compressed, or --minutes of it: whether "
        "memory and open files grow",
        lambda given: hours.hours(given.hours, given.minutes),
    ),
}


def arguments() -> argparse.Namespace:
    listed = "\n".join(f"  {name:10} {what}" for name, (what, _) in KINDS.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\nkinds, all but hours by default:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--hours", type=float, default=5.0, help="of hours: how many's worth of steps")
    parser.add_argument("--minutes", type=float, help="of hours: for so long instead")
    given = parser.parse_args()
    if unknown := [name for name in given.kinds if name not in KINDS]:
        sys.exit(f"error: {unknown[0]} is no kind of fault: choose of {', '.join(KINDS)}")
    return given


def main() -> None:
    given = arguments()
    chosen = given.kinds or [name for name in KINDS if name != "hours"]
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="faults_") as folder:
        os.chdir(folder)
        for name in chosen:
            start = time.monotonic()
            for outcome in KINDS[name][1](given):
                outcomes.append(outcome)
                if not outcome.survived:
                    print(f"LOST {outcome.kind}: {outcome.case}: {outcome.said}", flush=True)
            print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        os.chdir("/")
    print(table(outcomes))
    sys.exit(int(any(not outcome.survived for outcome in outcomes)))


def table(outcomes: list) -> str:
    """Faults tried, survived and lost, by kind, in Markdown."""
    rows = ["| fault | tried | survived | lost |", "|---|---:|---:|---:|"]
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        results = [outcome.survived for outcome in outcomes if outcome.kind == kind]
        rows.append(f"| {kind} | {len(results)} | {sum(results)} | {len(results) - sum(results)} |")
    lost = sum(not outcome.survived for outcome in outcomes)
    return "\n".join([*rows, f"| all | {len(outcomes)} | {len(outcomes) - lost} | {lost} |"])


if __name__ == "__main__":
    main()
