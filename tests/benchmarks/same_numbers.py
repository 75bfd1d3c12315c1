"""Whether a change moved a number: every recipe on its smallest data, 60 steps, seed 0, one thread.

    python tests/benchmarks/same_numbers.py before.json      of the code that is imported
    python tests/benchmarks/same_numbers.py after.json --against before.json

Of each run it keeps the SHA-256 of the weights, whatever their names (energy, generator, all else), and the
numbers of metrics.json. They are of one machine and one torch: another processor adds in another order.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

POINTS = ("kim_bengio", "meg", "aligned", "aligned_chains", "tilted", "exact_likelihood", "flow")
POINTS += ("fce", "convergent")
IMAGES = ("kim_bengio", "meg", "critic", "gan", "tilted", "fce")
SMALL = ["data.n_points=2000", "data.n_held_out=2000", "callbacks.report.n_samples=20000"]
SMALL += ["callbacks.report.n_samples_during=5000", "callbacks.report.every_n_steps=40"]
RECIPES = {
    **{f"{m}/two_spiral": ["data=two_spiral", f"method={m}", *SMALL] for m in POINTS},
    **{
        f"{m}/mixture": ["data=mixture", "data.density.dimension=6", f"method={m}", *SMALL]
        for m in ("aligned", "meg")
    },
    "aligned_chains/mixture": ["data=mixture", "data.density.dimension=6", "method=aligned_chains", *SMALL],
    **{f"{m}/digits": ["data=digits", f"method={m}"] for m in IMAGES},
    **{f"{m}/images/digits": ["data=digits", f"experiment={m}/images"] for m in IMAGES},
}
COMMON = ["seed=0", "trainer.max_steps=60", "logger.wandb=null", "logger.tensorboard=null"]
COMMON += ["callbacks.progress.refresh_rate=0"]


def digest(tensors) -> str:
    """Of the tensors' bytes, in an order of their own."""
    each = sorted(
        hashlib.sha256(
            str((t.dtype, tuple(t.shape))).encode() + t.contiguous().cpu().numpy().tobytes()
        ).hexdigest()
        for t in tensors
    )
    return hashlib.sha256("".join(each).encode()).hexdigest()[:16]


def record(name: str, given: list[str], folder: Path) -> dict:
    """Train in a process of its own; what came of it."""
    run = folder / name.replace("/", "_")
    command = [sys.executable, "-m", "energy_gan.cli.train", *given, *COMMON, f"run_dir={run}"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        return {"failed": (done.stderr or done.stdout)[-800:]}
    (last,) = (run / "checkpoints").glob("*60.ckpt")
    state = torch.load(last, map_location="cpu", weights_only=True)["state_dict"]
    parts: dict[str, list] = {"energy": [], "generator": [], "rest": []}
    for key, value in state.items():
        parts[key.split(".")[0] if key.split(".")[0] in parts else "rest"].append(value)
    report = json.loads((run / "metrics.json").read_text())
    return {
        "weights": {part: digest(tensors) for part, tensors in parts.items()},
        "metrics": report["metrics"],
        "yardsticks": report["yardsticks"],
        "verdict": report["verdict"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", nargs="*", help="recipes, all if none is named")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    chosen = {name: args for name, args in RECIPES.items() if not given.only or name in given.only}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        found = dict(
            zip(chosen, pool.map(lambda item: record(*item, Path(folder)), chosen.items()), strict=True)
        )
    given.out.write_text(json.dumps(found, indent=1))
    if not given.against:
        return 0
    before, worse = json.loads(given.against.read_text()), 0
    for name, now in found.items():
        then = before[name]
        if now == then and "failed" not in now:
            print(f"{name:<28} equal: weights {now['weights']['energy']}, {len(now['metrics'])} numbers")
            continue
        worse += 1
        if "failed" in now:
            print(f"{name:<28} FAILED", now["failed"].strip().splitlines()[-1])
            continue
        print(f"{name:<28} DIFFERENT")
        for part in ("weights", "metrics", "yardsticks"):
            a, b = then.get(part, {}), now.get(part, {})
            for key in sorted({*a, *b}):
                if a.get(key) != b.get(key):
                    print(f"    {part}.{key}: {a.get(key)} -> {b.get(key)}")
        if then.get("verdict") != now.get("verdict"):
            print(f"    verdict: {then.get('verdict')} -> {now.get('verdict')}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
