"""Does a dilated autoencoder between the grids do what its paper says? With it and without, at equal time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from energy_gan.studies.agreement import Images
from energy_gan.studies.study import Trial

LEFT = 3.0  # standard deviations of the data's energies that the samples' mean is away


class Multigrid(Images):
    name = "multigrid"
    about = "energies on grids, with a dilated autoencoder and without -> docs/multigrid_results.md"
    methods = ("multigrid", "multigrid_dilated", "dilated_data")
    variants: ClassVar = {"dilated_data": ["method=multigrid_dilated", "method.positives=data"]}
    seeds = (0, 1, 2)
    columns: ClassVar = {
        "frechet_lenet": ("Fréchet, LeNet", min),
        "mean_confidence": ("confidence", max),
        "class_smallest_share": ("smallest class", max),
        "class_kl": ("KL of classes", min),
        "grid_consistency": ("grids apart", min),
        "start_correlation": ("correlation with the first pixel", max),
        "energy_slope": ("slope at the data", min),
        "energy_slope_highest": ("highest slope", min),
        "gap_finest": ("gap on the finest grid, sd", None),
        "best_frechet": ("best Fréchet on the way", min),
        "saturated": ("saturated at step", None),
    }
    out = Path("docs/multigrid_results.md")
    head = """\
# Energies on grids, with a dilated autoencoder and without

Made by `make study STUDY=multigrid`. A trial is `make train DATA=… METHOD=… ARGS=seed=…`; `dilated_data` is
`multigrid_dilated` with `method.positives=data`. 10,000 samples against all training images; on the way
2,000. Each cell is the mean over the seeds and, in brackets, the worst of them. Slopes are ‖∇E‖ of the
finest grid's energy, at held-out data with the noise of training, and the greatest at data, samples and half
way between. A run has saturated where the distance is twice its best so far, or the samples' mean energy
is more than 3 standard deviations of the data's from theirs; – where it never has. Seconds are of training
as a whole, on one thread of a shared machine: compare at equal ones, `--set trainer.max_steps=…`."""

    def read(self) -> dict[Trial, Any]:
        rows = super().read()
        for report in rows.values():
            report["metrics"] |= saturation(report["history"])
        return rows


def saturation(history: Sequence[Mapping[str, float | int]]) -> dict[str, float | int | None]:
    """The best distance on the way, and the step from which on things have got worse, if there is one."""
    best, saturated = float("inf"), None
    for row in history:
        if "frechet_lenet" not in row:
            continue
        worse = row["frechet_lenet"] > 2 * best or abs(row.get("gap_finest", 0.0)) > LEFT
        saturated = (saturated or row["step"]) if worse else None
        best = min(best, row["frechet_lenet"])
    return {"best_frechet": best, "saturated": saturated}
