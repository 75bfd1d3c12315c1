"""The progress bar: steps done of all, with the last logged values."""

from lightning.pytorch.callbacks import TQDMProgressBar

SHOWN = ("energy_gap", "entropy")


class ProgressBar(TQDMProgressBar):
    """Lightning's bar with the energy gap and the entropy beside it.

    Args:
        refresh_rate: steps between two drawings; drawing costs as much as a small step.
    """

    def __init__(self, refresh_rate: int = 50):
        super().__init__(refresh_rate=refresh_rate)

    def get_metrics(self, trainer, pl_module) -> dict[str, str]:
        reported = {name: pl_module.reported.get(f"train/{name}") for name in SHOWN}
        return {name: f"{value:.3g}" for name, value in reported.items() if value is not None}
