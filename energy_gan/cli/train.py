"""Train: `python -m energy_gan.cli.train data=four_spin method=kim_bengio seed=1 …`."""

import argparse
import os
import secrets
import sys
import time
from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.compose import Config, compose, options
from energy_gan.errors import InputError

DESCRIPTION = """\
Train an energy model and a generator of the same distribution, measure and draw them.

data sets    {data}
methods      {method}

Every setting is a key of the config, given as key=value:
  data=NAME method=NAME seed=0 trainer.max_steps=6000 data.batch_size=128
  data=points data.path=FILE       your own table: .npy, .csv or .parquet
  trust=[my_package]               admit classes of your own package as _target_
`--config` prints all keys of the run that the command would start."""


def arguments() -> argparse.Namespace:
    listed = {group: ", ".join(options(group)) for group in ("data", "method")}
    parser = Parser(
        "train",
        description=DESCRIPTION.format(**listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--config", action="store_true", help="print the composed config and stop")
    return parser.parse_args()


def split_trust(overrides: list[str]) -> tuple[list[str], list[str]]:
    """The overrides, and the packages that `trust=[a,b]` names: it is no key of a config or a file."""
    named = ",".join(o.partition("=")[2].strip("[]") for o in overrides if o.startswith("trust="))
    rest = [o for o in overrides if not o.startswith("trust=")]
    return rest, [name.strip() for name in named.split(",") if name.strip()]


def only_trust(overrides: list[str]) -> list[str]:
    """The packages that `trust=[a,b]` names, where nothing else can be given."""
    rest, trust = split_trust(overrides)
    if rest:
        raise InputError(f"{rest[0]!r} cannot be given here: only trust=[my_package] can, all else is --NAME")
    return trust


def first_process() -> bool:
    """Whether this is the first process of a run, by what torchrun, SLURM and Lightning tell each."""
    names = ("RANK",) if "RANK" in os.environ else ("SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")
    return all(os.environ.get(name, "0") == "0" for name in names)


def choose_run_dir(config: Config) -> str:
    """Where the run will live; it must not hold anything yet.

    Raises:
        InputError: it does, or each of several processes would choose for itself.
    """
    if config["run_dir"] is None:
        many = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1 or "RANK" in os.environ
        if many or config["trainer"].get("num_nodes", 1) > 1:
            raise InputError(
                "torchrun, SLURM and several machines start every process by itself: name the one folder "
                "that all of them mean, run_dir=runs/my_run"
            )
        now = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}"
        return str(Path("runs", config["name"], now))
    if first_process() and Path(config["run_dir"]).exists():
        raise InputError(
            f"run_dir={config['run_dir']} exists already and nothing is overwritten: name another, "
            f"or go on with `make resume RUN={config['run_dir']}`"
        )
    return str(config["run_dir"])


def main() -> None:
    given = arguments()
    overrides, trust = split_trust(given.overrides)
    config = compose(overrides)
    if given.config:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(config), end="")
        return
    run_dir = f"run_dir='{choose_run_dir(config)}'"
    config = compose([*overrides, run_dir])
    sys.argv.append(run_dir)  # Lightning starts the other processes by the same command

    from energy_gan.cli.summary import summary
    from energy_gan.run import Run  # torch and Lightning: seconds, so only once the command is good

    run = Run(config, trust)
    run.create()
    run.fit()
    if run.trainer.is_global_zero:
        print(summary(run.folder))


if __name__ == "__main__":
    door(main)
