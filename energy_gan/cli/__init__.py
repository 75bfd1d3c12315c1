"""The doors. What they share: a user's mistake is one line on standard error and exit status 2."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from energy_gan.errors import InputError


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, and which takes words before and after options."""

    def parse_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Make's ARGS come last, behind options, where argparse takes no more words by itself.

        `trust=…` is never one of an option's several values, as it would be in `--versus noise trust=[x]`.
        """
        words = sys.argv[1:] if args is None else list(args)
        trusts = any(action.dest == "trust" for action in self._actions)
        trust = [word for word in words if trusts and word.startswith("trust=")]
        given = self.parse_intermixed_args([word for word in words if word not in trust], namespace)
        if trust:
            given.trust = [*given.trust, *trust]
        return given

    def error(self, message: str):
        raise InputError(f"{message}; `python -m energy_gan.cli.{self.prog} --help` lists what it takes")


def door(main: Callable[[], Any]) -> None:
    """Run a door's main function; print a user's mistake, or the system's refusal, as one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # where the terminal has no ‖ or ε, the rest is shown
            stream.reconfigure(errors="replace")
    try:
        main()
    except InputError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:  # no space, no permission: strerror says it, the file says where
        if error.strerror is None:
            raise
        sys.exit(_fail(f"{error.filename or ''}: {error.strerror}"))
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr, flush=True)
        os._exit(130)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
