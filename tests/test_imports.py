"""Imports point down: each room sees only those below it."""

import ast
from pathlib import Path

import pytest

import energy_gan

PACKAGE = Path(energy_gan.__file__).parent
GROUND = {"errors", "shapes", "randomness", "nn", "vocabulary", "system", "numerics"}
NETWORKS = GROUND | {"energies", "generators", "samplers", "objectives", "optim"}
SEES = {
    **dict.fromkeys(GROUND, GROUND),
    **dict.fromkeys(NETWORKS - GROUND, NETWORKS),
    "samplers": GROUND | {"samplers"},  # a kernel knows no network
    "data": GROUND | {"samplers", "data"},
    "metrics": GROUND | {"samplers", "metrics"},
}
below = set(NETWORKS)
FLOORS = "inference | negatives | generator_terms | methods | evaluation saving | sampling | conditioning | "
FLOORS += "sentences | model | reports run | detection estimator"
for floor in map(str.split, FLOORS.split("|")):
    if "evaluation" in floor:
        below |= {"data"}
    if below & {"model"}:
        below |= {"metrics"}
    SEES |= {room: below | {room} for room in floor}  # those of one floor do not see each other
    below |= set(floor)
SEES |= {room: below | {room, "callbacks"} for room in ("callbacks", "search", "studies")}
ONLY = {
    "hydra": {"run"},
    "omegaconf": {"run", "cli"},
    "wandb": {"callbacks", "search", "cli"},
}


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_point_down(file):
    room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports(file):
        package, _, rest = name.partition(".")
        if package == "energy_gan" and rest and room not in ("cli", "__init__", "__main__"):
            assert rest.split(".")[0] in SEES[room], f"{room} must not import {name}"
        if package in ONLY:
            assert room in ONLY[package], f"{room} must not import {package}"
