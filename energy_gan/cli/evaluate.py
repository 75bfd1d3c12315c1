"""Measure and draw a run anew, from its last checkpoint: `python -m energy_gan.cli.evaluate RUN`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.run.words import split_trust

if TYPE_CHECKING:
    from energy_gan.callbacks.report import Report
    from energy_gan.model import Model


def main() -> None:
    parser = Parser("evaluate", __doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. callbacks.report.seed=1")
    given = parser.parse_args()
    overrides, trust = split_trust(given.overrides)

    from energy_gan.reports.summary import summary
    from energy_gan.run.checkpoints import load, newest

    path, checkpoint = newest(given.run)
    model = load(path, trust)
    report_of(given.run, model, overrides, trust).conclude(model, checkpoint)
    print(summary(given.run))


def report_of(
    run: Path, model: "Model", overrides: Sequence[str] = (), trust: Sequence[str] = ()
) -> "Report":
    """What measures a run, ready to.

    Raises:
        InputError: it was trained without.
    """
    import torch

    from energy_gan.run.build import build, check
    from energy_gan.run.compose import read_config

    config = read_config(run, overrides)
    check(config, trust)
    node = (config["callbacks"] or {}).get("report")
    if node is None:
        raise InputError(f"RUN={run} was trained with callbacks.report=null: nothing says what to measure")
    if config.get("threads"):
        torch.set_num_threads(config["threads"])
    torch.set_flush_denormal(True)  # as in training, see `Run`
    torch.set_float32_matmul_precision(config.get("float32_matmul_precision", "highest"))
    data = build(config["data"], "data")
    data.setup()
    report = build(node, "callbacks.report")
    report.prepare(model, data)
    return report


if __name__ == "__main__":
    door(main)
