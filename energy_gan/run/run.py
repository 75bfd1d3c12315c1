"""One run: its config, its folder, and the objects that train."""

import logging
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf
from torch import nn

from energy_gan.data.base import DataModule
from energy_gan.data.partly_labelled import with_labels
from energy_gan.data.schema import as_table
from energy_gan.data.table import ArrayPoints
from energy_gan.errors import InputError
from energy_gan.generators.base import Generator
from energy_gan.methods.base import Method
from energy_gan.model import Model
from energy_gan.run.build import REFUSALS, build, check, make_optimizers, refusal
from energy_gan.run.checkpoints import newest, way_on
from energy_gan.run.compose import compose
from energy_gan.run.contents import check_fits
from energy_gan.run.distributed import lost
from energy_gan.run.plain import Config
from energy_gan.run.take_up import finished, reported
from energy_gan.system.commands import command
from energy_gan.system.files import held, write_text

PRECISIONS = ("32-true", "bf16-mixed", "32", "bf16")  # the last two are Lightning's short names


class Run:
    """Build everything that a config describes. Nothing is written before `create`.

    Args:
        config: composed and resolved; `run_dir` is the folder.
        trust: the user's own packages that the config may build from.
        data: used instead of the config's.
        parts: of the method, used instead of the config's.

    Raises:
        InputError: a key, a value or the data cannot be used.
    """

    def __init__(
        self, config: Config, trust: Sequence[str] = (), data: DataModule | None = None, **parts: nn.Module
    ):
        _quieten()
        config = _identified(config)
        check(config, trust)
        self.config, self.folder, self.parts = config, Path(config["run_dir"]), parts
        if config.get("threads"):
            torch.set_num_threads(config["threads"])
        # Adam's averages of a dead unit shrink below 1e-38 and stay there, where a CPU is many times slower
        torch.set_flush_denormal(True)
        self.callbacks = {k: c for k, c in build(config["callbacks"], "callbacks").items() if c}
        self.trainer = self._trainer()
        self.data: DataModule = data or build(config["data"], "data")
        self.data.setup()
        self._check_shares()
        self._make_method()
        self._use_the_device_well()
        if "checkpoint" in self.callbacks:
            self.callbacks["checkpoint"].check_room(self.method, "average" in self.callbacks)

    def _make_method(self) -> None:
        torch.manual_seed(self.config["seed"])  # the networks' first weights
        self.method = _method(self.config["method"], self.parts)
        make_optimizers(self.method)
        self.method.save_hyperparameters({**self.config, **self.data.described})
        if "report" in self.callbacks and self.trainer.is_global_zero:
            self.callbacks["report"].prepare(Model(self.method), self.data)

    def _use_the_device_well(self) -> None:
        torch.set_float32_matmul_precision(self.config.get("float32_matmul_precision", "highest"))
        if self.config.get("channels_last"):
            self.method.to(memory_format=torch.channels_last)
        if self.config.get("compile"):
            self.method.compile_networks()

    def _trainer(self) -> Trainer:
        steps = self.config["trainer"].get("max_steps")
        if steps is None or steps < 1:
            raise InputError(f"trainer.max_steps={steps} trains nothing: give at least 1")
        precision = self.config["trainer"].get("precision") or 32
        # 16: scaled gradients, which the players' optimizers would not unscale; …-true: weights that are
        # changed under these optimizers, beside draws and data of float32
        if str(precision) not in PRECISIONS:
            known = " or ".join(PRECISIONS[:2])
            raise InputError(f"trainer.precision={precision} is not supported: give {known}")
        loggers = [logger for logger in build(self.config["logger"], "logger").values() if logger]
        make = build({**self.config["trainer"], "_partial_": True}, "trainer")
        try:
            trainer = make(callbacks=list(self.callbacks.values()), logger=loggers)
        except (MisconfigurationException, *REFUSALS) as error:
            said, settings = " ".join(str(error).split()).rstrip(".!"), self.config["trainer"]
            hint = ""
            if settings.get("accelerator", "cpu") != "cpu":
                asked = ", ".join(f"trainer.{k}={settings.get(k)}" for k in ("accelerator", "devices"))
                hint = f" ({asked}; torch sees {torch.cuda.device_count()} GPUs): trainer=cpu needs none"
            raise InputError(f"trainer: {said}{hint}") from error
        here, cores = trainer.num_devices, os.cpu_count() or 1
        if trainer.strategy.root_device.type == "cpu" and here > max(2, cores):
            raise InputError(
                f"trainer.devices={here} processes were asked for and this machine has {cores} cores: "
                f"give at most trainer.devices={max(2, cores)}"
            )
        return trainer

    def _check_shares(self) -> None:
        """InputError unless a batch can be shared out evenly among the processes."""
        n = self.trainer.world_size
        if n == 1:
            return
        batches = {
            "data.batch_size": self.data.batch_size,
            "method.draws.n": self.config["method"].get("draws", {}).get("n"),
        }
        for name, size in batches.items():
            if size is not None and (size % n or size < 2 * n):
                raise InputError(
                    f"{name}={size} cannot be shared out evenly among {n} processes, 2 or more each: "
                    f"give a multiple of {n}, {name}={max(2, size // n) * n}"
                )

    def create(self) -> None:
        """Make the run's folder, with the resolved config in it; of several processes the first does."""
        if not self.trainer.is_global_zero:
            return
        try:
            self.folder.mkdir(parents=True)
        except FileExistsError as error:
            raise InputError(
                f"run_dir={self.folder} exists already and nothing is overwritten: name another"
            ) from error
        self._write_config()

    def _write_config(self) -> None:
        write_text(self.folder / "config.yaml", OmegaConf.to_yaml(self.config))

    def fit(self) -> None:
        """Train from the start."""
        self.method.train()  # parts of one's own may come in evaluation mode
        self._train()

    def start_again(self) -> None:
        """Train from the start in the folder of a run that ended before its first checkpoint."""
        if self.trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_config()
        self._tell_loggers(0)
        self.fit()

    def resume(self, found: tuple[Path, Config] | None = None) -> int:
        """Go on from the last checkpoint; the step it was taken at. The folder keeps the config as it is now.

        Of a run that was cut after its last step, of its steps or of its `trainer.max_time`, only the report
        of its end is made.

        Args:
            found: the checkpoint and its contents, if they have been looked for already.

        Raises:
            InputError: there is none, or nothing is left to do.
        """
        path, checkpoint = found or newest(self.folder)
        check_fits(self.method, checkpoint, path, self.trainer)
        step, last = checkpoint["global_step"], self.trainer.max_steps
        if finished(self.config, step):
            raise InputError(
                f"RUN={self.folder} is at step {step} of {last}, nothing is left to do: to go on, "
                + command("resume", RUN=str(self.folder), ARGS=f"trainer.max_steps={2 * last}")
            )
        if self.trainer.is_global_zero:
            self._write_config()
            print(f"resumed from step {step}")
        if step < last:
            self._tell_loggers(step)
            self._train(ckpt_path=path, weights_only=True)
            if self.method.step > step:
                return step
            if self.trainer.is_global_zero:  # Lightning has not begun, and has called no report
                spent = self.config["trainer"].get("max_time")
                print(f"its trainer.max_time={spent} is used up: to go on, give more")
        if self.trainer.is_global_zero and not reported(self.config, step):
            report = self.callbacks["report"]
            self.method.load_state_dict(checkpoint["state_dict"])
            with self._alone():
                report.conclude(Model(self.method.eval()), checkpoint, full=not report.short)
        return step

    def _tell_loggers(self, step: int) -> None:
        for logger in self.trainer.loggers:
            if hasattr(logger, "go_on"):  # one of energy_gan.callbacks.trackers
                logger.go_on(step)

    def _train(self, ckpt_path: Path | None = None, weights_only: bool | None = None) -> None:
        """`Trainer.fit`; what fails because the weights are no longer finite is told as that."""
        with self._alone():
            try:
                self.trainer.fit(self.method, self.data, ckpt_path=ckpt_path, weights_only=weights_only)
            except Exception as error:
                divergence = self.callbacks.get("divergence")
                if divergence is not None and divergence.found:
                    raise InputError(divergence.found) from error
                if self.trainer.world_size > 1 and lost(error):
                    kept = way_on(self.folder / "checkpoints")
                    raise InputError(
                        f"another process of this run has ended, and so does this; {kept}"
                    ) from error
                if self.config.get("compile") and _of_the_compiler(error):
                    said = " ".join(str(error).split())[:200]
                    raise InputError(f"torch.compile failed, train with compile=false: {said}") from error
                raise
            except SystemExit as end:  # Lightning makes one of status 1 out of Ctrl-C
                if isinstance(end.__context__, KeyboardInterrupt):
                    raise end.__context__ from None
                raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse to train in a folder in which another process trains; the lock dies with its owner."""
        if "checkpoint" not in self.callbacks or not self.trainer.is_global_zero:
            yield  # nothing is written, or the first process holds the lock
            return
        refusal = f"another process trains in {self.folder} now: wait for its end, or give another run_dir"
        with held(self.folder, refusal):
            yield


def fit(
    x: Any,
    *,
    method: str | None = None,
    energy: nn.Module | None = None,
    generator: nn.Module | None = None,
    max_steps: int | None = None,
    columns: Mapping[str, Any] | str | None = None,
    missing: str | None = None,
    label_column: int | str | None = None,
    seed: int = 0,
    run_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
    verbose: bool = True,
) -> Model:
    """Train a pair on a table, N rows of D columns; nothing is written unless `run_dir` is given.

    Args:
        x: a frame, an array or a tensor, see `as_table`.
        method: a name in conf/method; if None the best for tables, `stacked`, and `aligned` for parts of your
            own.
        energy: your own E, any module from (B, D) to (B,), instead of the method's. It sees
            standardised points.
        generator: your own, instead of the method's: a `Generator`, or any module from (B, K) to (B, D),
            which gets K normal latents and a little noise at its output.
        max_steps: instead of the recipe's.
        columns: what they hold, as far as it is not to be detected, see `Schema.of`.
        missing: what becomes of rows that lack a cell: "refuse", "drop" or "impute".
        label_column: of the class of each row, which is no column of the points, for a method that takes
            labels: "symbol_vector"; an empty cell is no label.
        seed: of the split, the first weights and the training.
        run_dir: keep the run in this new folder: config, checkpoints, numbers and pictures. With parts
            of your own `load` cannot rebuild it: the folder has their weights, the code is yours.
        overrides: any other `key=value` of the config.
        verbose: show the columns and the progress; false is silent.

    Returns:
        The model in evaluation mode, in the units of x.

    Raises:
        InputError: x or a setting cannot be used.
    """
    x = as_table(x, "x")
    if method is None and not (energy is None and generator is None):
        method = "aligned"
    given = [f"method={method}"] if method else []
    given += ["data=points", "data.path=memory", f"data.shape=[{x.num_columns - (label_column is not None)}]"]
    if label_column is not None:
        n_classes = len(with_labels(x, label_column, "x").classes)
        given += [f"data.label_column='{label_column}'", f"data.n_classes={n_classes}"]
    given += [f"seed={seed}", f"run_dir='{run_dir or '.'}'", *overrides]
    given += [f"trainer.max_steps={max_steps}"] if max_steps is not None else []
    given += [f"data.missing={missing}"] if missing else []
    given += [] if verbose else ["callbacks.progress.refresh_rate=0"]
    config = compose(given)
    if run_dir is None:
        config = without_folder(config)
    settings = config["data"]
    known = ("columns", "missing", "held_out", "batch_size", "labels", "label_draw")
    known = {name: settings[name] for name in known} | ({"columns": columns} if columns else {})
    data = ArrayPoints(x, **known, label_column=label_column, seed=seed)
    parts = {name: part for name, part in (("energy", energy), ("generator", generator)) if part is not None}
    for name, part in parts.items():
        if not isinstance(part, nn.Module):
            raise InputError(f"{name} is of type {type(part).__name__}, expected a module of torch")
    if generator is not None:
        parts["generator"] = Generator.of(generator)
    run = Run(config, data=data, **parts)
    for note in data.notes if verbose else ():
        print(note)
    if run_dir is not None:
        run.create()
    run.fit()
    run.method.calibrate()
    return Model(run.method.eval())


def without_folder(config: Config) -> Config:
    """The same training, of which nothing is written: only its progress is shown."""
    return config | {
        "run_dir": ".",
        "callbacks": {name: config["callbacks"].get(name) for name in ("progress", "divergence")},
        "logger": {},
        "trainer": config["trainer"] | {"enable_checkpointing": False},
    }


def _identified(config: Config) -> Config:
    """The config with the id of its run on W&B, one for the life of the folder; W&B's agent gives its own."""
    loggers = config.get("logger")
    tracker = loggers.get("wandb") if isinstance(loggers, dict) else None
    if not isinstance(tracker, dict) or "id" not in tracker:  # what else is wrong with it, `check` says
        return config
    name = os.environ.get("WANDB_RUN_ID") or tracker["id"] or secrets.token_hex(4)
    return config | {"logger": config["logger"] | {"wandb": tracker | {"id": name}}}


def _method(node: Config, parts: dict[str, nn.Module]) -> Method:
    if not parts:
        return build(node, "method")
    rest = {name: value for name, value in node.items() if name not in parts}
    make = build({**rest, "_partial_": True}, "method")
    try:
        return make(**parts)
    except REFUSALS as error:
        raise InputError(f"method with {' and '.join(parts)} of your own: {refusal(error)}") from error


def _quieten() -> None:
    """Keep Lightning's advertisements and its own warnings about torch out of the output."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    warnings.filterwarnings("ignore", message="Initializing zero-element")  # what is refused next says more


def _of_the_compiler(error: Exception) -> bool:
    """Whether torch.compile failed: for want of a compiler, of time or of memory."""
    from torch._dynamo.exc import TorchDynamoException  # here: it takes seconds to import

    return isinstance(error, TorchDynamoException)
