"""Plain values: all that is taken from a file, looked at before anything is made of it."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from energy_gan.errors import InputError

Config = dict[str, Any]
PLURAL = ("callbacks", "logger")  # its groups of several things
SIZE = 2**18  # bytes of a YAML file
DEPTH = 40  # of containers in containers
VALUES = 50_000
NAME = 100  # letters of a key
INTEGERS = 2**63


def check_plain(value: Any, key: str = "", known: Collection[str] = ()) -> None:
    """Refuse what is not made of dictionaries, lists, text, numbers, true, false and null.

    Text with ${ in it, which some reader could resolve, is refused too, but for the words that are `known`;
    and numbers of more than 64 bits.

    Raises:
        InputError: names the key.
    """
    for count, (where, found) in enumerate(_walk(value, key)):
        if count > VALUES:
            raise InputError(f"{where} is too much: {VALUES} values are the most")
        if isinstance(found, str):
            if "${" in found and found not in known:
                what = re.search(r"\$\{\w*", found)[0]
                raise InputError(
                    f"{where} holds an interpolation, {what}}}, which nothing resolves here: give the value"
                )
            if "\0" in found or not _encodes(found):
                raise InputError(f"{where} holds characters that are no text")
        elif isinstance(found, int) and abs(found) >= INTEGERS:
            raise InputError(f"{where} is too large a number: it must fit 64 bits")
        elif not (found is None or isinstance(found, int | float | dict | list)):
            raise InputError(
                f"{where} is of the wrong type, {type(found).__name__}: plain values are expected"
            )


def _walk(value: Any, key: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    where = key or "the file"
    if depth > DEPTH:
        raise InputError(f"{where[:80]} is too deep: {DEPTH} levels are the most")
    yield where, value
    if type(value) is dict:
        for name, inner in value.items():
            if not (isinstance(name, str) and name.isprintable() and len(name) <= NAME):
                raise InputError(f"{where} has a key that is no name: {NAME} letters are the most")
            yield from _walk(name, where, depth + 1)
            yield from _walk(inner, f"{key}.{name}" if key else name, depth + 1)
    elif type(value) is list:
        for index, inner in enumerate(value):
            yield from _walk(inner, f"{key}[{index}]", depth + 1)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_yaml(
    path: Path, loader: type[yaml.SafeLoader] = yaml.SafeLoader, known: Collection[str] = ()
) -> Any:
    """A YAML file's values, plain; its size, its depth and its numbers have bounds, and it has no aliases.

    Raises:
        InputError: it cannot be read, or it goes over one of these.
    """
    try:
        with path.open("rb") as file:
            contents = file.read(SIZE + 1)
        if len(contents) > SIZE:
            raise InputError(f"{path} is longer than {SIZE} bytes: a config is not")
        values = parse_yaml(contents.decode(), loader)
        check_plain(values, known=known)
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except Exception as error:  # a tag that does not fit its value leads PyYAML to whatever it raises
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    return values


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The values of one YAML document, as that loader reads it, if it is not too deep and has no aliases."""

    class Bounded(loader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise InputError("it has an alias, *name; a few can stand for millions: write it out")
            self.depth += 1
            if self.depth > DEPTH:
                raise InputError(f"it is too deep: {DEPTH} levels are the most")
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

    return yaml.load(text, Bounded)


def inside(path: str | Path, folder: str | Path) -> bool:
    """Whether a path lies in a folder, wherever the links in both lead."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
