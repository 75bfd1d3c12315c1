"""Watch runs: `python -m energy_gan.cli.dashboard`, TensorBoard over runs/, or with `--online` panels on W&B.

Both show the panels of `energy_gan.reports.panels.PANELS`.
"""

import contextlib
import json
import os
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.system.commands import command

PROJECT = "energy_gan"
PINNED = 10  # cards at the top of TensorBoard, which takes no more
PATIENCE = 5.0  # seconds for TensorBoard to have read something
IMAGES = 100  # of one name and run that TensorBoard keeps


def main() -> None:
    parser = Parser("dashboard", __doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="of the runs (runs)")
    parser.add_argument("--port", type=int, help="of TensorBoard (the first free one from 6006)")
    parser.add_argument("--online", action="store_true", help="a workspace and a report on W&B instead")
    parser.add_argument("--project", help=f"online: [ENTITY/]PROJECT ({PROJECT}, of your default entity)")
    given = parser.parse_args()
    if given.online:
        publish(given.project or PROJECT)
        return
    if given.project:
        raise InputError(f"PROJECT={given.project} is one of W&B's: give ONLINE=1 with it")
    watch(given.folder, given.port)


# ---- TensorBoard


def watch(folder: Path, port: int | None = None) -> None:
    """TensorBoard over all runs in a folder, until Ctrl-C.

    Raises:
        InputError: there is no run, or the port is not to be had.
    """
    if not folder.is_dir():
        raise InputError(
            f"FOLDER={folder} does not exist: `{command('train')}` makes runs, FOLDER= names where they are"
        )
    if next(folder.rglob("events.out.tfevents.*"), None) is None:
        raise InputError(
            f"FOLDER={folder} holds no run that TensorBoard can show: `{command('train')}` makes one in runs/"
        )
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"PORT={port} is none: give a number from 1 to 65535")
    from tensorboard.program import TensorBoard, TensorBoardServerException

    arguments = ["--logdir", str(folder), "--samples_per_plugin", f"images={IMAGES}", "--load_fast", "true"]
    arguments += ["--window_title", "energy_gan", *(["--port", str(port)] if port else [])]
    board = TensorBoard()
    board.configure(argv=["tensorboard", *arguments])
    try:
        address = board.launch()
    except TensorBoardServerException as error:
        raise InputError(
            f"PORT={port or ''} is not to be had ({' '.join(error.msg.split())}): "
            "give another, or none for the first free one"
        ) from error
    pins = pinned(read_names(address))
    print(f"TensorBoard over {folder}, Ctrl-C ends it:\n{address}?{pins}#timeseries", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()
        os._exit(0)  # its threads answer nobody any more, and its reader ends with its standard input


def read_names(address: str) -> list[str]:
    """The names of all curves, once for each run that has them, as TensorBoard knows them after a while."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            with urllib.request.urlopen(f"{address}data/plugin/scalars/tags", timeout=PATIENCE) as answer:
                found = [name for run in json.load(answer).values() for name in run]
            if found:
                return found
        time.sleep(0.2)
    return []


def pinned(found: Collection[str] = ()) -> str:
    """For the top of TensorBoard's time series: a curve of each panel, those that few runs have last."""
    from energy_gan.reports.panels import PANELS

    runs = Counter(found)
    panels = [panel.names for panel in PANELS if panel.kind == "curves"]
    if found:
        panels = [there for names in panels if (there := [name for name in names if runs[name]])]
    names = [max(names, key=lambda name: runs[name]) for names in panels]  # the first of equals
    few = max(runs.values(), default=0) / 4
    names = sorted(names, key=lambda name: runs[name] < few)[:PINNED]
    cards = [{"plugin": "scalars", "tag": name} for name in names]
    return f"pinnedCards={quote(json.dumps(cards, separators=(',', ':')), safe='')}"


# ---- W&B


def publish(project: str) -> None:
    """Make a workspace and a report with the panels in a project on W&B.

    Raises:
        InputError: there is no key, no such project, or no answer.
    """
    from energy_gan.search.agent import reachable, require_key

    entity, _, name = project.rpartition("/")
    if not name or "/" in entity or project.startswith("/"):
        raise InputError(f"PROJECT={project} is none: give PROJECT or ENTITY/PROJECT")
    require_key("`make dashboard` without ONLINE shows the same panels in TensorBoard")
    try:
        import wandb_workspaces  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the package wandb-workspaces is not installed: `pip install 'energy_gan[dashboards]'`"
        ) from error
    import wandb

    with reachable("`make dashboard` without ONLINE shows the same panels in TensorBoard"):
        entity = entity or os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity
        for what, made in (("workspace", workspace(entity, name)), ("report", report(entity, name))):
            made.save()
            print(f"{what}: {made.url}")


def workspace(entity: str, project: str) -> Any:
    """W&B's workspace with the panels; nothing is sent before it is saved."""
    import wandb_workspaces.workspaces as ws

    sections = [ws.Section(name=name, panels=panels, is_open=True) for name, panels in _sections().items()]
    settings = ws.WorkspaceSettings(x_axis="Step")
    return ws.Workspace(entity=entity, project=project, name=PROJECT, sections=sections, settings=settings)


def report(entity: str, project: str) -> Any:
    """W&B's report with the panels, section by section; nothing is sent before it is saved."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = []
    for name, panels in _sections().items():
        for place, panel in enumerate(panels):
            panel.layout = wr.Layout(x=8 * (place % 3), y=8 * (place // 3), w=8, h=8)
        runs = wr.Runset(entity=entity, project=project)
        blocks += [wr.H2(text=name), wr.PanelGrid(runsets=[runs], panels=panels)]
    about = "Energy models and their generators, on one x axis: the training step."
    return wr.Report(
        entity=entity,
        project=project,
        title="Runs of energy_gan",
        description=about,
        blocks=blocks,
        width="fluid",
    )


def _sections() -> dict[str, list[Any]]:
    import wandb_workspaces.reports.v2 as wr

    from energy_gan.reports.panels import PANELS

    sections: dict[str, list[Any]] = {}
    for panel in PANELS:
        names = list(panel.names)
        made = (
            wr.LinePlot(title=panel.title, x="Step", y=names)
            if panel.kind == "curves"
            else wr.MediaBrowser(title=panel.title, media_keys=names)
        )
        sections.setdefault(panel.section, []).append(made)
    return sections


if __name__ == "__main__":
    door(main)
