"""The doors' arguments: make's ARGS, words behind options, arrive as words before them do."""

import importlib
import sys
from pathlib import Path

import pytest
import yaml

from energy_gan.cli import Parser
from energy_gan.errors import InputError

TRUSTED = [
    ("sample", ["RUN"], ["--n", "5"]),
    ("energy", ["RUN"], ["--input", "points.csv"]),
    ("interpolate", ["RUN"], ["--rows", "2"]),
    ("ood", ["RUN"], ["--n", "20", "--versus", "noise", "letters"]),
]


class Parsed(Exception):  # noqa: N818, no error
    """Ends a door when its arguments are read."""


@pytest.fixture
def parsed(monkeypatch):
    """What a door makes of its arguments; it goes no further. RUN looks like a run."""
    Path("RUN/checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "checkpoints/step_1.ckpt"):
        Path("RUN", name).touch()

    def run(name, *words):
        door, parse, seen = importlib.import_module(f"energy_gan.cli.{name}"), Parser.parse_args, []

        def keep(self, *arguments):
            seen.append(parse(self, *arguments))
            raise Parsed

        with monkeypatch.context() as patch:
            patch.setattr(Parser, "parse_args", keep)
            patch.setattr(sys, "argv", [name, *words])
            with pytest.raises(Parsed):
                door.main()
        return vars(seen[0])

    return run


@pytest.mark.parametrize(("name", "words", "options"), TRUSTED)
def test_trust_is_the_same_before_and_behind_options(name, words, options, parsed):
    trust = "trust=[ours]"
    behind = parsed(name, *words, *options, trust)
    assert behind == parsed(name, *words, trust, *options)
    assert behind["run"] == Path("RUN")
    assert behind["trust"] == ["ours"]
    assert parsed(name, *words, *options)["trust"] == []


def test_a_list_of_sets_ends_at_trust(parsed):
    given = parsed("ood", "RUN", "--versus", "noise", "letters", "trust=[ours]", "--seed", "1")
    assert (given["versus"], given["trust"], given["seed"]) == (["noise", "letters"], ["ours"], 1)


@pytest.mark.parametrize(
    ("name", "words", "options"),
    [
        ("train", [], ["--config"]),
        ("sweep", ["two_spiral_entropy"], ["--local", "--jobs", "1"]),
        ("detect", [], ["--run", "RUN", "--score", "new.csv"]),
        ("draw", ["data=rings"], ["--n", "10"]),
    ],
)
def test_settings_are_the_same_before_and_behind_options(name, words, options, parsed):
    settings = ["trainer.max_steps=5", "trust=[ours]"]
    behind = parsed(name, *words, *options, *settings)
    assert behind == parsed(name, *words, *settings, *options)
    assert behind["overrides"][-2:] == settings


def test_train_takes_settings_behind_its_option(open_door):
    status, output, errors = open_door("train", "data=rings", "--config", "trainer.max_steps=77")
    assert status == 0, errors
    assert yaml.safe_load(output)["trainer"]["max_steps"] == 77


def test_a_sweep_takes_settings_behind_its_options(open_door):
    words = ("two_spiral_entropy", "--local", "--check", "trainer.max_steps=500", "trainer.max_stepz=5")
    status, _, errors = open_door("sweep", *words)
    assert status == 2
    assert "trainer.max_stepz is not a key of the config" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["RUN", "--number", "5"], "unrecognized arguments: --number"),
        (["--n", "5"], "required: run"),
        (["RUN", "--n", "five", "trust=[ours]"], "argument --n: invalid int value"),
        (["RUN", "--n", "5", "seed=1"], "'seed=1' cannot be given here"),
    ],
)
def test_what_is_wrong_stays_one_line(arguments, said, open_door):
    status, _, errors = open_door("sample", *arguments)
    assert (status, errors.count("\n")) == (2, 1)
    assert said.lower() in errors.lower()


def test_help_names_words_and_options(open_door):
    status, output, _ = open_door("sample", "--help")
    assert status == 0
    assert output.startswith("usage: sample [-h] [--n N]")
    assert "RUN" in output
    assert "trust=[my_package]" in output


def test_options_that_are_required_or_exclude_each_other_still_do():
    parser = Parser("door")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--train")
    group.add_argument("--known")
    parser.add_argument("overrides", nargs="*")
    assert parser.parse_args(["--known", "a", "seed=1"]).overrides == ["seed=1"]
    with pytest.raises(InputError, match="not allowed with"):
        parser.parse_args(["--known", "a", "--train", "b"])
    with pytest.raises(InputError, match="one of the arguments --train --known is required"):
        parser.parse_args(["seed=1"])
