"""Go on with a run that was cut short: `python -m energy_gan.cli.resume RUN [key=value …]`."""

from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.run.words import split_trust


def main() -> None:
    parser = Parser("resume", __doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. trainer.max_steps=12000")
    given = parser.parse_args()
    overrides, trust = split_trust(given.overrides)

    from energy_gan.reports.summary import summary
    from energy_gan.run.checkpoints import checkpoints
    from energy_gan.run.compose import read_config
    from energy_gan.run.run import Run

    checkpoints(given.run)
    run = Run(read_config(given.run, overrides), trust)
    run.resume()
    if run.trainer.is_global_zero:
        print(summary(run.folder))


if __name__ == "__main__":
    door(main)
