"""Train: `python -m energy_gan.cli.train data=four_spin method=kim_bengio seed=1 …`."""

import argparse
import re
import secrets
import time
from pathlib import Path

from energy_gan.cli import door
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


def arguments() -> tuple[list[str], list[str], bool]:
    """The overrides, the trusted packages, and whether only the config is asked for."""
    listed = {group: ", ".join(options(group)) for group in ("data", "method")}
    parser = argparse.ArgumentParser(
        "train",
        description=DESCRIPTION.format(**listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--config", action="store_true", help="print the composed config and stop")
    given = parser.parse_args()
    trust = [o.partition("=")[2].strip("[]") for o in given.overrides if o.startswith("trust=")]
    trust = [name.strip() for names in trust for name in names.split(",") if name.strip()]
    return [o for o in given.overrides if not o.startswith("trust=")], trust, given.config


def new_run_dir(config: Config) -> str:
    """Where the run will live; it must not hold anything yet."""
    if config["run_dir"] is None:
        now = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}"
        return str(Path("runs", config["name"], now))
    if Path(config["run_dir"]).exists():
        raise InputError(
            f"run_dir={config['run_dir']} exists already and nothing is overwritten: name another, "
            f"or go on with `make resume RUN={config['run_dir']}`"
        )
    return str(config["run_dir"])


def main() -> None:
    overrides, trust, only_config = arguments()
    config = compose(overrides)
    if only_config:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(config), end="")
        return
    given = [o for o in overrides if not re.match(r"run_dir=", o)]
    config = compose([*given, f"run_dir='{new_run_dir(config)}'"])

    from energy_gan.run import Run  # torch and Lightning: seconds, so only once the command is good

    run = Run(config, trust)
    run.create()
    run.fit()
    run.conclude()


if __name__ == "__main__":
    door(main)
