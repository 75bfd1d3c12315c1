"""How fast the project is, beside what is written by hand and beside the machine's own peak.

`python tests/benchmarks/bench.py [--only step loop …] [--rounds 5] [--json FILE] [--page]`

Each part prints its rows and puts them into the JSON file, beside what other parts have there; `--page` also
writes docs/performance.md and its figure from that file.
"""

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path

# one thread, before torch and numpy are there
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import torch
from page import table, write_page

PARTS = {
    "step": "step",
    "loop": "loop",
    "input": "pixels",
    "sampling": "sampling",
    "chains": "chains",
    "frechet": "frechet",
    "start": "start",
    "memory": "memory",
    "growth": "growth",
    "muon": "muon",
    "gpu": "gpu",
}
FILE = Path("runs/performance.json")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=f"of {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=FILE)
    parser.add_argument("--page", action="store_true", help="write docs/performance.md from the file")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {given.rounds}")
    torch.set_num_threads(1)
    found = json.loads(given.json.read_text()) if given.json.exists() else {}
    for name in given.only:
        start = time.perf_counter()
        part = importlib.import_module(PARTS[name])
        rows = part.rows(given.rounds)
        found[name] = {
            "rows": [vars(row) | {"reached": row.reached} for row in rows],
            "curves": getattr(part, "curves", {}),
            "device": _device(),
            "torch": torch.__version__,
            "rounds": given.rounds,
            "seconds": round(time.perf_counter() - start),
        }
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=1, ensure_ascii=False))
        print(f"{name}: {found[name]['seconds']} s", file=sys.stderr, flush=True)
    found = {name: found[name] for name in PARTS if name in found}
    print(table({name: found[name] for name in given.only}))
    if given.page:
        write_page(found)


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "one CPU thread"


if __name__ == "__main__":
    main()
