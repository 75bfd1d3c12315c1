"""The console command: `energy-gan COMMAND …`, where each module of `energy_gan/cli/` is a door.

`python -m energy_gan COMMAND …` is the same.
"""

import ast
import difflib
import importlib
import re
import sys
from pathlib import Path

from energy_gan.cli import door
from energy_gan.errors import InputError
from energy_gan.system import commands

CLI = Path(__file__).parent / "cli"


def doors() -> dict[str, Path]:
    """Their modules, by name."""
    return {file.stem: file for file in sorted(CLI.glob("*.py")) if not file.stem.startswith("_")}


def about(file: Path) -> str:
    """What a door does, the first line of its module, which is not imported for it."""
    line = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))).split("\n")[0]
    return re.split(r":? `python -m", line)[0].rstrip(".,:")


def opened() -> None:
    """The door of the first word, with the others."""
    name, there = (sys.argv[1:2] or ["--help"])[0], doors()
    if name in ("-h", "--help"):
        print(f"usage: {commands.caller} COMMAND …, of which COMMAND --help tells what it takes\n")
        print("\n".join(f"  {name:<12}{about(file)}" for name, file in there.items()))
        return
    if name not in there:
        near = difflib.get_close_matches(name, there, n=1)
        said = f"did you mean {near[0]}?" if near else f"give one of {', '.join(there)}"
        raise InputError(f"{name!r} is no command: {said}")
    importlib.import_module(f"energy_gan.cli.{name}").main()


def main() -> None:
    module = Path(sys.argv[0]).name == "__main__.py"
    commands.caller = "python -m energy_gan" if module else "energy-gan"
    door(opened)


if __name__ == "__main__":
    main()
