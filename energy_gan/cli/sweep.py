"""Search over settings: `python -m energy_gan.cli.sweep NAME`, with W&B, or `--local` without an account.

The sweep is sweeps/NAME.yaml in W&B's format, or a .yaml file of your own. It is checked before the
first trial: its form, every parameter at its extreme values, the metric.
"""

import signal
import sys
from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.search.agent import register, require_key
from energy_gan.search.check import check_all, in_short
from energy_gan.search.file import names, read
from energy_gan.search.here import search_here
from energy_gan.system.commands import command


def main() -> None:
    parser = Parser("sweep", __doc__)
    parser.add_argument("sweep", metavar="NAME", nargs="?", help="of a file in sweeps/, or its path")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for every trial")
    parser.add_argument("--local", action="store_true", help="on this machine, without W&B's server")
    parser.takes_number("--n-trials", 1, "local: in all (run_cap of the file; of a grid all)")
    parser.takes_number("--jobs", 1, "local: trials at a time, one thread each (2)", default=2)
    parser.add_argument("--folder", type=Path, help="local: of the trials (runs/sweeps/NAME)")
    parser.add_argument("--check", action="store_true", help="check the file and stop")
    given = parser.parse_args()
    if not given.sweep:
        raise InputError(f"give SWEEP=NAME, one of {', '.join(names())}")
    sweep = read(given.sweep)
    if strange := [o for o in given.overrides if "=" not in o]:
        raise InputError(f"{strange[0]!r} is no setting: write key=value")
    sweep = sweep.with_overrides(given.overrides)
    if not given.local and not given.check:
        require_key(f"{command('sweep', SWEEP=given.sweep, LOCAL='1')} searches without one")
    sweep = in_short(sweep, check_all(sweep, here=given.local), here=given.local)
    if given.check:
        print(f"{sweep.name} is as it should be")
    elif given.local:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the trials are ended too
        search_here(sweep, given.folder or Path("runs/sweeps", sweep.name), given.n_trials, given.jobs)
    else:
        register(sweep)


if __name__ == "__main__":
    door(main)
