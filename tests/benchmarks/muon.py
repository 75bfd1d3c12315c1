"""Muon's update on a CPU: ours, which iterates in float32, beside torch's in bfloat16.

Few CPUs have instructions for bfloat16. The second row is this one without them, oneDNN held to AVX2.
"""

import json
import os
import subprocess
import sys

import torch
from timing import Row, interleave, median, ratio, repeat, spread
from torch.optim import Muon as TorchMuon

from energy_gan.optim.muon import Muon

SIDE, UPDATES = 128, 20
MOST = {"this CPU": None, "without bfloat16": 0.2}


def rows(rounds: int) -> list[Row]:
    plain = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, __file__, str(rounds)]
    without = subprocess.run(command, env=plain, capture_output=True, text=True, check=True).stdout
    found = {"this CPU": times(rounds), "without bfloat16": json.loads(without)}
    return [
        Row(f"Muon, {SIDE}×{SIDE}, {cpu}: float32 / torch's bfloat16", ratio(seen, "ours", "torch"),
            "at most" if MOST[cpu] else "stated", MOST[cpu],
            " and ".join(f"{median(seen, name) / UPDATES * 1e6:,.0f}" for name in ("ours", "torch"))
            + f" µs; {spread(seen, 'ours', 'torch')}")
        for cpu, seen in found.items()
    ]  # fmt: skip


def times(rounds: int) -> dict[str, list[float]]:
    """Seconds of so many updates of one weight, in turns."""
    weight = torch.nn.Parameter(torch.randn(SIDE, SIDE))
    weight.grad = torch.randn(SIDE, SIDE)
    both = {"ours": Muon([weight], 0.01), "torch": TorchMuon([weight], 0.01)}
    return interleave({name: repeat(optimizer.step, UPDATES) for name, optimizer in both.items()}, rounds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(times(int(sys.argv[1]))))
