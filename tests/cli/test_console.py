"""The console command: every door by its name, lines to type next as it was called, and no more imports."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from energy_gan import __main__ as console
from energy_gan.reports.summary import next_commands
from energy_gan.system import commands

REPORT = {"kind": "points", "offers": ["energy", "generator"]}


@pytest.fixture
def energy_gan_command(monkeypatch, capfd):
    """Type `energy-gan …`: (exit status, standard output, standard error)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["/usr/bin/energy-gan", *map(str, words)])
        monkeypatch.setattr(commands, "caller", commands.MAKE)  # and so again after the test
        status = 0
        capfd.readouterr()
        try:
            console.main()
        except SystemExit as end:
            status = end.code or 0
        return status, *capfd.readouterr()

    return run


def test_every_door_is_a_command(energy_gan_command):
    status, output, _ = energy_gan_command("--help")
    named = {line.split()[0] for line in output.splitlines()[2:]}
    assert status == 0
    assert named == {file.stem for file in console.CLI.glob("*.py")} - {"__init__"}
    assert all(said and "python -m" not in said for said in map(console.about, console.doors().values()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "'trian' is no command: did you mean train?"),
        (["sample"], "the following arguments are required: RUN, trust; `energy-gan sample --help`"),
        (["sample", "absent"], "RUN=absent does not exist"),
        (["energy", "absent.ckpt", "--input", "x.csv"], "absent.ckpt does not exist"),
        (["sample", "absent", "--out", "x.xls"], "does not exist"),
        (["train", "data=points", "data.path=absent.csv"], "absent.csv does not exist"),
        (["train", "resume=yes"], "or `energy-gan resume …` for a run that is there"),
        (["study"], "no study is named"),
    ],
)
def test_a_mistake_is_one_line_that_fits(words, said, energy_gan_command):
    status, _, errors = energy_gan_command(*words)
    assert (status, errors.count("\n")) == (2, 1)
    assert said.replace(", trust", "") in errors.replace(", trust", "")


def test_help_of_a_door_says_how_it_was_called(energy_gan_command):
    output = energy_gan_command("sample", "--help")[1]
    assert output.startswith("usage: energy-gan sample [-h]")
    assert "energy-gan sample RUN --n 1000 --out FILE" in output
    assert "python -m" not in output


def test_what_to_type_next_fits_how_it_was_called(monkeypatch):
    run = Path("runs/a b")
    assert next_commands(run, REPORT)[1:] == [
        "make energy RUN='runs/a b' INPUT=points.csv OUT=energies.csv",
        "make sample RUN='runs/a b' N=1000 OUT=samples.csv",
    ]
    monkeypatch.setattr(commands, "caller", "energy-gan")
    assert next_commands(Path("run"), REPORT) == [
        "energy-gan compare run …",
        "energy-gan energy run --input points.csv --out energies.csv",
        "energy-gan sample run --n 1000 --out samples.csv",
    ]


@pytest.mark.parametrize(
    ("name", "words", "variables", "made", "typed"),
    [
        (
            "resume",
            "seed=1 x=2",
            {"RUN": "r"},
            "make resume RUN=r ARGS='seed=1 x=2'",
            "me resume r seed=1 x=2",
        ),
        ("train", "", {"DATA": "rings"}, "make train DATA=rings", "me train data=rings"),
        ("sweep", "", {"SWEEP": "s", "LOCAL": "1"}, "make sweep SWEEP=s LOCAL=1", "me sweep s --local"),
        ("agent", "", {"SWEEP_ID": "e/p/s"}, "make agent SWEEP_ID=e/p/s", "me agent e/p/s"),
    ],
)
def test_make_s_variables_are_words_and_options(name, words, variables, made, typed, monkeypatch):
    assert commands.command(name, words, **variables) == made
    monkeypatch.setattr(commands, "caller", "me")
    assert commands.command(name, words, **variables) == typed


USED = """
import sys
from energy_gan.__main__ import main
sys.argv = ["energy-gan", "sample", "absent"]
try:
    main()
except SystemExit as end:
    assert end.code == 2
assert "torch" not in sys.modules, "a RUN that is none is refused before torch comes"
import energy_gan
model = energy_gan.load(sys.stdin.read())
x = model.sample(5, seed=1)
print([*x.flatten().tolist(), *model.energy(x).tolist()])
for name in ("lightning", "torchmetrics", "hydra", "sklearn", "torchvision", "torch._dynamo"):
    assert name not in sys.modules, name
"""


def test_a_run_is_used_without_lightning_and_the_same(finished_run):
    import energy_gan

    package = Path(energy_gan.__file__).parent.parent
    command = [sys.executable, "-c", USED]
    done = subprocess.run(
        command, input=str(finished_run), capture_output=True, text=True, env={"PYTHONPATH": str(package)}
    )
    assert done.returncode == 0, done.stderr
    model = energy_gan.load(finished_run)
    x = model.sample(5, seed=1)
    here = [*x.flatten().tolist(), *model.energy(x).tolist()]
    np.testing.assert_allclose(eval(done.stdout), here, rtol=1e-5)  # threads differ
