"""Measure and draw a run anew, from its last checkpoint: `python -m energy_gan.cli.evaluate RUN`."""

from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.cli.train import split_trust
from energy_gan.errors import InputError


def main() -> None:
    parser = Parser("evaluate", description=__doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. callbacks.report.seed=1")
    given = parser.parse_args()
    overrides, trust = split_trust(given.overrides)

    from energy_gan.build import load, newest_checkpoint, read_checkpoint
    from energy_gan.cli.summary import summary
    from energy_gan.compose import read_config
    from energy_gan.run import Run

    model = load(given.run, trust)
    checkpoint = read_checkpoint(newest_checkpoint(given.run))
    run = Run(read_config(given.run, overrides), trust)
    if "report" not in run.callbacks:
        raise InputError(
            f"RUN={given.run} was trained with callbacks.report=null: nothing says what to measure"
        )
    report = run.callbacks["report"]
    report.conclude(model, checkpoint)
    print(summary(given.run))


if __name__ == "__main__":
    door(main)
