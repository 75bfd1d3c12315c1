"""W&B's side of a search: its server, a sweep registered there, and its agent, which trains the trials here.

It is W&B's own agent, with three things around it: trials upload as they train, they run with this
environment's Python, and the agent ends when W&B has been silent for long instead of asking for ever.
"""

import logging
import netrc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlparse

from energy_gan.errors import InputError
from energy_gan.search.file import Sweep
from energy_gan.system.commands import command

SERVER = "https://api.wandb.ai"
ANSWERS = "wandb.apis.public.sweeps"  # the logger that complains of each question without an answer
PATIENCE = 600.0  # seconds
QUESTION = 60.0  # seconds that the agent repeats one question before it complains


def register(sweep: Sweep) -> None:
    """Register with W&B, say how other machines join, and start an agent here."""
    import wandb

    entity, project = sweep.spec.get("entity"), sweep.spec.get("project", "energy_gan")
    with reachable(f"{command('sweep', SWEEP=sweep.name, LOCAL='1')} searches without it"):
        identity = wandb.sweep(sweep.spec, entity=entity, project=project)
        entity = entity or os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity
    path = f"{entity}/{project}/{identity}"
    print(f"join from any machine: {command('agent', SWEEP_ID=path)}", flush=True)
    serve(path)


def serve(sweep: str, count: int | None = None, patience: float = PATIENCE) -> None:
    """Run trials until the sweep ends, `count` of them, or until W&B is silent for `patience` seconds."""
    os.environ.setdefault("WANDB_MODE", "online")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.environ.setdefault("WANDB_DIR", str(Path("runs").absolute()))  # the agent's notes of each trial
    Path(os.environ["WANDB_DIR"]).mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_FINISH_TIMEOUT", str(max(1, patience)))  # of a run whose server is gone
    silence = Silence(patience)
    logging.getLogger(ANSWERS).addHandler(silence)
    import wandb

    with reachable("see that it is there and try again"):
        try:
            wandb.agent(sweep, count=count)
        finally:
            logging.getLogger(ANSWERS).removeHandler(silence)
    if silence.ended:
        raise InputError(
            f"W&B has not answered for {patience:.0f} s, so no further trial can be had; what was trained is "
            "in runs/, `wandb sync` uploads what is missing"
        )


class Silence(logging.Handler):
    """Ends the agent after so many seconds without an answer; the trial that runs goes on to its end.

    The agent logs every question that failed, a few seconds apart, and goes on asking.
    """

    def __init__(self, patience: float):
        super().__init__()
        self.patience, self.first, self.last, self.ended = patience, None, 0.0, False

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if self.first is None or now - self.last > 2 * QUESTION:  # answered in between
            self.first = now - QUESTION
        self.last = now
        if now - self.first >= self.patience and not self.ended:
            self.ended = True
            raise SystemExit  # which the agent takes for Ctrl-C: it waits for its trial


# ---- W&B's server


def require_key(instead: str) -> None:
    """InputError without a key for W&B's server: it would ask a question that nobody answers."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return
    host = urlparse(os.environ.get("WANDB_BASE_URL", SERVER)).hostname
    files = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    for file in files:
        with suppress(OSError, netrc.NetrcParseError):
            if netrc.netrc(Path(file).expanduser()).authenticators(host):
                return
    raise InputError(
        f"there is no API key for {host}: `.venv/bin/wandb login`, or set WANDB_API_KEY; {instead}"
    )


@contextmanager
def reachable(instead: str) -> Iterator[None]:
    """Turn what W&B says of a server that is not there, or a sweep that is not, into one line."""
    import wandb

    try:
        yield
    except (wandb.errors.Error, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        url = os.environ.get("WANDB_BASE_URL", SERVER)
        raise InputError(f"W&B at {url} refused or did not answer: {said}; {instead}") from error
