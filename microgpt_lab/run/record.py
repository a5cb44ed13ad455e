"""What a run is, on disk: its folder, and what it says of itself there."""

from __future__ import annotations

import contextlib
import json
import os
import stat
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
from microgpt_lab.options.differences import differences
from microgpt_lab.options.files import open_regular
from microgpt_lab.options.untrusted import dump
from microgpt_lab.run import checkpoint
from microgpt_lab.run.checkpoint import BEST, CURRENT, PREVIOUS, Saved
from microgpt_lab.run.environment import core, documents_sha256, environment, parts
from microgpt_lab.run.folder import LONGEST_LINE, read
from microgpt_lab.run.resume import capture, changes, check, ground, restore

WRITTEN = ("config.yaml", "overrides.yaml", "environment.json", "summary.json", "metrics.jsonl")
WRITTEN += ("samples.txt", "log.txt", ".lock", CURRENT, PREVIOUS, BEST)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Busy if another process has the run in this folder; the death of this one lets it go."""
    try:
        with FileLock(folder / ".lock", timeout=0, is_singleton=True):
            yield
    except Timeout:
        raise Busy(f"{folder} is running in another process") from None


@dataclass(repr=False)
class Run:
    """A run as callbacks see it: its configuration, its folder and what it was made with.

    Of a job of a sweep, `position`, '[3/6 2min left]', says how far the sweep is when the run ends, and
    `beside` whether other jobs print on the same terminal.
    """

    config: dict[str, Any]
    folder: Path
    overrides: list[str] = field(default_factory=list)
    position: str = ""
    beside: bool = False
    environment: dict[str, Any] = field(default_factory=dict)
    claimed: bool = False
    ended: bool = False
    began: float = field(default_factory=time.perf_counter)
    resumed: list[int] = field(default_factory=list)
    accepted: bool = False
    best: dict[str, Any] = field(default_factory=dict)  # what summary.json says of the best checkpoint
    in_sweep = False

    def __repr__(self) -> str:
        return line(f"Run({self.name}, folder={str(self.folder)!r})")

    @property
    def name(self) -> str:
        """What sets it apart from the default."""
        return ",".join(self.overrides) or "default"

    @property
    def differences(self) -> dict[str, tuple[Any, Any]]:
        """The keys that are not at their defaults: the value, and the default."""
        return differences(self.config)

    def count_finished(self) -> None:
        """Count the run among those of its sweep that have ended, if it belongs to one."""

    def claim(self) -> None:
        """Create the folder and write what the run is."""
        self.create_folder()
        self.claimed = True
        self.put("overrides.yaml", dump(self.overrides))

    def create_folder(self) -> None:
        """Create the folder with config.yaml in it; where it holds a run, one beside it: name-2, name-3 …"""
        wanted, number = self.folder, 2
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with (self.folder / "config.yaml").open("x", encoding="utf-8") as file:
                    file.write(dump(self.config))
                break
            except FileExistsError:
                self.folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1

    def create(self, documents: Documents, trainer: Trainer) -> None:
        """Write what is known before the first step into a folder that holds no other run."""
        surroundings = self.surroundings(documents, trainer)
        self.claim()
        self.environment = surroundings
        self.write("environment.json", surroundings)

    def open(self, documents: Documents, trainer: Trainer, saved: Saved | None) -> None:
        """Make the folder; or have the trainer go on from a checkpoint, in the folder that is there."""
        if saved:
            check(saved)
        if self.claimed:
            self.compare(documents, trainer, saved)
        if saved:
            before, now = saved.facts["config"].get("optimizer"), self.config["optimizer"]
            restore(trainer, saved, optimizer=isinstance(before, dict) and before.get("name") == now["name"])
            self.resumed = [*saved.facts["resumed"], trainer.step]
            self.began = time.perf_counter() - saved.facts["seconds"]
        if not self.claimed:
            return self.create(documents, trainer)
        if saved:
            checkpoint.go_back(self.folder, saved.name)
        self.forget_best(trainer.step)
        (self.folder / "summary.json").unlink(missing_ok=True)
        self.put("config.yaml", dump(self.config))
        self.put("overrides.yaml", dump(self.overrides))
        self.write("environment.json", self.environment)

    def compare(self, documents: Documents, trainer: Trainer, saved: Saved | None) -> None:
        """Changed if the run would not go on upon the ground it began on, unless that is `accepted`."""
        self.environment = self.surroundings(documents, trainer)
        if saved and saved.facts["step"] > trainer.steps:
            raise Changed(f"{self.folder} is at step {saved.facts['step']}, beyond steps={trainer.steps}")
        then = saved.facts["config"] if saved else read(self.folder / "config.yaml") or {}
        if isinstance(then.get("steps"), int) and then["steps"] < trainer.steps:
            then = then | {"steps": trainer.steps}  # it trains on, which changes no step that it has made
        changed = changes(then, self.config)
        try:
            changed += changes(
                ground(read(self.folder / "environment.json") or self.environment), ground(self.environment)
            )
        except FileNotFoundError:
            pass
        except UserError as error:
            changed.append(str(error))
        if changed and not self.accepted:
            raise Changed(f"{self.folder} would not go on as it began: {'; '.join(changed)}")

    def surroundings(self, documents: Documents, trainer: Trainer) -> dict[str, Any]:
        """With what the run is made: what must be the same for it to go on exactly."""
        return {
            **environment(),
            "documents": len(documents),
            "documents_long": trainer.corpus.long,
            "documents_sha256": documents_sha256(documents),
            "parts": parts(self.config),
            "core": core(),
        }

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from the run. UserError if what is there under the name of a file that the
        run writes is no file: a link would have it write elsewhere.
        """
        for name in WRITTEN:
            for path in (self.folder / name, self.folder / f"{name}.part"):
                if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
                    raise UserError(f"{path} is not a regular file: the run would write elsewhere")
        with locked(self.folder):
            yield

    def save(self, trainer: Trainer, stopped: bool) -> Path:
        """Write a checkpoint. Whether a callback wanted no step more is part of it.

        What other files say of the steps before is on the disk before it takes its name.
        """
        seconds = time.perf_counter() - self.began
        facts = {"config": self.config, "stopped": stopped, "callbacks": trainer.watch.state()}
        content = capture(trainer, **facts, seconds=seconds, resumed=self.resumed)
        self.sync()
        checkpoint.write(self.folder, content)
        return self.folder / CURRENT

    def sync(self) -> None:
        """Wait until the disk holds what the run's files say: from then on no power cut takes it."""
        for path in self.folder.iterdir():
            if path.name not in (CURRENT, PREVIOUS, BEST) and path.is_file() and not path.is_symlink():
                checkpoint.sync(path)

    def keep_best(self, step: int, loss: float) -> Path:
        """Have the checkpoint that was saved last, of this step and validation loss, be the best one too."""
        checkpoint.write(self.folder, checkpoint.whole(self.folder / CURRENT), BEST)
        self.best = {"best/step": step, "best/loss/val": loss}
        return self.folder / BEST

    def find_best(self, step: int, loss: float) -> bool:
        """After a resume: whether the best checkpoint that the last one tells of is there."""
        found = checkpoint.read(self.folder, print, (BEST,))
        if step == self.resumed[-1]:  # killed before it had its second name, perhaps
            self.keep_best(step, loss)
        elif found and found.facts["step"] == step:
            self.best = {"best/step": step, "best/loss/val": loss}
        else:
            lost = f"warning: the best checkpoint of {self.folder}, of step {step}, is lost"
            print(printable(f"{lost}: the best of what follows is kept"), file=sys.stderr)
        return bool(self.best)

    def forget_best(self, after: int) -> None:
        """Take away a best checkpoint that is damaged, or of a step after this one."""
        with contextlib.suppress(Changed):
            found = checkpoint.read(self.folder, print, (BEST,))
            if not found:
                return
            check(found)
            if found.facts["step"] <= after:
                return
        (self.folder / BEST).unlink()

    def forget(self, name: str, after: int, step_of: Callable[[str], int]) -> None:
        """Of a file with a line for each step, take away what was written after this step."""
        path = self.folder / name
        if not path.exists():
            return
        part = path.with_name(name + ".part")
        with open_regular(path) as lines, part.open("w", encoding="utf-8") as kept:
            for line in iter(lambda: lines.readline(LONGEST_LINE).decode("utf-8", "replace"), ""):
                with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):  # torn
                    if step_of(line) <= after and line.endswith("\n"):
                        kept.write(line)
        part.replace(path)

    def conclude(self, summary: dict[str, Any]) -> None:
        """The last that a run writes: who reads "ok" there has all of it on disk.

        With the configuration, so that a list of ten thousand runs reads one file of each. JSON has no
        infinity: where an option is infinite, a list reads config.yaml.
        """
        try:
            text = as_json(summary | {"config": self.config})
        except ValueError:
            text = as_json(summary)
        self.put("summary.json", text, durable=True)
        self.ended = True

    def write(self, name: str, content: Any) -> None:
        """A JSON file, whole or not at all."""
        self.put(name, as_json(content))

    def put(self, name: str, text: str, *, durable: bool = False) -> None:
        part = self.folder / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        if durable:
            self.sync()  # this part too
        part.replace(self.folder / name)


def as_json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
