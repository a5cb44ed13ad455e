"""Find a run or a sweep on disk by what a user calls it: a path, `last`, or a part of its name."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from microgpt_lab.errors import UserError, nearest, printable
from microgpt_lab.run.checkpoint import CURRENT, PREVIOUS
from microgpt_lab.sweeps.folder import JOBS_FOLDER, run_folders

ROOT, LAST = Path("runs"), "last"
MOST = 5  # of the folders that a name could mean, so many are listed


def run(named: str, *, sampled: bool = False) -> Path:
    """The folder of a run: a path that exists, `last`, or a part of the name of one run below ./runs.

    `last` is the run, a job of a sweep or not, that was begun or resumed last; if it is to be
    `sampled`, of those that have a checkpoint.
    """
    if exists(named):
        if (Path(named) / JOBS_FOLDER).is_dir() and (job := next(run_folders(Path(named)), None)):
            raise UserError(f"{named} is a sweep: name one of its runs, such as {job}")
        return Path(named)
    if named != LAST:
        return only(named, folders(ROOT), "run")
    found = [(begun(folder, "config.yaml"), folder) for folder in folders(ROOT)]
    if sampled:
        found = [(time, folder) for time, folder in found if has_checkpoint(folder)]
    return newest(found, "run with a checkpoint" if sampled else "run")


def sweep(named: str) -> Path:
    """The folder of a sweep: a path that exists, `last`, or a part of the name of one below ./runs.

    `last` is the sweep that was begun or gone on with last.
    """
    if exists(named):
        return Path(named)
    sweeps = [
        folder for folder in {folder.parent for folder in folders(ROOT)} if (folder / JOBS_FOLDER).is_dir()
    ]
    if named != LAST:
        return only(named, sweeps, "sweep")
    return newest([(begun(folder, JOBS_FOLDER, "multirun.yaml"), folder) for folder in sweeps], "sweep")


def newest(found: Iterable[tuple[float, Path]], what: str) -> Path:
    """Return the newest folder, and print it to stderr."""
    _, folder = max(found, default=(0.0, None))
    if folder is None:
        raise UserError(f"there is no {what} below ./{ROOT}: name its folder, or train first")
    return told(LAST, folder)


def only(named: str, found: Iterable[Path], what: str) -> Path:
    """Return the one folder whose path below ./runs contains this, and print it to stderr.

    The whole name of a folder counts before a part of one.
    """
    part = named.removeprefix(f".{os.sep}").removeprefix(f"{ROOT}{os.sep}").rstrip(os.sep)
    below = {str(folder.relative_to(ROOT)): folder for folder in sorted(found)}
    whole = [path for path in below if part in (path, below[path].name)]
    fitting = whole or [path for path in below if part and part in path]
    if len(fitting) == 1:
        return told(named, below[fitting[0]])
    if fitting:
        listed = ", ".join(fitting[:MOST]) + (", …" if len(fitting) > MOST else "")
        raise UserError(f"'{named}' could be any of {len(fitting):,} {what}s below ./{ROOT}: {listed}")
    near = nearest(part, below) or nearest(part, {folder.name for folder in below.values()})
    hint = f"did you mean '{near}'?" if near else "python -m microgpt_lab runs lists all that there is"
    raise UserError(f"there is no {what} at {named}, and none below ./{ROOT} has that in its name; {hint}")


def exists(named: str) -> bool:
    """Whether it is a path that exists; what is too long for a path, or holds a NUL, is none."""
    with contextlib.suppress(OSError, ValueError):
        return Path(named).exists()
    return False


def told(named: str, folder: Path) -> Path:
    """The folder, which a line on stderr names."""
    print(printable(f"{named}: {folder}"), file=sys.stderr)
    return folder


def folders(root: Path) -> Iterator[Path]:
    """The folders of all runs below this one, and itself if it is one. Links are not followed."""
    for folder, inside, files in os.walk(root):
        inside[:] = [name for name in inside if not name.startswith(".")]
        names = set(files)
        # Hydra's own folders, of other programs too, hold a hydra.yaml beside the other two.
        if (
            "overrides.yaml" in names or {"config.yaml", "summary.json"} <= names
        ) and "hydra.yaml" not in names:
            yield Path(folder)


def begun(folder: Path, *names: str) -> float:
    """When the newest of these files was written, in seconds since 1970; 0 if there is none."""
    newest = 0.0
    for name in names:
        with contextlib.suppress(OSError):
            newest = max(newest, (folder / name).stat().st_mtime)
    return newest


def has_checkpoint(folder: Path) -> bool:
    return any((folder / name).exists() for name in (CURRENT, PREVIOUS))
