"""Imports point down: each room sees only those below it."""

import ast
from functools import cache
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
FLOORS += "sentences | model | reports run | detection estimator | classification"
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


@cache
def tree(file):
    return ast.parse(file.read_text())


def imports(file):
    for node in ast.walk(tree(file)):
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


@cache
def names_of(module):
    """What a module of the package binds at its top, or None if there is no such module."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.is_file():
        return None
    found, nodes = set(), list(tree(file).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name):
            found.add(node.id)
        else:
            nodes += ast.iter_child_nodes(node)
    return found


def test_what_is_imported_is_there():
    """Also within functions, which are not all run."""
    nodes = ((file, node) for file in PACKAGE.rglob("*.py") for node in ast.walk(tree(file)))
    for file, node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("energy_gan."):
            there = names_of(node.module)
            assert there is not None, f"{file.name}: there is no {node.module}"
            for name in {alias.name for alias in node.names} - there:
                assert names_of(f"{node.module}.{name}") is not None, f"{file.name}: {node.module}.{name}"
