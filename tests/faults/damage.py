"""Full disks, files cut and changed, checkpoints and configs of strangers."""

import errno
import os
import pickle
import random
import resource
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import yaml
from faults.common import FEW, QUICK, Outcome, fresh, imported, in_child, one_line, open_door, same, training
from faults.kills import Noise, decode

from energy_gan.errors import InputError
from energy_gan.run.checkpoints import load

GIVEN = ["data=eight_gaussians", "method=kim_bengio", *FEW, *QUICK, "callbacks.checkpoint.every_n_steps=10"]
RESUMED = (r"^resumed from step \d+$", r"^interrupted")
FALLBACK = "is taken instead"


def trained(folder: str = "trained", steps: int = 20) -> Path:
    """A finished run with checkpoints at 10 and 20 steps."""
    if not Path(folder).exists():
        imported(GIVEN)
        ended = in_child(
            lambda: open_door("train", *GIVEN, f"trainer.max_steps={steps}", f"run_dir={folder}")
        )
        assert ended.status == 0, ended.output
    return Path(folder)


def copy(run: Path, name: str = "copy") -> Path:
    shutil.rmtree(name, ignore_errors=True)
    return Path(shutil.copytree(run, name))


# ---- the disk is full


SHARES = (0.0, 0.01, 0.3, 0.7, 0.999)


def full_disk(shares: Sequence[float] = SHARES) -> Iterator[Outcome]:
    """A checkpoint, a cache and the run's own files meet a disk that takes so many bytes and no more."""
    whole = trained()
    size = (whole / "checkpoints/step_000000020.ckpt").stat().st_size
    for share in shares:
        yield Outcome("disk full: checkpoint", f"at {share:.1%} of it", *_full(whole, int(share * size)))
    for place in ("Path.write_bytes", "Path.replace"):
        yield Outcome("disk full: checkpoint", f"{place} says so", *_refused(whole, place))
    for limit in (0, 100, 20_000):
        yield Outcome("disk full: cache", f"at {limit} bytes", *_full_cache(limit))
    for limit in (0, 100, 2_000):
        words = [*GIVEN, "trainer.max_steps=3", "run_dir=new"]
        shutil.rmtree("new", ignore_errors=True)
        ended = in_child(_limited(lambda words=words: open_door("train", *words), limit))
        problem = one_line(ended)
        yield Outcome("disk full: new run", f"at {limit} bytes", not problem, problem)


def _limited(work: Callable[[], None], limit: int) -> Callable[[], None]:
    """The same where no file can be longer than so many bytes: writes then fail as on a full disk."""

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        work()

    return limited


def _full(whole: Path, limit: int) -> tuple[bool, str]:
    run = copy(whole)
    before = {p.name: p.read_bytes() for p in run.glob("checkpoints/*")}
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["trainer"]["max_steps"] = 40
    (run / "config.yaml").write_text(yaml.safe_dump(config))

    def work():
        # the config is written before and is small; only checkpoints meet the limit
        real = Path.write_bytes

        def through(path, contents):
            _limited(lambda: real(path, contents), limit)()

        with mock.patch.object(Path, "write_bytes", through):
            open_door("resume", str(run))

    return _ended_well(run, before, one_line(in_child(work), *RESUMED))


def _refused(whole: Path, place: str) -> tuple[bool, str]:
    run = copy(whole)
    before = {p.name: p.read_bytes() for p in run.glob("checkpoints/*")}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def replace(path, target, real=Path.replace):
        return full() if path.name.startswith(".step_") else real(path, target)

    def work():
        change = (
            mock.patch.object(Path, "write_bytes", full)
            if place == "Path.write_bytes"
            else mock.patch.object(Path, "replace", replace)
        )
        with change:
            open_door("resume", str(run), "trainer.max_steps=40")

    return _ended_well(run, before, one_line(in_child(work), *RESUMED))


def _ended_well(run: Path, before: dict[str, bytes], problem: str) -> tuple[bool, str]:
    after = {p.name: p.read_bytes() for p in run.glob("checkpoints/*")}
    if not problem and after != before:
        problem = f"checkpoints before: {sorted(before)}, after: {sorted(after)}"
    again = in_child(lambda: open_door("resume", str(run), "trainer.max_steps=30"))
    if not problem and again.status:
        problem = f"then, with room, {again.output[-300:]}"
    return not problem, problem


def _full_cache(limit: int) -> tuple[bool, str]:
    folder = fresh("cut")

    def work():
        from energy_gan.cli import door

        door(lambda: decode(folder))

    problem = one_line(in_child(_limited(work, limit)))
    if not problem and len(decode(folder)) != len(Noise()):
        problem = "then, with room, another array"
    return not problem, problem


# ---- files cut and changed


def damaged(n_flips: int = 40, tenths: Sequence[int] = range(10), seed: int = 0) -> Iterator[Outcome]:
    """The last checkpoint, or another file of a run, is not what was written."""
    whole = trained()
    last, former = (whole / f"checkpoints/step_0000000{k}.ckpt" for k in (20, 10))
    expected, before = training(last), training(former)
    contents = last.read_bytes()
    for case, changed in _changes(contents, n_flips, tenths, seed):
        run = copy(whole)
        (run / "checkpoints" / last.name).write_bytes(changed)
        ended = in_child(lambda run=run: open_door("resume", str(run)))
        said = ended.output.strip().splitlines()
        if FALLBACK in ended.output:
            good = ended.status == 0 and "resumed from step 10" in said
            good = good and same(training(run / "checkpoints" / last.name), expected)
        else:  # harmless bytes: the run is finished and the checkpoint is what it was
            good = not one_line(ended) and same(training(run / "checkpoints" / last.name), expected)
        good = good and same(training(run / "checkpoints" / former.name), before)
        yield Outcome("checkpoint " + case.split()[0], case, good, f"status {ended.status}: {said[-4:]}")
    yield from _all_damaged(whole)
    yield from _other_files(whole, tenths, seed)


def _changes(contents: bytes, n_flips: int, tenths: Sequence[int], seed: int) -> Iterator[tuple[str, bytes]]:
    for tenth in tenths:
        yield f"cut at {tenth}/10", contents[: len(contents) * tenth // 10]
    places = random.Random(seed)
    for _ in range(n_flips):
        place, bit = places.randrange(len(contents)), places.randrange(8)
        yield f"flipped at byte {place}, bit {bit}", _flipped(contents, place, bit)


def _flipped(contents: bytes, place: int, bit: int) -> bytes:
    return contents[:place] + bytes([contents[place] ^ 1 << bit]) + contents[place + 1 :]


def _all_damaged(whole: Path) -> Iterator[Outcome]:
    run = copy(whole)
    for path in run.glob("checkpoints/*"):
        path.write_bytes(path.read_bytes()[:-500])
    for words in (
        ("resume", "copy"),
        ("train", *GIVEN, "trainer.max_steps=20", "run_dir=copy", "resume=auto"),
    ):
        problem = one_line(in_child(lambda words=words: open_door(*words)))
        yield Outcome("checkpoint cut", f"all of them, {words[0]}", not problem, problem)


def _other_files(whole: Path, tenths: Sequence[int], seed: int) -> Iterator[Outcome]:
    """A config that is cut trains nothing else silently; a cut table is read or refused."""
    config = (whole / "config.yaml").read_bytes()
    for case, changed in _changes(config, 10, tenths, seed):
        run = copy(whole)
        (run / "checkpoints/step_000000020.ckpt").unlink()
        (run / "config.yaml").write_bytes(changed)
        ended = in_child(lambda run=run: open_door("resume", str(run)))
        problem = one_line(ended, *RESUMED) if ended.status or "cut" in case else ""
        yield Outcome("config " + case.split()[0], case, not problem, problem)
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    np.save("points.npy", x)
    np.savetxt("points.csv", x, delimiter=",", header="a,b", comments="")
    import pandas as pd

    pd.DataFrame(x, columns=["a", "b"]).to_parquet("points.parquet")
    from energy_gan.data.table_files import read_table

    for name in ("points.npy", "points.csv", "points.parquet"):
        for case, changed in _changes(Path(name).read_bytes(), 10, tenths, seed):
            Path(f"changed_{name}").write_bytes(changed)
            yield Outcome("table changed", f"{name} {case}", *_refused_or_read(read_table, f"changed_{name}"))


def _refused_or_read(read: Callable, *given) -> tuple[bool, str]:
    try:
        read(*given)
    except InputError as error:
        return "\n" not in str(error), str(error)
    except Exception as error:
        return False, f"{type(error).__name__}: {error}"
    return True, ""


# ---- strangers


class Bomb:
    """Unpickled, it touches the canary."""

    def __reduce__(self):
        return Path.touch, (Path("canary").absolute(),)


TRACKERS = "energy_gan.callbacks.trackers"
SHELL = {"_target_": "os.system", "command": "touch canary"}
INIT = {"class_path": "os.system", "init_args": {"command": "touch canary"}}
RUNS = "${oc.create:{_target_: sympy.sympify, a: x}}"
TARGETS = {
    "os.system": SHELL,
    "subprocess": {"_target_": "subprocess.run", "args": ["touch", "canary"]},
    "builtins.eval": {"_target_": "builtins.eval", "source": "open('canary', 'w')"},
    "through this package": {"_target_": "energy_gan.system.files.os.system", "command": "touch canary"},
    "through torch.nn": {"_target_": "torch.nn.modules.module.os.system", "command": "touch canary"},
    "hydra's own door": {"_target_": "hydra.utils.call", "config": {"_target_": "os.system"}},
    "hydra's get_method": {"_target_": "hydra.utils.get_method", "path": "os.system"},
    "Lightning's door": {"_target_": "lightning.pytorch.cli.instantiate_class", "args": [], "init": INIT},
    "an interpolation": {"_target_": "torch.nn.Upsample", "mode": RUNS},
    "trust in a file": {"_target_": "energy_gan.load", "path": "bomb.ckpt", "trust": ["sympy"]},
    "our train": {"_target_": "energy_gan.cli.train.main"},
    "our fit": {"_target_": "energy_gan.fit", "x": [[0.0, 0.0]], "run_dir": "canary"},
    "an environment variable": {"_target_": "torch.nn.Upsample", "mode": "${oc.env:HOME}"},
    "a tracker that is no part": {
        "_target_": "energy_gan.callbacks.trackers.TensorBoard",
        "run_dir": "canary",
    },
    "a list of calls": [SHELL],
    "a call below a call": {"_target_": "torch.nn.Sequential", "_args_": [SHELL]},
    "torch.load": {"_target_": "torch.load", "f": "bomb.pt", "weights_only": False},
    "torch.hub": {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "x", "source": "local"},
    "a partial": {**SHELL, "_partial_": True},
    "a number": {"_target_": 5},
    "a dotted end": {"_target_": "torch.nn."},
}
LAUGHS = "a: &a [x]\n" + "\n".join(
    f"{b}: &{b} [{', '.join(9 * [f'*{a}'])}]" for a, b in pairwise("abcdefghi")
)
CONFIGS = {  # the whole of config.yaml
    "nine levels of aliases": LAUGHS,
    "a Python tag": "method: !!python/object/apply:os.system ['touch canary']",
    "5,000 levels": "method: " + "[" * 5000 + "]" * 5000,
    "5,000 digits": "seed: " + "9" * 5000,
}
CONTENTS = {  # an entry of a checkpoint, and what stands there; ... for nothing
    "no version": ("pytorch-lightning_version", ...),
    "no optimizers": ("optimizer_states", ...),
    "too few optimizers": ("optimizer_states", []),
    "callbacks of text": ("callbacks", "x"),
    "no loops": ("loops", {}),
    "no method": ("hyper_parameters", {"kind": "points", "method": None}),
    "an older layout": ("hyper_parameters", {"method": {}}),
}
WEIGHTS = {
    "nan": lambda w: w * float("nan"),
    "int8": lambda w: w.to(torch.int8),
    "of another shape": lambda w: w[..., None],
}


def strangers(every: int = 1) -> Iterator[Outcome]:
    """Checkpoints and configs that would run code: nothing of them runs."""
    whole = trained()
    good = torch.load(whole / "checkpoints/step_000000020.ckpt", weights_only=True)
    for case, make in list(_bombs(good).items())[::every]:
        Path("canary").unlink(missing_ok=True)
        make(Path("bomb.ckpt"))
        run = copy(whole)
        shutil.copy("bomb.ckpt", run / "checkpoints/step_000000020.ckpt")
        said = _refused_or_read(load, "bomb.ckpt")[1]
        fallen = in_child(lambda run=run: open_door("resume", str(run)))
        good_end = "\n" not in said and bool(said) and fallen.status == 0 and FALLBACK in fallen.output
        problem = "it ran" * Path("canary").exists() or said + fallen.output[-300:]
        yield Outcome("a stranger's pickle", case, good_end and not Path("canary").exists(), problem)
    for place in ("energy", "generator", "objective", "energy_learns"):
        for case, node in list(TARGETS.items())[::every]:
            Path("canary").unlink(missing_ok=True)
            changed = dict(good, hyper_parameters=dict(good["hyper_parameters"]))
            changed["hyper_parameters"]["method"] = dict(good["hyper_parameters"]["method"], **{place: node})
            torch.save(changed, "target.ckpt")
            read, said = _refused_or_read(load, "target.ckpt")
            run = copy(whole)
            config = yaml.safe_load((run / "config.yaml").read_text())
            config["method"][place] = node
            (run / "config.yaml").write_text(yaml.safe_dump(config))
            (run / "checkpoints/step_000000020.ckpt").unlink()
            problem = one_line(in_child(lambda run=run: open_door("resume", str(run))))
            survived = read and bool(said) and not problem and not Path("canary").exists()
            yield Outcome("a stranger's config", f"{case} as {place}", survived, f"{said} {problem}")


def contents(every: int = 1) -> Iterator[Outcome]:
    """Checkpoints whose entries are missing or of another type, configs that are too much: one line each."""
    whole = trained()
    good = torch.load(whole / "checkpoints/step_000000020.ckpt", weights_only=True)
    changes = {case: _with(good, *change) for case, change in CONTENTS.items()}
    changes |= {
        f"weights {case}": good | {"state_dict": {k: change(w) for k, w in good["state_dict"].items()}}
        for case, change in WEIGHTS.items()
    }
    for case, changed in list(changes.items())[::every]:
        run = copy(whole)
        for path in run.glob("checkpoints/*"):
            torch.save(changed, path)
        ended = in_child(lambda run=run: open_door("resume", str(run), "trainer.max_steps=30"))
        problem = one_line(ended)
        yield Outcome("a checkpoint's contents", case, not problem, problem)
    for case, text in list(CONFIGS.items())[::every]:
        run = copy(whole)
        (run / "config.yaml").write_text(text)
        problem = one_line(in_child(lambda run=run: open_door("resume", str(run))))
        good_end = not problem and not Path("canary").exists()
        yield Outcome("a stranger's YAML", case, good_end, problem)
    for place in ("checkpoints", "figures"):
        run = copy(whole)
        shutil.rmtree(run / place, ignore_errors=True)
        (run / place).symlink_to(shutil.copytree(whole / "checkpoints", fresh("elsewhere") / "x").absolute())
        problem = one_line(in_child(lambda run=run: open_door("resume", str(run), "trainer.max_steps=30")))
        yield Outcome("a link out of a run's folder", place, not problem, problem)


def _with(checkpoint: dict, name: str, value: object) -> dict:
    rest = {key: held for key, held in checkpoint.items() if key != name}
    return rest if value is ... else rest | {name: value}


def _bombs(good: dict) -> dict[str, Callable[[Path], None]]:
    def raw(path: Path) -> None:
        path.write_bytes(pickle.dumps(Bomb()))

    def in_archive(path: Path) -> None:  # the pickle of a whole checkpoint replaced
        torch.save(good, "plain.ckpt")
        with zipfile.ZipFile("plain.ckpt") as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                new.writestr(name, pickle.dumps(Bomb()) if name.endswith("data.pkl") else old.read(name))

    return {
        "as the weights": lambda path: torch.save({**good, "state_dict": Bomb()}, path),
        "among the weights": lambda path: torch.save(
            {**good, "state_dict": {**good["state_dict"], "x": Bomb()}}, path
        ),
        "in the config": lambda path: torch.save({**good, "hyper_parameters": {"method": Bomb()}}, path),
        "in the callbacks": lambda path: torch.save({**good, "callbacks": {"x": Bomb()}}, path),
        "in the optimizers": lambda path: torch.save({**good, "optimizer_states": [Bomb()]}, path),
        "as the whole file": raw,
        "in the archive": in_archive,
        "a module": lambda path: torch.save(torch.nn.Linear(2, 2), path),
        "weights that are a number": lambda path: torch.save({**good, "state_dict": 5}, path),
        "a config that is a list": lambda path: torch.save({**good, "hyper_parameters": ["method"]}, path),
    }
