"""SIGKILL at random moments: the same command again must end where an undisturbed run ends, bit for bit."""

import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
from faults.common import FEW, QUICK, Ended, Outcome, fresh, imported, in_child, open_door, same, training

from energy_gan.data import cache
from energy_gan.data.source import Source

STEPS, EVERY = 60, 5
BUILT = 7  # exit status
SHAPE = (3, 8, 8)
AVERAGE = "callbacks.average={_target_: energy_gan.callbacks.average.AverageWeights, decay: 0.9}"
CHAINS = [
    "method.negatives.memory.chains=64",
    "method.negatives.memory.moved=32",
    "method.negatives.n_steps=2",
]
RUNS = {
    "kim_bengio, averaged": ["data=eight_gaussians", "method=kim_bengio", *FEW, *QUICK, AVERAGE],
    "aligned_chains": [
        "data=two_spiral",
        "method=aligned_chains",
        "method.draws.n=32",
        *CHAINS,
        *FEW,
        *QUICK,
    ],
    "critic, images": ["data=digits", "method=critic", "data.batch_size=16", *QUICK],
}


class Noise(Source):
    """Image i is noise seeded with i, and takes a moment."""

    kind, split = "noise", "train"

    def __len__(self):
        return 400

    def __getitem__(self, index):
        time.sleep(0.0005)
        return np.random.default_rng(index).integers(0, 256, SHAPE, np.uint8)

    def facts(self):
        return {}


def train(given: list[str], folder: Path, kill_after: float | None = None) -> Ended:
    """The command with `resume=auto`, killed or not."""
    steps = [f"trainer.max_steps={STEPS}", f"callbacks.checkpoint.every_n_steps={EVERY}"]
    words = [*given, *steps, f"run_dir={folder}", "resume=auto"]
    return in_child(lambda: open_door("train", *words), kill_after)


def kills(n: int, seed: int = 0) -> Iterator[Outcome]:
    """n kills in each of the runs, each followed by the same command until its end."""
    moments = random.Random(seed)
    for name, given in RUNS.items():
        imported(given)
        whole = fresh("whole")
        start = time.monotonic()
        ended = train(given, whole)
        seconds = time.monotonic() - start
        expected = training(whole / f"checkpoints/step_{STEPS:09d}.ckpt") if not ended.status else None
        for k in range(n):
            moment = moments.uniform(0, seconds)
            problem = ended.output[-500:] if expected is None else _cut(given, moment, expected)
            yield Outcome(
                "kill while training", f"{name}, {k + 1}, after {moment:.2f} s", not problem, problem
            )


def _cut(given: list[str], moment: float, expected: dict) -> str:
    """What went wrong with a run killed at this moment and started again."""
    cut = fresh("cut")
    killed = train(given, cut, moment)
    there = sorted(int(p.stem.removeprefix("step_")) for p in cut.glob("checkpoints/step_*.ckpt"))
    again = train(given, cut)
    if again.status:
        return f"killed ({killed.status}), then status {again.status}: {again.output[-500:]}"
    if there and there[-1] < STEPS and f"resumed from step {there[-1]}\n" not in again.output:
        return f"the last checkpoint is {there[-1]}, and it said {again.output[:200]}"
    if list(cut.glob("checkpoints/.*")):
        return f"left {[p.name for p in cut.glob('checkpoints/.*')]}"
    if not same(expected, training(cut / f"checkpoints/step_{STEPS:09d}.ckpt")):
        return f"resumed from {there[-1:]}: other weights than the undisturbed run"
    return ""


MOMENTS = ("before", "half", "whole, not renamed", "renamed")


def while_writing(moments: Sequence[str] = MOMENTS, steps: int = 12) -> Iterator[Outcome]:
    """Killed at each moment of the writing of the second checkpoint."""
    given = next(iter(RUNS.values()))
    imported(given)
    words = [*given, f"trainer.max_steps={steps}", "callbacks.checkpoint.every_n_steps=4", "resume=auto"]
    last = f"checkpoints/step_{steps:09d}.ckpt"
    whole = in_child(lambda: open_door("train", *words, f"run_dir={fresh('whole')}"))
    for moment in moments:
        cut = fresh("cut")
        command = [*words, f"run_dir={cut}"]
        killed = in_child(lambda moment=moment, command=command: _die(moment, command))
        at = 8 if moment == "renamed" else 4
        again = in_child(lambda command=command: open_door("train", *command))
        problem = f"{whole.status}, {killed.status}, {again.status}: {again.output[-500:]}"
        good = killed.status == -signal.SIGKILL and not again.status and f"from step {at}\n" in again.output
        good = good and same(training(Path("whole") / last), training(cut / last))
        yield Outcome("kill while writing", moment, good and not list(cut.glob("checkpoints/.*")), problem)


def _die(moment: str, command: list[str]) -> None:
    """The command, killed at this moment of writing step 8."""
    write, replace = Path.write_bytes, Path.replace

    def writes(path: Path, contents: memoryview) -> None:
        if path.name.startswith(".step_000000008") and moment in ("before", "half"):
            write(path, contents[: len(contents) // 2]) if moment == "half" else None
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, contents)

    def renames(path: Path, target: Path) -> Path:
        mine = target.name.endswith("8.ckpt")
        if mine and moment == "whole, not renamed":
            os.kill(os.getpid(), signal.SIGKILL)
        renamed = replace(path, target)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return renamed

    with mock.patch.object(Path, "write_bytes", writes), mock.patch.object(Path, "replace", renames):
        open_door("train", *command)


def decode(folder: Path) -> np.ndarray:
    """The decoded images of `Noise`."""
    return np.array(cache.decode_once(Noise(), folder, SHAPE).images)


def cache_together(n: int, processes: int = 2) -> Iterator[Outcome]:
    """Several processes decode the same at once: all read the same whole array, and one has built it."""
    whole = decode(fresh("whole"))
    for k in range(n):
        cut, gate = fresh("cut").absolute(), os.pipe()
        children = [_decoding(cut, gate) for _ in range(processes)]
        os.close(gate[0])
        os.close(gate[1])  # all begin now
        ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        good = sorted(ended) == [0] * (processes - 1) + [BUILT] and np.array_equal(whole, decode(cut))
        good = good and not list(cut.glob("*.part*")) and not list(cut.glob("*.journal"))
        yield Outcome("decoding at once", f"{k + 1}", good, f"statuses {ended}, {sorted(cut.iterdir())}")


def _decoding(folder: Path, gate: tuple[int, int]) -> int:
    """A process that decodes once the gate is closed; its status is 0, or BUILT if it was the builder."""
    child = os.fork()
    if child:
        return child
    status = 99
    try:
        os.close(gate[1])
        os.read(gate[0], 1)
        decoded = cache.decode_once(Noise(), folder, SHAPE)
        expected = [np.random.default_rng(i).integers(0, 256, SHAPE, np.uint8) for i in range(len(Noise()))]
        if np.array_equal(decoded.images, expected):
            status = BUILT if decoded.built else 0
    finally:
        os._exit(status)


def cache_kills(n: int, seed: int = 0) -> Iterator[Outcome]:
    """The same for a cache that is being built."""
    moments, chunk = random.Random(seed), cache.CHUNK
    cache.CHUNK = 16
    try:
        start = time.monotonic()
        whole = decode(fresh("whole"))
        seconds = time.monotonic() - start
        for k in range(n):
            moment, cut = moments.uniform(0, 1.2 * seconds), fresh("cut")
            in_child(lambda cut=cut: decode(cut), moment)
            good = np.array_equal(whole, decode(cut)) and not list(cut.glob("*.part*"))
            yield Outcome("kill while decoding", f"{k + 1}, after {moment:.2f} s", good, "another array")
    finally:
        cache.CHUNK = chunk
