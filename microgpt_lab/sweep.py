"""A sweep on disk: which jobs it has, which of them are done, how far it is.

Each job writes a folder of its own, in whatever process or machine it runs; nothing else is shared.
A job is known by its configuration: `.jobs/<hash>` in the sweep's folder names the folder of its run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JOBS, BEGAN = "MICROGPT_LAB_JOBS", "MICROGPT_LAB_BEGAN"  # how many jobs, and when: told to all workers
FINAL = ("ok", "diverged")  # what another run of the same job would come to as well


def run_name(overrides: list[str]) -> str:
    """The overrides as part of a folder's name: without what file systems dislike, and not too long."""
    name = re.sub(r"[^\w.,=+-]+", "-", ",".join(o.lstrip("+") for o in overrides)).strip(".-")
    if len(name.encode()) <= 120:
        return name
    return f"{name.encode()[:110].decode(errors='ignore')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class Place:
    """Where a sweep keeps the run of a job."""

    def __init__(self, sweep: Path, config: dict[str, Any]):
        text = json.dumps(config, sort_keys=True, ensure_ascii=False)
        self.sweep = sweep
        self.path = sweep / ".jobs" / hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self.lock = self.path.with_suffix(".lock")

    @property
    def folder(self) -> Path | None:
        """That of an earlier run of the job."""
        try:
            name = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        if name in ("", ".", "..") or Path(name).name != name:
            return None  # a torn file must not name another folder, for `clear` deletes
        return self.sweep / name if (self.sweep / name).is_dir() else None

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


def read_summary(run: Path) -> dict[str, Any]:
    """What summary.json says; a run that has none was killed, or is at work."""
    return {"status": "unfinished"} | read_json(run / "summary.json")


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none, for what is torn says nothing."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def runs(sweep: Path) -> Iterator[Path]:
    """The folders of all runs, at work or done."""
    for folder in sorted(sweep.iterdir()) if sweep.is_dir() else ():
        if (folder / "overrides.yaml").is_file():
            yield folder


def finished(sweep: Path, since: float = 0.0) -> list[Path]:
    """The folders of the runs that have ended, in any way, since then."""
    found = []
    for file in sweep.glob("*/summary.json"):
        with contextlib.suppress(FileNotFoundError):  # another process makes that run anew
            if file.stat().st_mtime >= since:
                found.append(file.parent)
    return found


def position(sweep: Path, jobs: int, ending: Path | None = None) -> str:
    """'[3/6]': how many are done; and the time left, at the pace of those done since the sweep began.

    One that is `ending` counts, though its summary is still to be written.
    """
    began = float(os.environ.get(BEGAN) or 0)
    last = {ending} if ending else set()
    done, recent = len({*finished(sweep), *last}), len({*finished(sweep, began), *last})
    left = ""
    if began and recent and done < jobs:
        left = f" {clock((time.time() - began) / recent * (jobs - done))} left"
    return f"[{done:>{len(str(jobs))}}/{max(done, jobs)}{left}]"


def clock(seconds: float) -> str:
    """45s, 12min, 3h05."""
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    return f"{minutes}min" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}"
