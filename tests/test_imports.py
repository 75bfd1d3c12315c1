"""Imports point down: each room sees only those below it."""

import ast
from pathlib import Path

import pytest

import energy_gan

PACKAGE = Path(energy_gan.__file__).parent
GROUND = {"errors", "files", "shapes", "processes", "randomness", "ppca"}
NETWORKS = GROUND | {"nn", "quadrature", "energies", "generators"}
PARTS = NETWORKS | {"samplers", "negatives", "generator_terms", "objectives", "optimizers"}
SEES = {
    **dict.fromkeys(GROUND, GROUND),
    **dict.fromkeys(NETWORKS - GROUND, NETWORKS),
    **dict.fromkeys(PARTS - NETWORKS, PARTS),
    "data": GROUND | {"data"},
    "metrics": GROUND | {"metrics", "quadrature", "samplers"},
    "methods": PARTS | {"methods"},
    "model": PARTS | {"methods"},
    "callbacks": PARTS | {"methods", "model", "data", "metrics", "callbacks"},
    "compose": GROUND | {"data"},  # the shape of a user's table
    "build": PARTS | {"methods", "model", "compose"},
    "run": PARTS | {"methods", "model", "data", "compose", "build"},
}
ONLY = {
    "hydra": {"compose", "build", "cli"},
    "omegaconf": {"compose", "build", "run", "cli"},
    "wandb": {"callbacks", "cli"},
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
        if package == "energy_gan" and rest and room not in ("cli", "__init__"):
            assert rest.split(".")[0] in SEES[room], f"{room} must not import {name}"
        if package in ONLY:
            assert room in ONLY[package], f"{room} must not import {package}"
