"""Find the folder of a run or a sweep from its path, a part of its name, or `last`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from microgpt_lab.errors import UserError, nearest, printable
from microgpt_lab.registry.folders import DEMO, is_demo
from microgpt_lab.run.checkpoint import CURRENT, PREVIOUS
from microgpt_lab.sweeps.folder import JOBS_FOLDER, run_folders

ROOT, LAST = Path("runs"), "last"
MOST_LISTED = 5  # folders that the error for an ambiguous name lists


def run_folder(name: str, *, with_checkpoint: bool = False, demo: bool = False) -> Path:
    """Find the folder of a run as `find_run` does, and print on stderr which one a name stands for."""
    return print_choice(name, find_run(name, with_checkpoint=with_checkpoint, demo=demo))


def find_run(name: str, *, with_checkpoint: bool = False, demo: bool = False) -> Path:
    """Return the folder of a run: an existing path, `last`, or the one run whose path contains the name.

    `last` is the run below ./runs, in a sweep or not, that started or resumed last; `with_checkpoint`, the
    last of those that have a checkpoint. With `demo`, "demo" is the run that comes with the lab.
    """
    if demo and is_demo(name):
        return DEMO
    if exists(name):
        if (Path(name) / JOBS_FOLDER).is_dir() and (job := next(run_folders(Path(name)), None)):
            raise UserError(f"{name} is a sweep: name one of its runs, such as {job}")
        return Path(name)
    if name != LAST:
        return matching(name, all_runs(ROOT), "run")
    dated = [(start_time(folder, "config.yaml"), folder) for folder in all_runs(ROOT)]
    if with_checkpoint:
        dated = [(time, folder) for time, folder in dated if has_checkpoint(folder)]
    kind = "run with a checkpoint" if with_checkpoint else "run"
    return newest(dated, kind, f"train first, or name '{DEMO.name}'" if demo else "train first")


def sweep_folder(name: str) -> Path:
    """Find the folder of a sweep as `find_sweep` does, and print on stderr which one a name stands for."""
    return print_choice(name, find_sweep(name))


def find_sweep(name: str) -> Path:
    """Return the folder of a sweep: an existing path, `last`, or the one sweep whose path contains the name.

    `last` is the sweep below ./runs that started or continued last.
    """
    if exists(name):
        return Path(name)
    parents = {folder.parent for folder in all_runs(ROOT)}
    sweeps = [folder for folder in parents if (folder / JOBS_FOLDER).is_dir()]
    if name != LAST:
        return matching(name, sweeps, "sweep")
    dated = [(start_time(folder, JOBS_FOLDER, "multirun.yaml"), folder) for folder in sweeps]
    return newest(dated, "sweep", "train first")


def newest(dated: Iterable[tuple[float, Path]], kind: str, advice: str) -> Path:
    """Return the folder with the latest time."""
    _, folder = max(dated, default=(0.0, None))
    if folder is None:
        raise UserError(f"there is no {kind} below ./{ROOT}: name its folder, or {advice}")
    return folder


def matching(name: str, folders: Iterable[Path], kind: str) -> Path:
    """Return the only folder whose path below ./runs contains the name.

    A folder with exactly this name or path takes precedence.
    """
    part = name.removeprefix(f".{os.sep}").removeprefix(f"{ROOT}{os.sep}").rstrip(os.sep)
    below = {str(folder.relative_to(ROOT)): folder for folder in sorted(folders)}
    exact = [path for path in below if part in (path, below[path].name)]
    matches = exact or [path for path in below if part and part in path]
    if len(matches) == 1:
        return below[matches[0]]
    if matches:
        listed = ", ".join(matches[:MOST_LISTED]) + (", …" if len(matches) > MOST_LISTED else "")
        raise UserError(f"'{name}' matches {len(matches):,} {kind}s below ./{ROOT}: {listed}")
    near = nearest(part, below) or nearest(part, {folder.name for folder in below.values()})
    hint = f"did you mean '{near}'?" if near else "python -m microgpt_lab runs lists all runs"
    raise UserError(
        f"there is no {kind} at {name}, and no {kind} below ./{ROOT} has this in its name; {hint}"
    )


def exists(name: str) -> bool:
    """Return whether a path exists. False for a name that is too long or contains a NUL character."""
    with contextlib.suppress(OSError, ValueError):
        return Path(name).exists()
    return False


def print_choice(name: str, folder: Path) -> Path:
    """Print on stderr which folder a name stands for, unless it is a path, and return the folder."""
    if folder not in (Path(name), DEMO):
        print(printable(f"{name}: {folder}"), file=sys.stderr)
    return folder


def all_runs(root: Path) -> Iterator[Path]:
    """Yield the folders of all runs below a folder, and the folder itself if it is a run.

    Links are not followed.
    """
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        names = set(files)
        # Hydra's own folders, also those of other programs, contain a hydra.yaml beside the other two.
        if (
            "overrides.yaml" in names or {"config.yaml", "summary.json"} <= names
        ) and "hydra.yaml" not in names:
            yield Path(folder)


def start_time(folder: Path, *names: str) -> float:
    """Return when the newest of these files was written, in seconds since 1970; 0 if none exists."""
    newest = 0.0
    for name in names:
        with contextlib.suppress(OSError):
            newest = max(newest, (folder / name).stat().st_mtime)
    return newest


def has_checkpoint(folder: Path) -> bool:
    return any((folder / name).exists() for name in (CURRENT, PREVIOUS))
