"""A sweep on disk: its jobs, the results that exist already, and its progress.

Each job writes a folder of its own, in any process and on any machine. Jobs share nothing else. A job is
identified by its configuration: the file `.jobs/<hash>` in the folder of the sweep contains the name of the
folder of its run.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.options.files import read_text
from microgpt_lab.run.folder import is_run, read_summary
from microgpt_lab.terminal import format_duration

JOBS_FOLDER = ".jobs"
# A file with the number of jobs and the start of the sweep in its first line, and then a character per job
# that has ended: RAN or REUSED.
COUNTER = "ended"
RAN, REUSED = ".", "="
FINAL = ("ok", "diverged")  # statuses that would be the same if the job ran again


class JobEntry:
    """The entry of a job in its sweep: a file that contains the name of the folder of its run."""

    def __init__(self, sweep: Path, config: dict[str, Any]):
        text = json.dumps(config, sort_keys=True, ensure_ascii=False)
        self.sweep = sweep
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        self.path = sweep / JOBS_FOLDER / digest[:32]
        self.lock = self.path.with_suffix(".lock")

    @property
    def folder(self) -> Path | None:
        """The folder of an earlier run of the job; None if there is none."""
        try:
            name = read_text(self.path, largest=255)
        except (FileNotFoundError, UserError):
            return None
        if name in ("", ".", "..", JOBS_FOLDER) or Path(name).name != name:
            return None  # a torn file must not name another folder, because `delete_run` deletes it
        folder = self.sweep / name
        return folder if folder.is_dir() and not folder.is_symlink() else None

    @folder.setter
    def folder(self, folder: Path) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(folder.name, encoding="utf-8")
        part.replace(self.path)

    def result(self) -> dict[str, Any] | None:
        """Return the summary of an earlier run if its result is final, else None."""
        summary = read_summary(self.folder) if self.folder else {}
        return summary if summary.get("status") in FINAL else None

    def delete_run(self) -> None:
        """Delete the folder of an earlier run, which has no final result."""
        if self.folder:
            shutil.rmtree(self.folder)


def run_folders(sweep: Path) -> Iterator[Path]:
    """Yield the folders of all runs of a sweep, running or finished."""
    yield from filter(is_run, sorted(sweep.iterdir()) if sweep.is_dir() else ())


def count_ended(sweep: Path) -> int:
    """Count the runs that have ended, with any status."""
    return sum(1 for _ in sweep.glob("*/summary.json"))


def start_counter(sweep: Path, jobs: int, ended: int = 0) -> None:
    """Tell all processes of a sweep its number of jobs and its start time; `ended` jobs count already."""
    counter = sweep / JOBS_FOLDER / COUNTER
    counter.parent.mkdir(parents=True, exist_ok=True)
    part = counter.with_suffix(f".{secrets.token_hex(4)}.part")  # another sweep may start in this folder, too
    part.write_text(f"{jobs} {int(time.time())}\n{REUSED * ended}", encoding="utf-8")
    part.replace(counter)


def count_job(sweep: Path, mark: str = RAN) -> str:
    """Count a job that has ended, and return its number and the estimated time left: '[3/6 2min left]'.

    The estimate is the mean time per job that has run since the sweep started, times the number of jobs
    left. Each process appends one character to a file, and its position in the file is the job's number.
    Therefore no two jobs have the same number, even in different processes.
    """
    descriptor = os.open(sweep / JOBS_FOLDER / COUNTER, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, mark.encode())
        size = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, 0, os.SEEK_SET)
        header, _, marks = os.read(descriptor, size).decode().rpartition("\n")
    finally:
        os.close(descriptor)
    jobs, start = map(int, (header or "0 0").split())
    ended, ran = len(marks), marks.count(RAN)
    time_left = ""
    if start and ran and ended < jobs:
        time_left = f" {format_duration((time.time() - start) / ran * (jobs - ended))} left"
    return f"[{ended:>{len(str(jobs))}}/{max(ended, jobs)}{time_left}]"
