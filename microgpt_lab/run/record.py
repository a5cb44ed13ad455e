"""A run on disk: create its folder, write its files, save checkpoints, and resume in the same folder."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from microgpt_lab.core.documents import Documents
from microgpt_lab.core.reprs import line
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import Busy, Changed, UserError, printable
from microgpt_lab.options.comparable import differ_in_tokenizer
from microgpt_lab.options.differences import differences
from microgpt_lab.options.files import check_regular, open_regular
from microgpt_lab.options.older import current
from microgpt_lab.options.untrusted import dump
from microgpt_lab.run import checkpoint
from microgpt_lab.run.checkpoint import BEST, CURRENT, PREVIOUS, Saved
from microgpt_lab.run.environment import (
    callback_sources,
    core_sha256,
    documents_sha256,
    environment,
    part_sources,
)
from microgpt_lab.run.folder import LONGEST_LINE, read
from microgpt_lab.run.resume import capture, changes, check_facts, inputs_of, restore

# Files of a run, also of some callbacks.
WRITTEN = ("config.yaml", "overrides.yaml", "environment.json", "summary.json", "metrics.jsonl")
WRITTEN += ("samples.txt", "diagnostics.jsonl", "watch.jsonl", "log.txt", ".lock", CURRENT, PREVIOUS, BEST)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the run in this folder. Busy if another process has locked it. A kill releases the lock."""
    try:
        with FileLock(folder / ".lock", timeout=0, is_singleton=True):
            yield
    except Timeout:
        raise Busy(f"{folder} is running in another process") from None


@dataclass(repr=False)
class Run:
    """A run as callbacks see it: its configuration, its folder and what it is made with.

    config: the resolved configuration.
    overrides: the overrides on the command line.
    progress: how far the sweep was when this job ended, such as '[3/6 2min left]'.
    parallel: whether other jobs of the sweep print on the same terminal.
    environment: the content of environment.json.
    flops_per_token: floating-point operations of training for each token (0: unknown).
    owns_folder: whether `folder` contains this run, because it was created or is reopened.
    finished: whether summary.json is written.
    started: `time.perf_counter()` at the start, minus the time before a resume.
    resumed: the steps at which the run was resumed.
    accept_changes: resume even if the configuration, data, parts or versions have changed.
    best: what summary.json says about the best checkpoint.
    """

    config: dict[str, Any]
    folder: Path
    overrides: list[str] = field(default_factory=list)
    progress: str = ""
    parallel: bool = False
    environment: dict[str, Any] = field(default_factory=dict)
    flops_per_token: int = 0
    owns_folder: bool = False
    finished: bool = False
    started: float = field(default_factory=time.perf_counter)
    resumed: list[int] = field(default_factory=list)
    accept_changes: bool = False
    best: dict[str, Any] = field(default_factory=dict)
    in_sweep = False

    def __repr__(self) -> str:
        return line(f"Run({self.name}, folder={str(self.folder)!r})")

    @property
    def name(self) -> str:
        """The overrides, or 'default' without any."""
        return ",".join(self.overrides) or "default"

    @property
    def differences(self) -> dict[str, tuple[Any, Any]]:
        """The keys that differ from their defaults, with the value and the default."""
        return differences(self.config)

    @property
    def objective(self) -> str:
        """The figure that a search minimizes: the validation loss, in the unit that compares its runs.

        Losses per token of different tokenizers cannot be compared. Each override may differ between jobs.
        """
        keys = (override.lstrip("+").partition("=")[0] for override in self.overrides)
        differ = differ_in_tokenizer(keys, self.config["tokenizer"]["name"])
        return "bits_per_char/val" if differ else "loss/val"

    def count_as_ended(self) -> None:
        """Count the run as a finished job, if it belongs to a sweep."""

    def claim(self) -> None:
        """Create the folder, with the configuration and the overrides in it."""
        self.create_folder()
        self.owns_folder = True
        self.write_text("overrides.yaml", dump(self.overrides))

    def create_folder(self) -> None:
        """Create the folder with config.yaml in it. If it contains a run, create name-2, name-3 … instead."""
        wanted, number = self.folder, 2
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with (self.folder / "config.yaml").open("x", encoding="utf-8") as file:
                    file.write(dump(self.config))
                break
            except FileExistsError:
                self.folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1

    def start_new(self, documents: Documents, trainer: Trainer) -> None:
        """Create the folder of a new run, with everything in it that is known before the first step."""
        environment = self.describe_environment(documents, trainer)
        self.claim()
        self.environment = environment
        self.write_json("environment.json", environment)

    def prepare_folder(self, documents: Documents, trainer: Trainer, saved: Saved | None) -> None:
        """Create the folder of a new run, or prepare the existing one for a resume.

        With a checkpoint, the trainer continues from it. Changed if that would not be exact.
        """
        if saved:
            check_facts(saved)
        if self.owns_folder:
            self.check_unchanged(documents, trainer, saved)
        if saved:
            before, now = saved.facts["config"].get("optimizer"), self.config["optimizer"]
            restore(trainer, saved, optimizer=isinstance(before, dict) and before.get("name") == now["name"])
            self.resumed = [*saved.facts["resumed"], trainer.step]
            self.started = time.perf_counter() - saved.facts["seconds"]
        if not self.owns_folder:
            return self.start_new(documents, trainer)
        if saved:
            checkpoint.make_current(self.folder, saved.name)
        self.drop_best_after(trainer.step)
        (self.folder / "summary.json").unlink(missing_ok=True)
        self.write_text("config.yaml", dump(self.config))
        self.write_text("overrides.yaml", dump(self.overrides))
        self.write_json("environment.json", self.environment)

    def check_unchanged(self, documents: Documents, trainer: Trainer, saved: Saved | None) -> None:
        """Raise Changed if the run would not continue as it started, unless `accept_changes`."""
        self.environment = self.describe_environment(documents, trainer)
        if saved and saved.facts["step"] > trainer.steps:
            raise Changed(f"{self.folder} is at step {saved.facts['step']}, beyond steps={trainer.steps}")
        before = saved.facts["config"] if saved else current(read(self.folder / "config.yaml") or {})
        if isinstance(before.get("steps"), int) and before["steps"] < trainer.steps:
            before = before | {"steps": trainer.steps}  # more steps do not change the finished ones
        changed = changes(before, self.config)
        try:
            changed += changes(
                inputs_of(read(self.folder / "environment.json") or self.environment),
                inputs_of(self.environment),
            )
        except FileNotFoundError:
            pass
        except UserError as error:
            changed.append(str(error))
        if changed and not self.accept_changes:
            raise Changed(f"{self.folder} would not continue as it started: {'; '.join(changed)}")

    def describe_environment(self, documents: Documents, trainer: Trainer) -> dict[str, Any]:
        """Return the content of environment.json, some of which must not change before a resume."""
        return {
            **environment(),
            "documents": len(documents),
            "documents_long": trainer.corpus.long,
            "documents_sha256": documents_sha256(documents),
            "parts": part_sources(self.config),
            "callbacks": callback_sources(self.config),
            "core": core_sha256(),
        }

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the run. UserError if one of its files is not regular.

        Through a link or pipe, the run would write somewhere else.
        """
        for name in WRITTEN:
            for path in (self.folder / name, self.folder / f"{name}.part"):
                check_regular(path)
        with locked(self.folder):
            yield

    def save(self, trainer: Trainer, stopped: bool) -> Path:
        """Write a checkpoint. Other files are flushed first, so that they never lack steps before it.

        stopped: whether a callback has stopped the training, which the checkpoint records.
        """
        seconds = time.perf_counter() - self.started
        facts = {"config": self.config, "stopped": stopped, "callbacks": trainer.watch.state()}
        content = capture(trainer, **facts, seconds=seconds, resumed=self.resumed)
        self.sync()
        checkpoint.write(self.folder, content)
        return self.folder / CURRENT

    def sync(self) -> None:
        """Flush the run's files, except checkpoints, to the disk, so that a power cut cannot lose them."""
        for path in self.folder.iterdir():
            if path.name not in (CURRENT, PREVIOUS, BEST) and path.is_file() and not path.is_symlink():
                checkpoint.sync(path)

    def keep_best(self, step: int, loss: float) -> Path:
        """Copy the last checkpoint, of this step and validation loss, as the best one."""
        checkpoint.write(self.folder, checkpoint.read_bytes(self.folder / CURRENT), BEST)
        self.best = {"best/step": step, "best/loss/val": loss}
        return self.folder / BEST

    def find_best(self, step: int, loss: float) -> bool:
        """After a resume, look for the best checkpoint, whose step and loss are in the last checkpoint.

        Warn and return False if it is missing.
        """
        saved = checkpoint.read(self.folder, print, (BEST,))
        if step == self.resumed[-1]:  # the run may have been killed before it was copied
            self.keep_best(step, loss)
        elif saved and saved.facts["step"] == step:
            self.best = {"best/step": step, "best/loss/val": loss}
        else:
            missing = f"warning: the best checkpoint of {self.folder}, of step {step}, is missing"
            print(printable(f"{missing}: the best checkpoint from now on is kept"), file=sys.stderr)
        return bool(self.best)

    def drop_best_after(self, step: int) -> None:
        """Delete the best checkpoint if it is damaged, or of a step after this one."""
        with contextlib.suppress(Changed):
            saved = checkpoint.read(self.folder, print, (BEST,))
            if not saved:
                return
            check_facts(saved)
            if saved.facts["step"] <= step:
                return
        (self.folder / BEST).unlink()

    def drop_after(self, name: str, step: int, step_of: Callable[[str], int]) -> None:
        """In a file with one or more lines per step, delete the lines of steps after this one.

        step_of: returns the step of a line; called on all lines in order.
        """
        path = self.folder / name
        if not path.exists():
            return
        part = path.with_name(name + ".part")
        with open_regular(path) as lines, part.open("w", encoding="utf-8") as kept:
            for line in iter(lambda: lines.readline(LONGEST_LINE).decode("utf-8", "replace"), ""):
                with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):  # incomplete
                    if step_of(line) <= step and line.endswith("\n"):
                        kept.write(line)
        part.replace(path)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write summary.json as the last file, after everything else is flushed to the disk.

        It contains the configuration, so that a list of runs reads one file per run. If an option is
        infinite, which JSON cannot express, the list reads config.yaml instead.
        """
        try:
            text = as_json(summary | {"config": self.config})
        except ValueError:
            text = as_json(summary)
        self.write_text("summary.json", text, durable=True)
        self.finished = True

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file, completely or not at all."""
        self.write_text(name, as_json(content))

    def write_text(self, name: str, text: str, *, durable: bool = False) -> None:
        """Write a text file, completely or not at all. If `durable`, flush all files of the run first."""
        part = self.folder / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        if durable:
            self.sync()  # flushes this file too
        part.replace(self.folder / name)


def as_json(content: Any) -> str:
    """Return indented JSON. ValueError for infinity and NaN."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
