"""The doors. What they share: their arguments, the run that they open, and what a user's mistake looks like.

A mistake is one line on standard error and exit status 2.
"""

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_gan.errors import InputError
from energy_gan.system import commands

if TYPE_CHECKING:
    from energy_gan.model import Model
    from energy_gan.samplers.base import Kernel

KERNELS = ("langevin", "mala", "hmc")
DOORS = "python -m energy_gan.cli."


def given_words() -> list[str]:
    """The words of the command line behind the door's name."""
    return sys.argv[1 if commands.caller == commands.MAKE else 2 :]


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, and which takes words before and after options."""

    def __init__(self, name: str, description: str | None = None):
        raw, before = argparse.RawDescriptionHelpFormatter, DOORS
        if commands.caller != commands.MAKE:
            before = f"{commands.caller} "
            name, description = before + name, description and description.replace(DOORS, before)
        super().__init__(name, description=description, formatter_class=raw)
        self.called = self.prog if self.prog.startswith(before) else before + self.prog

    def takes_run(self, what: str = "the run's folder or a checkpoint of it") -> None:
        """A run, and as `trust` the packages that it may build from."""
        self.add_argument("run", metavar="RUN", type=Path, help=what)
        said = "trust=[my_package], if the run needs classes of it"
        self.add_argument("trust", nargs="*", default=[], help=said)

    def takes_number(self, name: str, least: int, what: str, default: int | None = None) -> None:
        """A whole number of at least so much."""

        def number(word: str) -> int:
            if int(word) < least:
                raise argparse.ArgumentTypeError(f"must be at least {least}, got {word}")
            return int(word)

        number.__name__ = "int"  # which argparse tells of
        self.add_argument(name, type=number, default=default, help=what)

    def takes_seed(self, what: str = "(0)") -> None:
        self.takes_number("--seed", 0, what, default=0)

    def takes_out(self, default: str | None, what: str) -> None:
        shown = f"{what} ({default})" if default else what
        self.add_argument("--out", type=Path, default=default and Path(default), help=shown)

    def parse_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Make's ARGS come last, behind options, where argparse takes no more words by itself.

        `trust=…` is never one of an option's several values, as it would be in `--versus noise trust=[x]`.

        Raises:
            InputError: what is given as `run` is no run: said at once, before torch is imported.
        """
        words = given_words() if args is None else list(args)
        trusts = any(action.dest == "trust" for action in self._actions)
        trust = [word for word in words if trusts and word.startswith("trust=")]
        given = self.parse_intermixed_args([word for word in words if word not in trust], namespace)
        if trusts:
            from energy_gan.run.words import only_trust

            given.trust = only_trust([*given.trust, *trust])
        if run := vars(given).get("run"):
            from energy_gan.run.folder import check_run

            check_run(run)
        return given

    def error(self, message: str):
        message = re.sub(r"^argument (\S+): (must be)", r"\1 \2", message)
        raise InputError(f"{message}; `{self.called} --help` lists what it takes")


def opened(run: Path, trust: Sequence[str] = (), needs: Sequence[str] = ()) -> "Model":
    """The model of a run that offers what is needed: fields of `Learned`, or its kind of data.

    An energy is a ranking too.

    Raises:
        InputError: it does not, or the run cannot be read.
    """
    from energy_gan.run.quick_start import quick_start

    with quick_start():
        from energy_gan.run.checkpoints import load

    model = load(run, trust)
    there = {model.kind, *model.offers} | ({"ranking"} if "energy" in model.offers else set())
    if lacking := [name for name in needs if name not in there]:
        raise InputError(
            f"RUN={run} was trained on {model.kind} and offers {' and '.join(sorted(model.offers))}, here it "
            f"needs {' and '.join(lacking)}: give another run"
        )
    return model


def kernel_of(name: str) -> "Kernel":
    """The kernel of that name in `KERNELS`."""
    from energy_gan.samplers.hmc import HMC
    from energy_gan.samplers.langevin import Langevin
    from energy_gan.samplers.mala import MALA

    return {"langevin": Langevin, "mala": MALA, "hmc": HMC}[name]()


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
