"""Remove runs: show which would be removed, say which are kept and why, and remove entries of jobs."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout
from rich.filesize import decimal

from microgpt_lab.errors import UserError, printable
from microgpt_lab.listing import find
from microgpt_lab.listing.rows import Row
from microgpt_lab.listing.selection import format_age
from microgpt_lab.listing.tables import aligned
from microgpt_lab.options.files import read_text
from microgpt_lab.run.record import locked
from microgpt_lab.sweeps.folder import JOBS_FOLDER

LOCK = ".lock"
REMOVED_LAST = ("config.yaml", "overrides.yaml")  # as long as they exist, the folder counts as a run


def prune(rows: Iterable[Row], root: Path, *, sure: bool) -> int:
    """Show the runs that would be removed, or remove them if `sure`. Return 1 if a removal fails, else 0."""
    removable = [(row, size(row.folder)) for row in rows if reason_to_keep(row.folder, root) is None]
    if not removable:
        print("nothing to remove")
        return 0
    if not sure:
        table = [
            [row.status, format_age(time.time() - row.started), decimal(n), name(row)] for row, n in removable
        ]
        print("\n".join(aligned([["status", "age", "size", "run"], *table], left=1)))
    affected = [(row, n) for row, n in removable if not sure or remove(row)]
    total = f"{len(affected):,} run{'s' * (len(affected) != 1)}, {decimal(sum(n for _, n in affected))}"
    print(f"removed {total}" if sure else f"would remove {total}: add --yes to remove them")
    for sweep, entries in jobs(row.folder for row, _ in affected).items():
        for entry in entries if sure else ():
            with contextlib.suppress(OSError):  # the job runs again anyway, because its run is removed
                entry.unlink()
        print(
            printable(f"{len(entries):,} of them are jobs of {sweep}: repeating this sweep runs them again")
        )
    return 0 if len(affected) == len(removable) else 1


def name(row: Row) -> str:
    return printable(str(row.folder))


def reason_to_keep(folder: Path, root: Path) -> str | None:
    """Return why a run must not be removed, and print it on stderr; None if it may be removed."""
    try:
        with os.scandir(folder) as scan:
            entries = {entry.name: entry for entry in scan}
        subfolders = [name for name, entry in entries.items() if entry.is_dir(follow_symlinks=False)]
        if subfolders:
            raise UserError(f"it contains the folder {min(subfolders)}, which no run creates")
        if folder == root or folder.samefile("."):
            raise UserError("it is the folder that is searched, or the current folder")
        if not all(os.access(path, os.R_OK | os.W_OK | os.X_OK) for path in (folder, folder.parent)):
            raise UserError("no permission to write there")
        lock = entries.get(LOCK)
        if lock and not stat.S_ISREG(lock.stat(follow_symlinks=False).st_mode):
            raise UserError("its .lock is not a regular file")
        if lock and "summary.json" not in entries:
            with locked(folder):
                pass
        if "summary.json" not in entries and any(map(is_running, jobs([folder]).get(folder.parent, ()))):
            raise UserError("it is a job that is running")
    except (UserError, OSError) as error:
        return report("kept", folder, error)
    return None


def is_running(entry: Path) -> bool:
    """Return whether a process runs this job of a sweep: it locks the job before the run has its own lock."""
    lock = entry.with_suffix(".lock")
    try:
        with FileLock(lock, timeout=0) if lock.exists() else contextlib.nullcontext():
            return False
    except Timeout:
        return True


def report(outcome: str, folder: Path, error: UserError | OSError) -> str:
    """Print what happened to a run on stderr, and return the reason."""
    reason = error.strerror if isinstance(error, OSError) else str(error).removeprefix(f"{folder} ")
    print(printable(f"{outcome} {folder}: {reason}"), file=sys.stderr)
    return str(reason)


def size(folder: Path) -> int:
    """Sum the sizes of the files in a folder, in bytes."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:  # removed by another process, or unreadable, which `reason_to_keep` reports
        return 0


def remove(row: Row) -> bool:
    """Remove the files of a run and then its folder, unless it is running or was resumed since it was listed.

    Links are removed, not followed. A folder that another process has put there stays.
    """
    folder = row.folder
    try:
        with locked(folder):
            if find.start_time(folder, "config.yaml") not in (row.started, 0.0):
                raise UserError("it was resumed after it was listed")
            for file in sorted(folder.iterdir(), key=lambda file: (file.name in REMOVED_LAST, file.name)):
                if file.name != LOCK:  # which Windows does not remove while it is open
                    file.unlink()
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
    except (UserError, OSError) as error:
        report("kept" if isinstance(error, UserError) else "cannot remove", folder, error)
        return False
    return True


def jobs(folders: Iterable[Path]) -> dict[Path, list[Path]]:
    """Return, for each sweep, the entries of the jobs whose runs are in these folders."""
    by_sweep: dict[Path, set[str]] = {}
    for folder in folders:
        by_sweep.setdefault(folder.parent, set()).add(folder.name)
    entries_by_sweep = {}
    for sweep, names in by_sweep.items():
        entries = [path for path in sorted((sweep / JOBS_FOLDER).glob("*")) if not path.suffix]
        if matching := [path for path in entries if run_of_entry(path) in names]:
            entries_by_sweep[sweep] = matching
    return entries_by_sweep


def run_of_entry(entry: Path) -> str:
    """Return the name of the run's folder from a job's entry; '' if it cannot be read."""
    try:
        return read_text(entry, largest=255)
    except (FileNotFoundError, UserError):
        return ""
