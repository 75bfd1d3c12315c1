"""Train an energy and a generator, measure and draw them: `python -m energy_gan.cli.train data=NAME …`."""

import argparse
import sys
from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.run.compose import compose, options
from energy_gan.run.quick_start import quick_start
from energy_gan.run.take_up import choose_run_dir, finished, first_process, taken_up
from energy_gan.run.words import split_resume, split_trust

DESCRIPTION = """\
Train an energy model and a generator of the same distribution, measure and draw them.

data sets    {data}
methods      {method}

Every setting is a key of the config, given as key=value:
  data=NAME method=NAME seed=0 trainer.max_steps=6000 data.batch_size=128
  data=points data.path=FILE       your own table: .npy, .csv or .parquet
  trust=[my_package]               admit classes of your own package as _target_
  run_dir=FOLDER resume=auto       go on with the run in this folder, begin it where there is none:
                                   the same command again continues what was cut short
`--config` prints all keys of the run that the command would start."""


def arguments() -> argparse.Namespace:
    listed = {group: ", ".join(options(group)) for group in ("data", "method")}
    parser = Parser("train", DESCRIPTION.format(**listed))
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--config", action="store_true", help="print the composed config and stop")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    overrides, trust = split_trust(given.overrides)
    overrides, auto = split_resume(overrides)
    config = compose(overrides)
    if given.config:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(config), end="")
        return
    if not auto or config["run_dir"] is not None:
        run_dir = str(config["run_dir"] if auto else choose_run_dir(config)).replace("'", "\\'")
        config = compose([*overrides, f"run_dir='{run_dir}'"])
        sys.argv.append(f"run_dir='{run_dir}'")  # Lightning starts the other processes by the same command
    kept = taken_up(config) if auto else None

    with quick_start():
        if config["logger"].get("wandb"):  # before torch: it asks every module where it comes from
            import wandb.apis.public  # noqa: F401
        from energy_gan.reports.summary import summary
        from energy_gan.run.checkpoints import newest
        from energy_gan.run.run import Run  # torch and Lightning: seconds, so only once the command is good

        if kept:
            found = newest(Path(kept["run_dir"]))
            step, last = found[1]["global_step"], kept["trainer"]["max_steps"]
            if finished(kept, step):
                if first_process():
                    print(f"{kept['run_dir']} is finished: step {step} of {last}")
                return
        run = Run(kept or config, trust)
        if run.trainer.is_global_zero:
            for note in run.data.notes:
                print(note)
    if kept:
        run.resume(found)
    elif auto:
        run.start_again()
    else:
        run.create()
        run.fit()
    if run.trainer.is_global_zero:
        print(summary(run.folder))


if __name__ == "__main__":
    door(main)
