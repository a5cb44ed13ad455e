"""Remove runs: which would go, which are kept and why, and what a sweep forgets with them."""

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
from microgpt_lab.listing.rows import Row
from microgpt_lab.listing.selection import age
from microgpt_lab.listing.tables import aligned
from microgpt_lab.options.files import text
from microgpt_lab.run.record import locked
from microgpt_lab.sweeps import find
from microgpt_lab.sweeps.folder import JOBS_FOLDER

KNOWN_BY = ("config.yaml", "overrides.yaml", ".lock")  # removed last: until then the folder is a run's


def prune(rows: Iterable[Row], root: Path, *, sure: bool) -> int:
    """Show the runs that would be removed, or remove them if the user is sure; 1 if one could not be."""
    going = [(row, size(row.folder)) for row in rows if kept(row.folder, root) is None]
    if not going:
        print("nothing to remove")
        return 0
    if not sure:
        table = [[row.status, age(time.time() - row.begun), decimal(n), name(row)] for row, n in going]
        print("\n".join(aligned([["status", "age", "size", "run"], *table], left=1)))
    gone = [(row, n) for row, n in going if not sure or remove(row)]
    total = f"{len(gone):,} run{'s' * (len(gone) != 1)}, {decimal(sum(n for _, n in gone))}"
    print(f"removed {total}" if sure else f"would remove {total}: add --yes to remove them")
    for sweep, notes in jobs(row.folder for row, _ in gone).items():
        for note in notes if sure else ():
            with contextlib.suppress(OSError):  # it names a folder that is gone: the job is made again
                note.unlink()
        print(printable(f"{len(notes):,} of them are jobs of {sweep}, which makes them again when run again"))
    return 0 if len(gone) == len(going) else 1


def name(row: Row) -> str:
    return printable(str(row.folder))


def kept(folder: Path, root: Path) -> str | None:
    """Why a run must not be removed, which is said on stderr too; None if it may be."""
    try:
        with os.scandir(folder) as found:
            entries = {entry.name: entry for entry in found}
        inner = [name for name, entry in entries.items() if entry.is_dir(follow_symlinks=False)]
        if inner:
            raise UserError(f"it holds the folder {min(inner)}, which no run makes")
        if folder == root or folder.samefile("."):
            raise UserError("it is the folder to look below, or the current one")
        if not all(os.access(place, os.R_OK | os.W_OK | os.X_OK) for place in (folder, folder.parent)):
            raise UserError("no permission to write there")
        lock = entries.get(".lock")
        if lock and not stat.S_ISREG(lock.stat(follow_symlinks=False).st_mode):
            raise UserError("its .lock is not a regular file")
        if lock and "summary.json" not in entries:
            with locked(folder):
                pass
        if "summary.json" not in entries and any(map(held, jobs([folder]).get(folder.parent, ()))):
            raise UserError("it is a job that is at work")
    except (UserError, OSError) as error:
        return said("kept", folder, error)
    return None


def held(note: Path) -> bool:
    """Whether a process is at work on the job of a sweep, maybe before its run has a lock of its own."""
    lock = note.with_suffix(".lock")
    try:
        with FileLock(lock, timeout=0) if lock.exists() else contextlib.nullcontext():
            return False
    except Timeout:
        return True


def said(what: str, folder: Path, error: UserError | OSError) -> str:
    """Print a line about a run on stderr, and return why."""
    why = error.strerror if isinstance(error, OSError) else str(error).removeprefix(f"{folder} ")
    print(printable(f"{what} {folder}: {why}"), file=sys.stderr)
    return str(why)


def size(folder: Path) -> int:
    """The sum of the sizes of its files, in bytes."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:  # it is removed by another, or not to be read, which `kept` says
        return 0


def remove(row: Row) -> bool:
    """Remove a run's files one by one and then its folder, unless it is at work, or was resumed meanwhile.

    Nothing is followed: a link is removed itself, and a folder that another has put there stays.
    """
    folder = row.folder
    try:
        with locked(folder):
            if find.begun(folder, "config.yaml") not in (row.begun, 0.0):
                raise UserError("it was resumed meanwhile")
            for file in sorted(folder.iterdir(), key=lambda file: (file.name in KNOWN_BY, file.name)):
                file.unlink()
            folder.rmdir()
    except (UserError, OSError) as error:
        said("kept" if isinstance(error, UserError) else "cannot remove", folder, error)
        return False
    return True


def jobs(folders: Iterable[Path]) -> dict[Path, list[Path]]:
    """Of each sweep, its notes of jobs whose runs are among these folders."""
    by_sweep: dict[Path, set[str]] = {}
    for folder in folders:
        by_sweep.setdefault(folder.parent, set()).add(folder.name)
    found = {}
    for sweep, names in by_sweep.items():
        notes = [path for path in sorted((sweep / JOBS_FOLDER).glob("*")) if not path.suffix]
        if fitting := [path for path in notes if content(path) in names]:
            found[sweep] = fitting
    return found


def content(note: Path) -> str:
    """The name of the run's folder; '' if the note cannot be read."""
    try:
        return text(note, largest=255)
    except (FileNotFoundError, UserError):
        return ""
