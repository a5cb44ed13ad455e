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

import yaml
from filelock import FileLock, Timeout

from microgpt_lab import checkpoint
from microgpt_lab.checkpoint import CURRENT, PREVIOUS, Saved
from microgpt_lab.differences import differences
from microgpt_lab.documents import Documents
from microgpt_lab.environment import core, documents_sha256, environment, parts
from microgpt_lab.errors import Busy, Changed, UserError, printable
from microgpt_lab.reading import LONGEST_LINE, opened, read
from microgpt_lab.reprs import line
from microgpt_lab.resume import capture, changes, check, ground, restore
from microgpt_lab.sweep import MADE, Place, count
from microgpt_lab.trainer import Trainer

WRITTEN = ("config.yaml", "overrides.yaml", "environment.json", "summary.json", "metrics.jsonl")
WRITTEN += ("samples.txt", "log.txt", ".lock", CURRENT, PREVIOUS)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Busy if another process has the run in this folder; the death of this one lets it go."""
    try:
        with FileLock(folder / ".lock", timeout=0, is_singleton=True):
            yield
    except Timeout:
        raise Busy(f"{folder} is at work in another process") from None


@dataclass(repr=False)
class Run:
    """What callbacks know of a run. In a sweep, `place` is where it belongs; `position`, '[3/6 2min left]',
    says how far the sweep is when the run ends. Jobs that run `beside` others share the terminal with them.
    """

    config: dict[str, Any]
    folder: Path
    overrides: list[str] = field(default_factory=list)
    place: Place | None = None
    position: str = ""
    beside: bool = False
    environment: dict[str, Any] = field(default_factory=dict)
    claimed: bool = False
    ended: bool = False
    began: float = field(default_factory=time.perf_counter)
    resumed: list[int] = field(default_factory=list)
    accepted: bool = False

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

    def count(self, mark: str = MADE) -> None:
        """Note in a sweep that the job has ended, once; `position` says how far the sweep is then."""
        if self.place and not self.position:
            self.position = count(self.place.sweep, mark)

    def claim(self) -> None:
        """Make the folder, or another beside it if it holds a run, and write what the run is."""
        wanted, number = self.folder, 2
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with (self.folder / "config.yaml").open("x", encoding="utf-8") as file:
                    yaml.safe_dump(self.config, file, sort_keys=False, allow_unicode=True)
                break
            except FileExistsError:
                self.folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
        self.claimed = True
        if self.place:
            self.place.folder = self.folder
        self.put("overrides.yaml", yaml.safe_dump(self.overrides, allow_unicode=True))

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
        if saved and saved.name == PREVIOUS:  # the newer one is damaged, and must not take this one's place
            (self.folder / PREVIOUS).replace(self.folder / CURRENT)
        (self.folder / "summary.json").unlink(missing_ok=True)
        self.put("config.yaml", yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True))
        self.put("overrides.yaml", yaml.safe_dump(self.overrides, allow_unicode=True))
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
        """Write a checkpoint. Whether a callback wanted no step more is part of it."""
        seconds = time.perf_counter() - self.began
        facts = {"config": self.config, "stopped": stopped, "callbacks": trainer.watch.state()}
        content = capture(trainer, **facts, seconds=seconds, resumed=self.resumed)
        checkpoint.write(self.folder, content)
        return self.folder / CURRENT

    def forget(self, name: str, after: int, step_of: Callable[[str], int]) -> None:
        """Of a file with a line for each step, take away what was written after this step."""
        path = self.folder / name
        if not path.exists():
            return
        part = path.with_name(name + ".part")
        with opened(path) as lines, part.open("w", encoding="utf-8") as kept:
            for line in iter(lambda: lines.readline(LONGEST_LINE).decode("utf-8", "replace"), ""):
                with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):  # torn
                    if step_of(line) <= after and line.endswith("\n"):
                        kept.write(line)
        part.replace(path)

    def end(self, status: str, error: str) -> dict[str, Any]:
        """A job of a sweep that has no results is a row all the same."""
        if not self.claimed:
            self.claim()
        self.count()
        summary = {"status": status, "error": error}
        self.conclude(summary)
        print(printable(f"{status}: {self.name}: {error}"), file=sys.stderr)
        return summary

    def conclude(self, summary: dict[str, Any]) -> None:
        """The last that a run writes: who reads "ok" there has all of it on disk.

        With the configuration, so that a list of ten thousand runs reads one file of each. JSON has no
        infinity: where an option is infinite, a list reads config.yaml.
        """
        try:
            self.write("summary.json", summary | {"config": self.config})
        except ValueError:
            self.write("summary.json", summary)
        self.ended = True

    def write(self, name: str, content: Any) -> None:
        """A JSON file, whole or not at all."""
        self.put(name, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def put(self, name: str, text: str) -> None:
        part = self.folder / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(self.folder / name)
