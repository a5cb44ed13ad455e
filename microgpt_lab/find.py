"""Find a run or a sweep on disk by what a user calls it: its folder, or `last`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from microgpt_lab.checkpoint import CURRENT, PREVIOUS
from microgpt_lab.errors import UserError, printable
from microgpt_lab.sweep import runs

ROOT, LAST = Path("runs"), "last"


def run(named: str, *, sampled: bool = False) -> Path:
    """The folder of a run. `last` is the run below ./runs, a job of a sweep or not, that was begun or
    resumed last; if it is to be `sampled`, of those that have a checkpoint.
    """
    if named != LAST or Path(named).exists():
        if (Path(named) / ".jobs").is_dir() and (job := next(runs(Path(named)), None)):
            raise UserError(f"{named} is a sweep: name one of its runs, such as {job}")
        return Path(named)
    found = [(begun(folder, "config.yaml"), folder) for folder in folders(ROOT)]
    if sampled:
        found = [(time, folder) for time, folder in found if has_checkpoint(folder)]
    return newest(found, "run with a checkpoint" if sampled else "run")


def sweep(named: str) -> Path:
    """The folder of a sweep. `last` is the one below ./runs that was begun or gone on with last."""
    if named != LAST or Path(named).exists():
        return Path(named)
    sweeps = {folder.parent for folder in folders(ROOT) if (folder.parent / ".jobs").is_dir()}
    return newest([(begun(folder, ".jobs", "multirun.yaml"), folder) for folder in sweeps], "sweep")


def newest(found: Iterable[tuple[float, Path]], what: str) -> Path:
    """Return the newest folder, and print it to stderr."""
    _, folder = max(found, default=(0.0, None))
    if folder is None:
        raise UserError(f"there is no {what} below ./{ROOT}: name its folder, or train first")
    print(printable(f"last: {folder}"), file=sys.stderr)
    return folder


def folders(root: Path) -> Iterator[Path]:
    """The folders of all runs below this one."""
    for folder, inside, files in os.walk(root):
        if "overrides.yaml" in files:
            inside.clear()  # a run holds no other run
            yield Path(folder)


def begun(folder: Path, *names: str) -> float:
    """When the newest of these files was written, in seconds since 1970."""
    files = [folder / name for name in names]
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def has_checkpoint(folder: Path) -> bool:
    return any((folder / name).exists() for name in (CURRENT, PREVIOUS))
