"""How far data, energy and generator agree, on several sets by several methods: tables and pictures, a page.

A trial is a run, runs/report/<method>/<data>/seed_<seed>.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from energy_gan.run.compose import options
from energy_gan.studies.study import Study, Trial, check_known
from energy_gan.studies.trials import cell, markdown

HELD_OUT = {  # never looked at while a recipe was chosen; drawn as tables and read through data=points
    "uneven_weights": "gaussians.UnevenWeights",
    "uneven_scales": "gaussians.UnevenScales",
    "thin_ridges": "mixtures.ThinRidges",
    "heavy_tails": "mixtures.HeavyTails",
    "far_modes": "gaussians.FarModes",
}


class Agreement(Study):
    """Attributes:
    data, held_out: what is trained on; the second are names of HELD_OUT.
    columns: of the tables, by key the title and which end is better.
    yardsticks: their rows, by key the title.
    picture, caption: which of a run's figures is shown.
    one_picture: of each set, by the first method; or one of each method.
    head: the page's beginning.
    """

    folder = Path("runs/report")
    data: Sequence[str]
    held_out: Sequence[str] = ()
    columns: Mapping[str, tuple[str, Callable]]
    yardsticks: Mapping[str, str]
    picture: str
    caption: str
    one_picture = True
    head: str

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        super().arguments(parser)
        known = [*cls.data, *cls.held_out]
        parser.add_argument("--data", nargs="+", default=known, help=f"({' '.join(known)})")

    def check(self) -> None:
        super().check()
        check_known("--data", self.given.data, [*options("data"), *HELD_OUT])

    @property
    def sets(self) -> Sequence[str]:
        return self.given.data

    def overrides(self, trial: Trial) -> list[str]:
        method = self.variants.get(trial.method, [f"method={trial.method}"])
        return [*self.of_data(trial), *method, f"seed={trial.seed}", *self.given.set]

    def of_data(self, trial: Trial) -> list[str]:
        """The overrides that name the data; the table of a held-out set is drawn first."""
        if trial.data not in HELD_OUT:
            return [f"data={trial.data}"]
        from energy_gan.data.sampled import draw
        from energy_gan.run.law import law

        table = self.given.folder / "tables" / f"{trial.data}_{trial.seed}.npy"
        table.parent.mkdir(parents=True, exist_ok=True)
        name = HELD_OUT[trial.data]
        draw(law(name), 11_111, trial.seed, table)  # a tenth is held out
        return ["data=points", f"data.path='{table}'", f"data.density={{_target_: energy_gan.data.{name}}}"]

    def write(self, rows: Mapping[Trial, dict]) -> None:
        out, figures = self.given.out, self.given.out.parent / "figures"
        figures.mkdir(exist_ok=True)
        page = [self.head]
        for name in (d for d in self.given.data if any(t.data == d for t in rows)):
            page.append(f"## {name}\n\n" + section(self, name, rows))
            for trial in self.shown(name, rows):
                picture = self.path(trial) / f"figures/{self.picture}.png"
                if picture.is_file():
                    file = f"{out.stem}_{name}" + ("" if self.one_picture else f"_{trial.method}")
                    shrink(picture, figures / f"{file}.png")
                    page.append(
                        f'<img src="figures/{file}.png" width="760">\n\n'
                        f"`{trial.method}`, seed {trial.seed}: {self.caption}."
                    )
        out.write_text("\n\n".join(page) + "\n")
        print(f"{out} and its figures are written")

    def shown(self, data: str, rows: Mapping[Trial, dict]) -> list[Trial]:
        """The first seed of the best method; of images, of every method."""
        order = {method: place for place, method in enumerate(self.methods)}
        trials = sorted((t for t in rows if t.data == data), key=lambda t: (order.get(t.method, 99), t.seed))
        firsts = list({t.method: t for t in reversed(trials)}.values())[::-1]
        return firsts[:1] if self.one_picture else firsts


def shrink(picture: Path, out: Path) -> None:
    """The picture with 96 colours: a repository keeps every version of it."""
    from PIL import Image

    Image.open(picture).convert("RGB").quantize(96).save(out, optimize=True)


def section(study: Agreement | type[Agreement], data: str, reports: Mapping[Trial, dict]) -> str:
    """The table of one set."""
    known = {trial: report for trial, report in sorted(reports.items()) if trial.data == data}
    lines = []
    for method in dict.fromkeys(t.method for t in reports if t.data == data):
        rows = [r for t, r in known.items() if t.method == method]
        cells = [cell([r["metrics"].get(k) for r in rows], best) for k, (_, best) in study.columns.items()]
        seconds = mean(r["seconds"] for r in rows)
        lines.append([f"`{method}`", *cells, f"{len(rows)}", f"{rows[0]['step']}", f"{seconds:.0f}"])
    for key, title in study.yardsticks.items():
        first = next((r["yardsticks"][key] for r in known.values() if key in r["yardsticks"]), {})
        cells = [cell([first.get(k)], best) for k, (_, best) in study.columns.items()]
        lines.append([title, *cells, "1", "", ""])
    titles = [title for title, _ in study.columns.values()]
    return markdown(["", *titles, "seeds", "steps", "seconds"], lines)
