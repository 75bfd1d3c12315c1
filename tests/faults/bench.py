"""Faults of every kind against training and reading, and one table: `python tests/faults/bench.py [KIND …]`.

What fails is listed below the table with what came instead; the exit status is then 1.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that forks has no threads
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from faults import damage, kills, overrides, pictures, planted

torch.set_num_threads(1)
KINDS = {
    "kills": lambda: kills.kills(13),
    "writing": kills.while_writing,
    "cache": lambda: kills.cache_kills(11),
    "planted": planted.planted,
    "pictures": pictures.pictures,
    "overrides": lambda: overrides.fuzzed(1000),
    "disk": damage.full_disk,
    "files": damage.damaged,
    "strangers": damage.strangers,
}


def main() -> None:
    chosen = sys.argv[1:] or list(KINDS)
    if unknown := [name for name in chosen if name not in KINDS]:
        sys.exit(f"error: {unknown[0]} is no kind of fault: choose of {', '.join(KINDS)}")
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="faults_") as folder:
        os.chdir(folder)
        for name in chosen:
            start = time.monotonic()
            for outcome in KINDS[name]():
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
