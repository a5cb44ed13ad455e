"""A sweep on disk: which jobs it has, which of them are done, how far it is.

Each job writes a folder of its own, in whatever process or machine it runs; nothing else is shared.
A job is known by its configuration: `.jobs/<hash>` in the sweep's folder names the folder of its run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.files import read_text
from microgpt_lab.run.folder import is_run, read_summary

JOBS_FOLDER = ".jobs"
JOBS, BEGAN = "MICROGPT_LAB_JOBS", "MICROGPT_LAB_BEGAN"  # how many jobs, and when: told to all workers
ENDED, MADE, THERE = "ended", ".", "="  # the file that counts jobs, and what it has for each
FINAL = ("ok", "diverged")  # what another run of the same job would come to as well


class Place:
    """Where a sweep keeps the run of a job."""

    def __init__(self, sweep: Path, config: dict[str, Any]):
        text = json.dumps(config, sort_keys=True, ensure_ascii=False)
        self.sweep = sweep
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        self.path = sweep / JOBS_FOLDER / digest[:32]
        self.lock = self.path.with_suffix(".lock")

    @property
    def folder(self) -> Path | None:
        """That of an earlier run of the job."""
        try:
            name = read_text(self.path, largest=255)
        except (FileNotFoundError, UserError):
            return None
        if name in ("", ".", "..", JOBS_FOLDER) or Path(name).name != name:
            return None  # a torn file must not name another folder, for `clear` deletes
        folder = self.sweep / name
        return folder if folder.is_dir() and not folder.is_symlink() else None

    @folder.setter
    def folder(self, folder: Path) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(folder.name, encoding="utf-8")
        part.replace(self.path)

    def result(self) -> dict[str, Any] | None:
        """The summary of an earlier run that need not be made again."""
        summary = read_summary(self.folder) if self.folder else {}
        return summary if summary.get("status") in FINAL else None

    def clear(self) -> None:
        """Take away what an earlier run left that has no result."""
        if self.folder:
            shutil.rmtree(self.folder)


def runs(sweep: Path) -> Iterator[Path]:
    """The folders of all runs, at work or done."""
    yield from filter(is_run, sorted(sweep.iterdir()) if sweep.is_dir() else ())


def finished(sweep: Path) -> int:
    """How many runs have ended, in any way."""
    return sum(1 for _ in sweep.glob("*/summary.json"))


def begin(sweep: Path, jobs: int, there: int = 0) -> None:
    """Tell all processes of a sweep how many jobs it has, how many are `there` already, and when it began."""
    os.environ[JOBS], os.environ[BEGAN] = str(jobs), str(time.time())
    ended = sweep / JOBS_FOLDER / ENDED
    ended.unlink(missing_ok=True)
    if there:
        ended.parent.mkdir(parents=True, exist_ok=True)
        ended.write_text(THERE * there)


def count(sweep: Path, mark: str = MADE) -> str:
    """Note that a job has ended: '[3/6 2min left]', its place among those that have, and the time that the
    others will take at the pace of those that were made since the sweep began.

    A file has a character for each. Whoever appends one learns where it stands, and so no two jobs have the
    same place, in whatever processes they run.
    """
    descriptor = os.open(sweep / JOBS_FOLDER / ENDED, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, mark.encode())
        done = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, 0, os.SEEK_SET)
        made = os.read(descriptor, done).count(MADE.encode())
    finally:
        os.close(descriptor)
    jobs, began = int(os.environ.get(JOBS) or 0), float(os.environ.get(BEGAN) or 0)
    left = ""
    if began and made and done < jobs:
        left = f" {clock((time.time() - began) / made * (jobs - done))} left"
    return f"[{done:>{len(str(jobs))}}/{max(done, jobs)}{left}]"


def clock(seconds: float) -> str:
    """45s, 12min, 3h05."""
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    return f"{minutes}min" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}"
