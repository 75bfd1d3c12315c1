"""Join a sweep of W&B from this machine: `python -m energy_gan.cli.agent ENTITY/PROJECT/SWEEP`."""

import os

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.search.agent import PATIENCE, require_key, serve
from energy_gan.system.commands import command


def main() -> None:
    parser = Parser("agent", __doc__)
    parser.add_argument("sweep", metavar="SWEEP_ID", nargs="?", help=f"as `{command('sweep')}` prints it")
    parser.add_argument("--gpus", help="that its trials see, as 0,1 (all)")
    parser.takes_number("--count", 1, "trials at most")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE, help=f"seconds of silence that it bears ({PATIENCE:.0f})"
    )
    given = parser.parse_args()
    if not given.sweep:
        raise InputError(f"give SWEEP_ID=ENTITY/PROJECT/ID, as `{command('sweep')}` prints it")
    if given.sweep.count("/") not in (0, 2) or not all(given.sweep.split("/")):
        raise InputError(
            f"SWEEP_ID={given.sweep} is none: give ENTITY/PROJECT/ID, as `{command('sweep')}` prints it"
        )
    if given.gpus is not None:
        if not all(part.strip().isdigit() for part in given.gpus.split(",")):
            raise InputError(f"GPUS={given.gpus} must be numbers with commas, as GPUS=0,1")
        os.environ["CUDA_VISIBLE_DEVICES"] = given.gpus
    require_key(f"`{command('sweep', SWEEP='…', LOCAL='1')}` searches without one")
    serve(given.sweep, given.count, given.patience)


if __name__ == "__main__":
    door(main)
